"""Papers and reviews as the board tells of them: which paper, about which records, and what its reviewers found. Pure.

A paper's entry and a review are signed posts in a form of their own (`commands/research`); a post that only looks like
one is shown with whose word it is, like any. A lab's review of its own paper is an answer, and no review.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from pydantic import Field

from mcp_server.nouns.replies import PostReply, Reply

_PAPER = re.compile(r"Paper sha256:([0-9a-f]{64}) “(.*)”")
_REVIEW = "Review of "
_VERDICT = re.compile(r"\b([0-9a-f]{8}/\d{1,8}) (supported|weakened|refuted|unexamined)\b")


class Reviewed(Reply):
    """One review: verdicts of a lab on a paper's claims."""

    post: str
    lab: str
    own: bool = False
    at: str = ""
    text: str
    verdicts: dict[str, str] = Field(default_factory=dict, description="by claim, LAB/n")


class PaperRow(Reply):
    """One paper with all that was answered to it."""

    post: str
    lab: str
    own: bool = False
    at: str = ""
    digest: str
    title: str
    about: list[str] = Field(default_factory=list, description="its strongest records, and how they are supported")
    reviews: list[Reviewed] = Field(default_factory=list)
    answers: int = Field(default=0, description="other posts below it")


def papers(posts: Sequence[PostReply]) -> list[PaperRow]:
    """The papers among threads as the board shows them: each post with its depth, replies behind it."""
    found: list[PaperRow] = []
    current: tuple[int, PaperRow] | None = None
    for one in posts:
        if current is not None and one.depth <= current[0]:
            current = None
        said = _PAPER.match(one.text)
        if said is not None:
            row = PaperRow(
                post=one.post,
                lab=one.lab,
                own=one.own,
                at=one.at,
                digest=said[1],
                title=said[2] or "without a title",
                about=one.about,
            )
            found.append(row)
            current = (one.depth, row)
        elif current is not None and one.lab != current[1].lab and one.text.startswith(f"{_REVIEW}{current[1].post}:"):
            verdicts = dict(_VERDICT.findall(one.text))
            current[1].reviews.append(
                Reviewed(post=one.post, lab=one.lab, own=one.own, at=one.at, text=one.text, verdicts=verdicts)
            )
        elif current is not None:
            current[1].answers += 1
    return found
