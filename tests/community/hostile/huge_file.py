"""A file of 64 MB that packs into a few kilobytes."""

from tests.community.stranger import Stranger

WHY = "file is larger"


def make(stranger: Stranger) -> None:
    stranger.attempt_with(("100644", "train.py", stranger.blob(b"\0" * 64_000_000)))
