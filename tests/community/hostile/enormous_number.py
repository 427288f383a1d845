"""A number of an attempt with three hundred digits."""

from tests.community.stranger import Stranger

WHY = "must be|is too large|less|whole number|no measurement|belongs"


def make(stranger: Stranger) -> None:
    stranger.offer(stranger.journal(stranger.record(10**300)))
