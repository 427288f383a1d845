"""A record of ten megabytes."""

from tests.community.stranger import Stranger

WHY = "page of records is larger"


def make(stranger: Stranger) -> None:
    stranger.offer(stranger.journal(b"x" * 10_000_000))
