"""An attempt with a line feed in a file's name."""

from tests.community.stranger import Stranger

WHY = "no plain name"


def make(stranger: Stranger) -> None:
    stranger.attempt_with(("100644", "train.py\nM 100644 inline canary", stranger.blob(b"K = 1\n")))
