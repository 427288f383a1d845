"""Two files that are one where case does not count."""

from tests.community.stranger import Stranger

WHY = "twice but for the case"


def make(stranger: Stranger) -> None:
    blob = stranger.blob(b"K = 1\n")
    stranger.attempt_with(("100644", "Train.py", blob), ("100644", "train.py", blob))
