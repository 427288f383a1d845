"""A folder of a megabyte."""

from tests.community.stranger import Stranger

WHY = "folder is larger"


def make(stranger: Stranger) -> None:
    blob = stranger.blob(b"K = 1\n")
    stranger.attempt_with(*sorted(("100644", f"f{n:06}{'x' * 80}", blob) for n in range(10_000)))
