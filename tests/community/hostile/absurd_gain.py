"""A gain a million times as large as the scores differ."""

from tests.community.stranger import Stranger

WHY = "absurd beside the scores"


def make(stranger: Stranger) -> None:
    stranger.offer(
        stranger.journal(stranger.record(status="kept", gain=1e6, low=1e6, high=1e6, score=0.9, against=1.0))
    )
