"""Who may come in to a lab server, what for, and how often."""
