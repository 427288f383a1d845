"""Histories of research that was done elsewhere: read from logs and branches, audited, taken into the memory.

A log is data of a stranger: bounded, cleaned, never run. What it means is sniffed, shown and confirmed; what cannot be
read is listed with its line; nothing is guessed silently.
"""
