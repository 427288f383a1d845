"""The proof of an arena before any loop: runs it, attacks it and harms it in a throw-away lab, and says what follows.

`ground` is the throw-away lab, `attacks` and `harms` make the variants that are run there, `scan` reads what the scorer
touches, `proof` is the order of events, and `verdict` decides from the evidence alone.
"""
