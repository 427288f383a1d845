"""An attempt of three hundred files."""

from tests.community.stranger import Stranger

WHY = "more than 200 files"


def make(stranger: Stranger) -> None:
    blob = stranger.blob(b"K = 1\n")
    stranger.attempt_with(*sorted(("100644", f"f{n}.py", blob) for n in range(300)))
