"""A folder that names a file twice."""

from tests.community.stranger import Stranger

WHY = "git would not have it|names a file twice"


def make(stranger: Stranger) -> None:
    one, other = stranger.blob(b"K = 1\n"), stranger.blob(b"K = 2\n")
    stranger.attempt_with(("100644", "train.py", one), ("100644", "train.py", other))
