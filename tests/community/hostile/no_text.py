"""A line that is no UTF-8."""

from tests.community.stranger import Stranger

WHY = "no JSON"


def make(stranger: Stranger) -> None:
    stranger.offer(stranger.journal(b"\xff\xfe{}"))
