"""The community as people see it: labs, what was tried, claims, lineage; live, as a picture, and as a static site."""
