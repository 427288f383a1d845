"""A campaign's inner life: the only room that sees the ledger, git and the runs together."""
