"""A line without a version."""

from tests.community.stranger import Stranger

WHY = "without a version"


def make(stranger: Stranger) -> None:
    stranger.offer(stranger.journal(stranger.record(v=None)))
