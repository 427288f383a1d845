"""A status that nobody knows."""

from tests.community.stranger import Stranger

WHY = "must be"


def make(stranger: Stranger) -> None:
    stranger.offer(stranger.journal(stranger.record(status="proved")))
