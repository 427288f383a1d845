"""One commit that brings a hundred attempts."""

from tests.community.stranger import Stranger

WHY = "brings 100 attempts"


def make(stranger: Stranger) -> None:
    codes = [stranger.code({"train.py": b"KNOB = %d\n" % n}) for n in range(100)]
    stranger.offer(stranger.journal(stranger.record(commit=codes[0]), brings=codes))
