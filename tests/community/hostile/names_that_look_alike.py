"""Two files that are one where Unicode is folded."""

from tests.community.stranger import Stranger

WHY = "no plain name|twice but for the case"


def make(stranger: Stranger) -> None:
    blob = stranger.blob(b"K = 1\n")
    stranger.attempt_with(("100644", "tr\u0061\u0308in.py", blob), ("100644", "tr\u00e4in.py", blob))
