"""The queue of ideas as agents meet it: what stands first, what bears on a question, and which one an attempt tries."""

from __future__ import annotations

import re
from collections.abc import Sequence

from mcp_server.campaign.bench import Bench
from mcp_server.campaign.reins.gate import closed
from mcp_server.ledger.live.orders import WAITING, Idea, IdeaState
from mcp_server.memory.admission import admit
from mcp_server.nouns.errors import NotNow
from mcp_server.nouns.rows import Campaign
from mcp_server.nouns.text import clean_block, clean_line

SHOWN, IN_RECALL = 3, 3
IDEA = "idea"  # the tag by which an agent adds one
MOST_WAITING = 500
SHORT = 160  # characters of one in `next`
LEAST = -100, 100  # of a priority
_NAMED = re.compile(r"\bidea\s*#?\s*(\d{1,9})\b", re.IGNORECASE)
_WORD = re.compile(r"[\w.]{3,}")


def line(one: Idea) -> str:
    """One idea for an agent. Its text is data of who wrote it."""
    marks = [
        mark
        for mark in (
            one.state if one.state is IdeaState.PINNED else "",
            f"by {'an' if one.source == 'agent' else 'a'} {one.source}",
        )
        if mark
    ]
    marks += [f"priority {one.priority}"] if one.priority else []
    return f"idea {one.id} ({', '.join(marks)}): {clean_block(one.text, 600)}"


def first(bench: Bench, campaign: Campaign) -> list[str]:
    """The first ones of the queue."""
    return [line(one) for one in bench.ledger.queue(campaign.tag)[:SHOWN]]


def bearing_on(bench: Bench, campaign: Campaign, query: str, knobs: Sequence[str]) -> list[str]:
    """The ideas that share most words with a question; the first ones where nothing is asked."""
    waiting, asked = bench.ledger.queue(campaign.tag), _words(" ".join([query, *knobs]))
    if asked:
        shared = {one.id: len(asked & _words(one.text)) for one in waiting}
        waiting = sorted((one for one in waiting if shared[one.id]), key=lambda one: -shared[one.id])
    return [line(one) for one in waiting[:IN_RECALL]]


def _words(text: str) -> set[str]:
    return {word.lower() for word in _WORD.findall(text)}


def added(bench: Bench, campaign: Campaign, text: str, source: str, priority: int = 0) -> tuple[int, str]:
    """(its number, its text as it stands). Raises NotNow for one that says nothing or stands there already."""
    waiting = bench.ledger.queue(campaign.tag)
    if len(waiting) >= MOST_WAITING:
        raise NotNow(f"{len(waiting)} ideas wait already. Try some, or drop some with `autoresearch ideas drop N`.")
    if not LEAST[0] <= priority <= LEAST[1]:
        raise NotNow(f"The priority is {priority}; it must be {LEAST[0]} to {LEAST[1]}.")
    admitted = admit(text, [one.text for one in waiting])
    if admitted.text is None:
        raise NotNow(admitted.refusal)
    return bench.ledger.add_idea(campaign.tag, admitted.text, priority, source, bench.stamp()), admitted.text


def taken(bench: Bench, campaign: Campaign, number: int, said: str) -> None:
    """Strike the ideas off that an experiment says it tries: `idea 3` in its description or hypothesis."""
    for key in dict.fromkeys(int(found) for found in _NAMED.findall(said)):
        try:
            one = bench.ledger.idea(campaign.tag, key)
        except NotNow:
            continue
        if one.state in WAITING:
            bench.ledger.change_idea(key, IdeaState.TRIED, experiment=number)


def next_step(bench: Bench, campaign: Campaign, said: str) -> str:
    """`next`, where it is to propose something: not while the gate is closed, and the queue's first idea before all."""
    why = closed(bench, campaign)
    if why:
        return f"{why}. Propose nothing until then: end the turn. Afterwards: {said}"
    waiting = bench.ledger.queue(campaign.tag)
    if not waiting:
        return said
    head, more = waiting[0], len(waiting) - 1
    others = f" and {more} more (recall)" if more else ""
    return f"{said} In the queue: idea {head.id}, {clean_line(head.text, SHORT)!r}{others}; name it in the description."
