"""A commit with two signatures, for readers that take one and readers that take the other."""

from tests.community.stranger import Stranger

WHY = "two signatures"


def make(stranger: Stranger) -> None:
    body = stranger.body(stranger.page(stranger.record()), [stranger.root()])
    once = stranger.signed(body, stranger.signature(body, stranger.key))
    stranger.offer(stranger.object("commit", stranger.signed(once, stranger.signature(once, stranger.other))))
