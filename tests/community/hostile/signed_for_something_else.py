"""A signature that was made for a file, not for git."""

from tests.community.stranger import Stranger

WHY = "does not fit"


def make(stranger: Stranger) -> None:
    page = stranger.page(stranger.record())
    stranger.offer(stranger.commit(page, [stranger.root()], key=stranger.key, namespace="file"))
