"""A ledger of expenses for the command line."""
