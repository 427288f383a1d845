"""A first arena for a repository that was made for no tool like this: what is there, and what could be measured.

`looking` reads the tree and runs nothing; `arena` says what to measure, in words and as files; `measure` is the program
that a proposed lab measures itself with.
"""
