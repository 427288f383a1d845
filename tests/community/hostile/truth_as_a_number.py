"""`true` where a number stands."""

from tests.community.stranger import Stranger

WHY = "whole number|belongs here|must be"


def make(stranger: Stranger) -> None:
    stranger.offer(stranger.journal(stranger.record(True, mark="00" * 8)))
