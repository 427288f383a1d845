"""An attempt whose file was damaged on the disk of the remote."""

from tests.community.stranger import Stranger

WHY = "cannot be read|git would not have it"


def make(stranger: Stranger) -> None:
    blob = stranger.blob(b"K = 1\n" * 1000)
    place = stranger.remote / "objects" / blob[:2] / blob[2:]
    place.chmod(0o644)
    stranger.attempt_with(("100644", "train.py", blob))
    place.write_bytes(b"no object")
