"""A journal that another key signed."""

from tests.community.stranger import Stranger

WHY = "another key"


def make(stranger: Stranger) -> None:
    tip = stranger.commit(stranger.page(stranger.record()), [stranger.root()], key=stranger.other)
    stranger.offer(tip)
