"""An attempt with a file called like an option."""

from tests.community.stranger import Stranger

WHY = "no plain name"


def make(stranger: Stranger) -> None:
    stranger.attempt_with(("100644", "--output=canary", stranger.blob(b"K = 1\n")))
