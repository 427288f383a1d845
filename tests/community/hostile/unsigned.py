"""A journal without a signature."""

from tests.community.stranger import Stranger

WHY = "not signed"


def make(stranger: Stranger) -> None:
    tip = stranger.commit(stranger.page(stranger.record()), [stranger.root()], key=None)
    stranger.offer(tip)
