"""A record that names a commit which is not there."""

from tests.community.stranger import Stranger

WHY = "does not bring"


def make(stranger: Stranger) -> None:
    stranger.offer(stranger.journal(stranger.record(commit="56" * 20)))
