"""An attempt with .GIT, which is .git where case does not count."""

from tests.community.stranger import Stranger

WHY = "git would not have it|no plain name"


def make(stranger: Stranger) -> None:
    stranger.attempt_with(("40000", ".GIT", stranger.tree(("100644", "config", stranger.blob(b"[core]\n")))))
