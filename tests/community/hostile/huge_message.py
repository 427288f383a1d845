"""A commit whose message has a megabyte."""

from tests.community.stranger import Stranger

WHY = "commit is larger"


def make(stranger: Stranger) -> None:
    body = stranger.body(stranger.page(stranger.record()), [stranger.root()], "x" * 1_000_000)
    stranger.offer(stranger.object("commit", stranger.signed(body, stranger.signature(body, stranger.key))))
