"""What keeps ledger, git and runs in agreement: one way of catching up, every day and after a crash."""
