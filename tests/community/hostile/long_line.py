"""A record of two kilobytes."""

from tests.community.stranger import Stranger

WHY = "at most 1,024"


def make(stranger: Stranger) -> None:
    stranger.offer(stranger.journal(stranger.record(text="x" * 2000)))
