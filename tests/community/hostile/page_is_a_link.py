"""Records that are a link to a file of the reader's."""

from tests.community.stranger import Stranger

WHY = "records.jsonl and nothing else"


def make(stranger: Stranger) -> None:
    tree = stranger.tree(("120000", "records.jsonl", stranger.blob(b"/etc/passwd")))
    stranger.offer(stranger.commit(tree, [stranger.root()], key=stranger.key))
