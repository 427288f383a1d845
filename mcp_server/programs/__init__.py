"""Whose Python runs a command of the arena, where its program lies, and what a run has to be shown for it.

`environment` knows what an environment on the disk needs; `choose` is the rule for which one is meant; `commands` turns
a command of program.md into the one that is started; `missing` says what a run would not find, with the key that lets
it in. Nothing here starts anything, and no program of the repository is asked about itself: it could be anybody's.
"""
