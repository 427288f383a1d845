"""Opens a review: which claims a paper makes, by its signed journal entry or by its file once that was checked."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from pathlib import Path

from mcp_server.community.board.saying import post_meant
from mcp_server.community.elsewhere import opened
from mcp_server.community.settings import Places
from mcp_server.community.trust import read_trust
from mcp_server.lab import Lab
from mcp_server.ledger import posts
from mcp_server.ledger.foreign import Foreign
from mcp_server.ledger.posts import Posted
from mcp_server.nouns.errors import CommunityError, NotNow, UnknownExperiment
from mcp_server.nouns.exchanged import SHORT
from mcp_server.nouns.files import private_folder
from mcp_server.nouns.text import clean_line
from mcp_server.reviewing.sheet import Claimed, Review
from mcp_server.views.paper import making

_POST = re.compile(r"[\w-]{1,64}/p[1-9]\d{0,7}")
_DIGEST = re.compile(r"\bPaper sha256:([0-9a-f]{64})")
_KEPT = re.compile(r"^\| #(\d{1,7}) \|", re.MULTILINE)


def opened_review(lab: Lab, target: str, at: Path) -> Review:
    """The review of LAB/pN or of a paper's file. One that was begun goes on. Raises NotNow or CommunityError."""
    if _POST.fullmatch(target) and not (at / target).exists():
        found = _of_post(lab, target)
    else:
        found = _of_file(lab, (at / target).resolve())
    if not found.claims:
        raise NotNow("This paper claims no gain, so there is nothing a run could refute. `community reply` answers it.")
    before = remembered(lab, found.id)
    return found.model_copy(update={"outcomes": before.outcomes}) if before is not None else found


def remembered(lab: Lab, name: str) -> Review | None:
    """A review that was begun here; None where there is none."""
    try:
        return Review.read(_place(lab, name))
    except FileNotFoundError:
        return None


def remember(lab: Lab, review: Review) -> None:
    """Raises OSError."""
    private_folder(_place(lab, review.id).parent)
    review.write(_place(lab, review.id))


def _place(lab: Lab, name: str) -> Path:
    return lab.paths.state / "reviews" / f"{name}.json"


def _id(*about: str) -> str:
    return hashlib.sha256(" ".join(about).encode()).hexdigest()[:16]


def _of_post(lab: Lab, target: str) -> Review:
    with opened(Places.of(lab.paths.state)) as foreign:
        if foreign is None:
            raise CommunityError("No other lab is known here. `autoresearch community join` joins some.")
        names = read_trust(Places.of(lab.paths.state).trust).called(foreign.labs())
        whose, number = post_meant(names, target)
        found = posts.post(foreign, whose, number)
        digest = _DIGEST.search(found.post.text) if found is not None else None
        if found is None or digest is None:
            raise NotNow(f"{clean_line(target, 40)} is no paper's entry. `autoresearch community read` lists what is.")
        return Review(
            id=_id(digest[1]),
            paper=digest[1],
            post=f"{whose[:SHORT]}/p{number}",
            title=clean_line(found.post.text.partition("“")[2].rpartition("”")[0], 200),
            claims=tuple(_told(foreign, found)),
        )


def _told(foreign: Foreign, found: Posted) -> Iterator[Claimed]:
    """The gains that the records it names tell of; the records are signed as well."""
    for name in found.post.about:
        lab, _, number = name.partition("/")
        known = foreign.attempt(lab, int(number))
        one = known.attempt if known is not None else None
        if one is not None and one.gain is not None and one.gain > 0 and one.status == "kept":
            yield Claimed(name=f"{lab[:SHORT]}/{number}", words=one.text, gain=one.gain, low=one.low, high=one.high)


def _of_file(lab: Lab, path: Path) -> Review:
    if not path.is_file():
        raise NotNow(f"There is no file {path.name}. Name a paper, or the journal's entry of one: LAB/pN.")
    checked = making.check(lab, path)
    if checked.problems:
        raise NotNow(f"{path.name} is refused and not reviewed: " + "; ".join(checked.problems) + ".")
    if checked.vouched != "this lab":
        return _of_post(lab, checked.vouched)
    text = path.read_text("utf-8")
    if path.suffix == ".html":
        raise NotNow("Review the paper.md: its rows are the claims.")
    claims = []
    with lab.reading_all() as bench:
        for number in dict.fromkeys(int(one) for one in _KEPT.findall(text.partition("\n## What did not work")[0])):
            try:
                one = bench.ledger.experiment(checked.campaign, number)
            except UnknownExperiment:
                continue
            gain, edges = one.verdict.change, one.verdict.interval or (None, None)
            if one.decision == "keep" and gain is not None and gain > 0:
                claims.append(Claimed(name=f"#{number}", words=one.description, gain=gain, low=edges[0], high=edges[1]))
    title = text.partition("\n")[0].removeprefix("# ").replace("\\", "")
    return Review(
        id=_id(checked.digest), paper=checked.digest, campaign=checked.campaign, title=clean_line(title, 200),
        claims=tuple(claims),
    )  # fmt: skip
