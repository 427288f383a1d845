"""Before the first experiment: a new lab, one taken over from another tool, the machine, what is ripe for research."""
