"""A name with a right-to-left override, which reads as another one."""

from tests.community.stranger import Stranger

WHY = "no plain name"


def make(stranger: Stranger) -> None:
    stranger.attempt_with(("100644", "train\u202eyp.exe", stranger.blob(b"K = 1\n")))
