"""Attempts for the tools that people already use: files, trackers and pandas. Written by the lab, never by a run.

Each target is a module of `kinds`; its library is imported when it is asked for.
"""
