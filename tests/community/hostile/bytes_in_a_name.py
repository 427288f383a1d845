"""An attempt with a file name that is no text."""

from tests.community.stranger import Stranger

WHY = "no plain name"


def make(stranger: Stranger) -> None:
    stranger.attempt_with(("100644", b"tr\xff\xfein.py", stranger.blob(b"K = 1\n")))
