"""An attempt with a slash inside of a file's name."""

from tests.community.stranger import Stranger

WHY = "git would not have it|no plain name"


def make(stranger: Stranger) -> None:
    stranger.attempt_with(("100644", "../../train.py", stranger.blob(b"K = 1\n")))
