"""A line that names a field twice, for readers that take the first and readers that take the last."""

from tests.community.stranger import Stranger

WHY = "names a field twice"


def make(stranger: Stranger) -> None:
    stranger.offer(stranger.journal(b'{"v":1,"kind":"attempt","n":1,"n":2}'))
