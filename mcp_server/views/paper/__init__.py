"""Papers: what a campaign found, written so that somebody else can attack it, and sealed so that no number is typed."""
