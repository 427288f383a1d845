"""The picture of an attempt: made by the arena's `view` command, cleaned, and laid beside the run."""
