"""Tournaments: several ways of doing research, each over several campaigns of its own, from one commit."""
