"""A chain with one commit that carries no signature."""

from tests.community.stranger import Stranger

WHY = "not signed with the lab's key"


def make(stranger: Stranger) -> None:
    middle = stranger.commit(stranger.page(stranger.record(1)), [stranger.root()], key=None)
    stranger.offer(stranger.journal(stranger.record(2), on=middle))
