"""The runs of a campaign: who trains beside whom, what is ordered, how a run is laid out and started."""
