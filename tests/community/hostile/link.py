"""An attempt whose train.py is a link."""

from tests.community.stranger import Stranger

WHY = "is a link"


def make(stranger: Stranger) -> None:
    stranger.attempt_with(("120000", "train.py", stranger.blob(b"/etc/passwd")))
