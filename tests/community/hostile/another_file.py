"""A journal's commit with a second file."""

from tests.community.stranger import Stranger

WHY = "records.jsonl and nothing else"


def make(stranger: Stranger) -> None:
    page = stranger.blob(b"")
    tree = stranger.tree(
        ("100644", "Makefile", stranger.blob(b"all:\n\ttouch canary\n")), ("100644", "records.jsonl", page)
    )
    stranger.offer(stranger.commit(tree, [stranger.root()], key=stranger.key))
