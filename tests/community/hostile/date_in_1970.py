"""A date from before there was such a thing."""

from tests.community.stranger import Stranger

WHY = "date is 1970"


def make(stranger: Stranger) -> None:
    stranger.offer(stranger.journal(stranger.record(at="1970-01-01T00:00:00Z")))
