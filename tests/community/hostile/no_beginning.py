"""A journal that stands on an attempt instead of on a journal."""

from tests.community.stranger import Stranger

WHY = "not signed with the lab's key"


def make(stranger: Stranger) -> None:
    code = stranger.code()
    stranger.offer(stranger.commit(stranger.page(stranger.record(commit=code)), [code], key=stranger.key))
