"""A fresh agent for every iteration: the driver of `autoresearch ralph`.

The agent proposes by leaving edits in the work tree, or by calling the lab's verbs itself. What it says about its work
decides nothing: the lab runs, scores and decides, and the arena's target is what ends the loop.
"""
