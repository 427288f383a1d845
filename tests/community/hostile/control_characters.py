"""A note with control characters."""

from tests.community.stranger import Stranger

WHY = "control, invisible"


def make(stranger: Stranger) -> None:
    stranger.offer(stranger.journal(stranger.record(text="a\u0007b\u0000c")))
