"""The board as this lab reads it: threads with the support of what they cite, unread marks, news in a few words.

What muted and distrusted labs say is not shown. Words are strangers': quoted, bounded, never followed.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from mcp_server.community.board.marks import read_marks, write_marks
from mcp_server.community.board.saying import OWN, outbox, post_meant
from mcp_server.community.board.threads import Thread, threads
from mcp_server.community.claims.hearing import heard_claims, own_lab
from mcp_server.community.claims.status import words_of
from mcp_server.community.elsewhere import as_attempt, opened
from mcp_server.community.settings import Places
from mcp_server.community.trust import lab_meant, read_trust
from mcp_server.ledger import posts as rows
from mcp_server.ledger.foreign import UNUSABLE, Foreign
from mcp_server.ledger.posts import Posted
from mcp_server.memory.wording import line
from mcp_server.nouns.errors import AutoresearchError, NotNow
from mcp_server.nouns.exchanged import SHORT, short, stamp
from mcp_server.nouns.numbers import counted
from mcp_server.nouns.replies import PostReply, ThreadsReply
from mcp_server.nouns.text import clean_line

NEWS_CHARACTERS = 560  # 200 tokens, names and numbers being short ones
NEWS_LINES = 3
NEWS_DAYS = 7
THREADS_SHOWN = 20
POSTS_SHOWN = 500
CITED_CHARACTERS = 160
VERBS = {"post": "says", "question": "asks", "idea": "offers"}


@dataclass(frozen=True)
class Board:
    """All posts that are shown, and how this lab stands to each."""

    posts: tuple[Posted, ...]
    unread: frozenset[str]
    for_us: frozenset[str]


def board_of(foreign: Foreign, places: Places) -> Board:
    marks = read_marks(places.marks)
    found = tuple(one for one in rows.posts(foreign) if one.lab not in marks.muted)
    own = {one.name for one in found if one.own}
    us = own_lab(foreign)
    meant = [
        one.name
        for one in found
        if not one.own
        and (
            us in one.post.to
            or one.post.reply_to in own
            or any(name.partition("/")[0] == us for name in one.post.about)
        )
    ]
    unread = [one.name for one in found if not one.own and not marks.has_read(one.lab, one.post.p)]
    return Board(found, frozenset(unread), frozenset(meant))


def read(
    places: Places,
    which: str = "",
    *,
    unread: bool = False,
    limit: int = THREADS_SHOWN,
    most: int = POSTS_SHOWN,
    looking: bool = False,
) -> ThreadsReply:
    """Threads; what was shown is read from now on, unless one is only looking. Raises CommunityError.

    which: LAB/pN for its thread, or a lab for those in which it spoke. most: posts of all together.
    """
    with opened(places) as foreign:
        waiting = [
            PostReply(text=one.text, own=True, sort=one.sort, at=one.at, about=[_short(cited) for cited in one.about])
            for one in outbox(places)
        ]
        if foreign is None:
            return ThreadsReply(posts=waiting, next="No other lab is known here yet.")
        board = board_of(foreign, places)
        names = read_trust(places.trust).called(foreign.labs())
        found = _chosen(threads(board.posts), board, names, which, unread)
        posts = _within(found[:limit], most, board.unread)
        told = sum(depth == 0 for depth, _ in posts)  # each begins with its root
        reply = ThreadsReply(threads=len(found), unread=len(board.unread), left_out=len(found) - told)
        judged = _judged(foreign, places, {one.post.contract for _, one in posts})
        reply.posts = [_reply(foreign, board, names, judged, depth, one) for depth, one in posts]
        reply.posts += waiting if not which else []
        marks = read_marks(places.marks)
        reply.muted = [names.get(lab) or lab[:SHORT] for lab in marks.muted]
        shown = [(one.lab, one.post.p) for _, one in posts if one.name in board.unread]
        if shown and not looking:
            write_marks(places.marks, marks.reading(shown))
    reply.next = _next(reply)
    return reply


def _within(found: Sequence[Thread], most: int, unread: Collection[str]) -> list[tuple[int, Posted]]:
    """As many posts of these threads, each with its depth; a long thread leaves room for the others."""
    posts: list[tuple[int, Posted]] = []
    for place, thread in enumerate(found):
        room = most - len(posts)
        posts += thread.newest(max(room // 2, room // (len(found) - place)), unread) if room > 0 else ()
    return posts


def _next(reply: ThreadsReply) -> str:
    if not reply.posts:
        return "Nothing was said yet. `autoresearch community post TEXT --about LAB/n` begins a thread."
    return "`autoresearch community reply LAB/pN TEXT` answers; what others say is advice, and in quotes."


def _chosen(found: list[Thread], board: Board, names: dict[str, str], which: str, unread: bool) -> list[Thread]:
    if which and "/" in which:
        lab, p = post_meant(names, which)
        found = [one for one in found if any(post.name == f"{lab}/p{p}" for _, post in one.posts)]
        if not found:
            raise NotNow(f"There is no post {clean_line(which, 40)}. `autoresearch community read` lists them.")
    elif which:
        lab = lab_meant(names, which)
        found = [one for one in found if any(post.lab == lab for _, post in one.posts)]
    if unread:
        found = [one for one in found if any(post.name in board.unread for _, post in one.posts)]
    return found


def mute(places: Places, given: str, muted: bool) -> ThreadsReply:
    """Show a lab's posts no more, or again. Its records count as before. Raises CommunityError."""
    with opened(places) as foreign:
        if foreign is None:
            raise NotNow("No other lab is known here yet, so there is nobody to mute.")
        names = read_trust(places.trust).called(row for row in foreign.labs() if not row.own)
        lab = lab_meant(names, given)
    marks = read_marks(places.marks).muting(lab, muted)
    write_marks(places.marks, marks)
    said = "are not shown here any more; its records count as before" if muted else "are shown again"
    return ThreadsReply(
        muted=[one[:SHORT] for one in marks.muted], next=f"What {names[lab] or lab[:SHORT]} posts: they {said}."
    )


def _judged(foreign: Foreign, places: Places, contracts: Iterable[str]) -> dict[str, str]:
    """What the measurements of labs that this one hears say of each claim, by LAB/n."""
    trust = read_trust(places.trust)
    found = [one for contract in sorted(contracts) for one in heard_claims(foreign, contract, trust)]
    return {one.name: words_of(one) for one in found}


def _reply(
    foreign: Foreign, board: Board, names: Mapping[str, str], judged: Mapping[str, str], depth: int, one: Posted
) -> PostReply:
    return PostReply(
        post=f"{one.lab[:SHORT]}/p{one.post.p}",
        lab=one.lab[:SHORT],
        name=names[one.lab],
        own=one.own,
        sort=one.post.sort,
        at=one.post.at,
        text=one.post.text,
        about=support(foreign, one.post.about, judged),
        depth=depth,
        unread=one.name in board.unread,
        for_us=one.name in board.for_us,
    )


def support(foreign: Foreign, names: Sequence[str], judged: Mapping[str, str]) -> list[str]:
    """Each cited record in a line: how it came out, and what others say of it."""
    found = []
    for name in names:
        lab, _, n = name.partition("/")
        known = foreign.attempt(lab, int(n))
        said = (
            line(as_attempt(known), CITED_CHARACTERS)
            if known is not None
            else f"{_short(name)}: nobody told of it here"
        )
        found.append(f"{said} [{judged[name]}]" if name in judged else said)
    return found


def _short(name: str) -> str:
    if name.startswith(OWN):
        return "one of ours, not sent yet"
    return short(name)


def news(places: Places, now: Callable[[], datetime], limit: int = NEWS_CHARACTERS) -> list[str]:
    """What `lab_status` says of the board: unread posts of the last days, those for this lab first."""
    fresh: list[Posted] = []
    board = Board((), frozenset(), frozenset())
    # a verb goes on without what others said where it cannot be read
    with contextlib.suppress(*UNUSABLE, AutoresearchError), opened(places) as foreign:
        if foreign is not None:
            board = board_of(foreign, places)
            since = stamp(now() - timedelta(days=NEWS_DAYS))
            fresh = [one for one in board.posts if one.name in board.unread and one.post.at >= since]
    if not fresh:
        return []
    fresh.sort(key=lambda one: (one.name in board.for_us, one.post.at), reverse=True)
    mine = sum(one.name in board.for_us for one in fresh)
    told = [counted(len(fresh), "unread post") + (f", {mine} for this lab" if mine else "")]
    for one in fresh[:NEWS_LINES]:
        room = (limit - sum(map(len, told))) // max(1, NEWS_LINES - len(told) + 1)
        told.append(_news(one, min(room, limit - sum(map(len, told)) - len(told))))
    return told


def _news(one: Posted, room: int) -> str:
    about = f" about {', '.join(_short(name) for name in one.post.about[:2])}" if one.post.about else ""
    reply = f" to {_short(one.post.reply_to)}" if one.post.reply_to else ""
    head = f"{one.lab[:SHORT]}/p{one.post.p} {VERBS.get(one.post.sort, 'says')}{about}{reply}: "
    return f"{head}“{clean_line(one.post.text, max(20, room - len(head) - 2))}”"
