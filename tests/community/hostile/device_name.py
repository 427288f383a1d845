"""A file called as a device of Windows."""

from tests.community.stranger import Stranger

WHY = "no plain name"


def make(stranger: Stranger) -> None:
    stranger.attempt_with(("100644", "con.py", stranger.blob(b"K = 1\n")))
