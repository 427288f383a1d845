"""Campaigns compared as ways of doing research: by program, style, agent, engine."""
