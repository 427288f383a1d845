"""A researcher without a language model: how it chooses, what an arena lists for it, its loop, the demonstration."""
