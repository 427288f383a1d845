"""An attempt whose file is not there."""

from tests.community.stranger import Stranger

WHY = "cannot be read|git would not have it"


def make(stranger: Stranger) -> None:
    stranger.attempt_with(("100644", "train.py", "34" * 20))
