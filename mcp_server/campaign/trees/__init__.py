"""Work trees: who works in which, one for each agent, and where the files stand against what was kept."""
