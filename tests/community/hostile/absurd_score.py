"""A score of ten to the three hundredth."""

from tests.community.stranger import Stranger

WHY = "no measurement"


def make(stranger: Stranger) -> None:
    stranger.offer(stranger.journal(stranger.record(score=-1e300, against=None, gain=None, low=None, high=None)))
