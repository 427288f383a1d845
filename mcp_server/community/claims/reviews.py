"""Which posts are a paper's entry or a review of one, and what reviews say of records. Pure.

Both are signed posts in a form of their own; who signs what only looks like one has said it all the same. What a lab
says of its own paper, or of its own record in another's, is an answer and no review.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from mcp_server.ledger.posts import Posted
from mcp_server.nouns.exchanged import short

_PAPER = re.compile(r"Paper sha256:([0-9a-f]{64}) “(.*)”")
_VERDICT = re.compile(r"\b([0-9a-f]{8}/\d{1,8}) (supported|weakened|refuted|unexamined)\b")


@dataclass(frozen=True)
class Word:
    """What one lab's newest review says of a record. post: LAB/pN."""

    post: str
    verdict: str

    def __str__(self) -> str:
        """`refuted (review a1b2c3d4/p3)`"""
        return f"{self.verdict} (review {short(self.post)})"


def paper_in(text: str) -> tuple[str, str] | None:
    """(digest, title) of the paper whose entry a post is; None for any other post."""
    found = _PAPER.match(text)
    return (found[1], found[2]) if found else None


def verdicts_in(text: str, paper: str) -> dict[str, str] | None:
    """What a post says as the review of a paper, by LAB/n; None where it is none. Names of labs are short here."""
    return dict(_VERDICT.findall(text)) if text.startswith(f"Review of {paper}:") else None


def reviews_of(posts: Iterable[Posted], heard: Callable[[str], bool]) -> dict[str, list[Word]]:
    """By LAB/n, what reviews of labs that are heard say of the records that papers name; in the order of their labs."""
    known = {one.name: one for one in posts}
    words: dict[str, dict[str, Word]] = {}
    for one in sorted(known.values(), key=lambda one: one.post.p):
        paper = known.get(one.post.reply_to)
        if paper is None or one.lab == paper.lab or not heard(one.lab) or paper_in(paper.post.text) is None:
            continue
        told = verdicts_in(one.post.text, short(paper.name)) or {}
        for name in paper.post.about:
            if short(name) in told and name.partition("/")[0] != one.lab:
                words.setdefault(name, {})[one.lab] = Word(one.name, told[short(name)])
    return {name: [word for _, word in sorted(some.items())] for name, some in words.items()}
