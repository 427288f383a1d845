"""An attempt that brings the history of a repository along."""

from tests.community.stranger import Stranger

WHY = "do not tell of"


def make(stranger: Stranger) -> None:
    secret = stranger.code({"train.py": b"an older commit\n"})
    code = stranger.commit(stranger.tree(("100644", "train.py", stranger.blob(b"K = 1\n"))), [secret], key=None)
    stranger.offer(stranger.journal(stranger.record(commit=code), brings=[code]))
