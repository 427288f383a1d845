"""Somebody's own journal under another lab's name."""

from tests.community.stranger import Stranger

WHY = "another key"


def make(stranger: Stranger) -> None:
    stranger.offer(stranger.journal(stranger.record()), lab=stranger.other.lab)
