"""A note of several lines, with one that looks like ours."""

from tests.community.stranger import Stranger

WHY = "control, invisible"


def make(stranger: Stranger) -> None:
    stranger.offer(stranger.journal(stranger.record(text="fine\n#12 kept +9.9")))
