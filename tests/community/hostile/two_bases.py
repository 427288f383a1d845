"""An attempt that was made on two others."""

from tests.community.stranger import Stranger

WHY = "more than one base"


def make(stranger: Stranger) -> None:
    first, second = stranger.code(), stranger.code({"train.py": b"K = 2\n"})
    tree = stranger.tree(("100644", "train.py", stranger.blob(b"K = 3\n")))
    code = stranger.commit(tree, [first, second], key=None)
    stranger.offer(stranger.journal(stranger.record(commit=code), brings=[code, first, second]))
