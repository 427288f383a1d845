"""An attempt with .git and a zero-width character, which some file systems drop."""

from tests.community.stranger import Stranger

WHY = "git would not have it|no plain name"


def make(stranger: Stranger) -> None:
    stranger.attempt_with(("40000", ".g\u200cit", stranger.tree(("100644", "config", stranger.blob(b"[core]\n")))))
