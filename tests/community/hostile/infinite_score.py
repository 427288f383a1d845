"""A score of infinity."""

from tests.community.stranger import Stranger

WHY = "no measurement|not valid JSON"


def make(stranger: Stranger) -> None:
    stranger.offer(stranger.journal(stranger.record(score=float("-inf"))))
