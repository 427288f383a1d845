"""A journal's ref that is a tag of a sound journal."""

from tests.community.stranger import Stranger

WHY = "no commit"


def make(stranger: Stranger) -> None:
    tip = stranger.journal(stranger.record())
    tag = f"object {tip}\ntype commit\ntag x\ntagger x <x@x> 1767225600 +0000\n\nx\n".encode()
    stranger.git("update-ref", f"refs/autoresearch/labs/{stranger.lab}", stranger.object("tag", tag))
