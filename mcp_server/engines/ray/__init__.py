"""The engine of a Ray cluster: a courier of the lab on this side, an agent on every node; files between all of them."""
