"""A journal's ref that is a file."""

from tests.community.stranger import Stranger

WHY = "git would not have it|cannot be read|no commit"


def make(stranger: Stranger) -> None:
    stranger.git("update-ref", f"refs/autoresearch/labs/{stranger.lab}", stranger.blob(b"hello"))
