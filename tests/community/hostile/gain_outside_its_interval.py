"""A gain that its own interval does not hold."""

from tests.community.stranger import Stranger

WHY = "outside of its own interval"


def make(stranger: Stranger) -> None:
    stranger.offer(stranger.journal(stranger.record(gain=5.0, low=-0.1, high=0.1, score=None, against=None)))
