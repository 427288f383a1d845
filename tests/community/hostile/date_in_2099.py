"""A date in 2099."""

from tests.community.stranger import Stranger

WHY = "date is 2099"


def make(stranger: Stranger) -> None:
    stranger.offer(stranger.journal(stranger.record(at="2099-01-01T00:00:00Z")))
