"""A commit whose page was exchanged under its signature."""

from tests.community.stranger import Stranger

WHY = "does not fit"


def make(stranger: Stranger) -> None:
    root = stranger.root()
    signature = stranger.signature(stranger.body(stranger.page(stranger.record()), [root]), stranger.key)
    changed = stranger.body(stranger.page(stranger.record(gain=0.5)), [root])
    stranger.offer(stranger.object("commit", stranger.signed(changed, signature)))
