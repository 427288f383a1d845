"""A page of ten thousand lines."""

from tests.community.stranger import Stranger

WHY = "page of records is larger|more than .* lines"


def make(stranger: Stranger) -> None:
    stranger.offer(stranger.journal(*[b"{}"] * 10_000))
