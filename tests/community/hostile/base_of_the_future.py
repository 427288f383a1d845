"""An attempt that was made on one after it."""

from tests.community.stranger import Stranger

WHY = "came after it"


def make(stranger: Stranger) -> None:
    stranger.offer(stranger.journal(stranger.record(base=7)))
