"""Commands of the community beyond membership: what is seen of other labs, and what labs say to each other."""
