"""Kept changes as pull requests: on today's main, measured there again as pairs, and measured once more later."""
