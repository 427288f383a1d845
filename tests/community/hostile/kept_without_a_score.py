"""A keep that nobody measured."""

from tests.community.stranger import Stranger

WHY = "kept without a score"


def make(stranger: Stranger) -> None:
    stranger.offer(
        stranger.journal(stranger.record(status="kept", score=None, against=None, gain=None, low=None, high=None))
    )
