"""A note with a right-to-left override."""

from tests.community.stranger import Stranger

WHY = "control, invisible"


def make(stranger: Stranger) -> None:
    stranger.offer(stranger.journal(stranger.record(lesson="safe \u202e evil")))
