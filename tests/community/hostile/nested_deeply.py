"""A line of a thousand brackets."""

from tests.community.stranger import Stranger

WHY = "nested too deeply|no JSON|no JSON object"


def make(stranger: Stranger) -> None:
    stranger.offer(stranger.journal(b"[" * 500 + b"]" * 500))
