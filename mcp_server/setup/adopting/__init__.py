"""Taking over a repository that was made for another tool: karpathy/autoresearch and its forks, or pi-autoresearch.

`reference` and `pi` recognise a repository and say what its arena is; `elsewhere` reads what was tried there; `plan`
puts it together and carries it out. Their files stay as they are; only program.md is written.
"""
