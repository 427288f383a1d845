"""Fifty folders inside each other."""

from tests.community.stranger import Stranger

WHY = "folders more than"


def make(stranger: Stranger) -> None:
    tree = stranger.tree(("100644", "train.py", stranger.blob(b"K = 1\n")))
    for _ in range(49):
        tree = stranger.tree(("40000", "a", tree))
    stranger.attempt_with(("40000", "a", tree))
