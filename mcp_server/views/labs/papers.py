"""Papers and reviews as the board tells of them: which paper, about which records, what its reviewers found. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import Field

from mcp_server.community.claims.reviews import paper_in, verdicts_in
from mcp_server.nouns.replies import PostReply, Reply


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
        if (said := paper_in(one.text)) is not None:
            digest, title = said
            row = PaperRow(
                post=one.post,
                lab=one.lab,
                own=one.own,
                at=one.at,
                digest=digest,
                title=title or "without a title",
                about=one.about,
            )
            found.append(row)
            current = (one.depth, row)
        elif current is not None:
            verdicts = verdicts_in(one.text, current[1].post) if one.lab != current[1].lab else None
            if verdicts is None:
                current[1].answers += 1
            else:
                told = Reviewed(post=one.post, lab=one.lab, own=one.own, at=one.at, text=one.text, verdicts=verdicts)
                current[1].reviews.append(told)
    return found
