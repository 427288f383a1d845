"""An attempt with a submodule, which some readers would fetch."""

from tests.community.stranger import Stranger

WHY = "is a submodule"


def make(stranger: Stranger) -> None:
    stranger.attempt_with(("160000", "evil", "12" * 20), ("100644", "train.py", stranger.blob(b"K = 1\n")))
