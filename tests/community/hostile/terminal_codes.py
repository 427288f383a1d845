"""A note that would clear a terminal and set its title."""

from tests.community.stranger import Stranger

WHY = "control, invisible"


def make(stranger: Stranger) -> None:
    stranger.offer(stranger.journal(stranger.record(text="\u001b[2J\u001b]0;owned\u0007fine")))
