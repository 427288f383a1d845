"""An attempt with GIT~1, which is .git on some file systems."""

from tests.community.stranger import Stranger

WHY = "git would not have it|no plain name"


def make(stranger: Stranger) -> None:
    stranger.attempt_with(("40000", "GIT~1", stranger.tree(("100644", "config", stranger.blob(b"[core]\n")))))
