"""Claims, frontier and bounds as replies: numbers from what decides, words from the records, cleaned and bounded."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime

from mcp_server.arena.program import Arena
from mcp_server.community.claims import frontier
from mcp_server.community.claims.desk import Desk, View
from mcp_server.community.claims.frontier import Island
from mcp_server.community.claims.reviews import Word
from mcp_server.community.claims.standing import Standing, standings
from mcp_server.community.claims.status import Claim
from mcp_server.ledger import Ledger
from mcp_server.ledger.foreign import Foreign
from mcp_server.ledger.measured import Measured, keeps, near_misses
from mcp_server.memory.wording import signed
from mcp_server.nouns.exchanged import SHORT, short
from mcp_server.nouns.numbers import counted
from mcp_server.nouns.replies import BoundsReply, ClaimReply, ClaimsReply, ClassReply, FrontierReply, StandingReply
from mcp_server.nouns.rows import Campaign
from mcp_server.nouns.text import clean_line

SHOWN = 30


def told_claims(desk: Desk, campaign: Campaign, arena: Arena) -> ClaimsReply:
    """Raises CommunityError where nobody told anything."""
    with desk.open() as foreign:
        contract = desk.contract(foreign, campaign, arena)
        view = desk.view(foreign, contract)
        reviews = desk.reviews(foreign)
        ordered = sorted(view.claims, key=lambda one: (-len(one.tried), -one.first.gain, one.name))
        reply = ClaimsReply(
            claims=[_claim(foreign, one, reviews) for one in ordered[:SHOWN]],
            more=max(0, len(ordered) - SHOWN),
            labs=_labs(foreign, view),
            classes=_classes(frontier.islands(keeps(foreign, contract))),
        )
        reply.next = "`autoresearch adopt LAB/n` makes one on the incumbent, as an own paired attempt."
        return reply


def _claim(foreign: Foreign, one: Claim, reviews: Mapping[str, Sequence[Word]]) -> ClaimReply:
    known = foreign.attempt(one.first.lab, one.first.n)
    reply = ClaimReply(
        claim=short(one.name),
        status=str(one.status),
        gain=one.first.gain,
        replicated=len(one.replicated),
        tried=len(one.tried),
        works_on=list(one.works_on),
        fails_on=list(one.fails_on),
        reviews=[str(word) for word in reviews.get(one.name, ())],
        machine=one.first.machine,
    )
    if one.others is not None:
        reply.pooled, reply.interval = one.others.gain, list(one.others.interval or ())
    if known is not None:
        told = known.attempt
        reply.text, reply.lesson = clean_line(told.text, 160), clean_line(told.lesson, 200)
        reply.agent = clean_line(" ".join(filter(None, (told.agent, told.model, told.style))), 100)
        reply.changes = [clean_line(f"{name} {before}→{after}", 120) for name, before, after in told.knobs[:4]]
    return reply


def _labs(foreign: Foreign, view: View) -> list[StandingReply]:
    found = standings(view.claims)
    rows = [row for row in foreign.labs() if row.own or row.lab in found]
    names = view.trust.called(rows)
    return [_standing(found.get(row.lab, Standing(row.lab)), names[row.lab], row.own, view) for row in rows]


def _standing(one: Standing, name: str, own: bool, view: View) -> StandingReply:
    return StandingReply(
        lab=one.lab[:SHORT],
        name=name,
        role="own" if own else str(view.trust.role(one.lab)),
        claimed=one.claimed,
        replicated=one.replicated,
        refuted=one.refuted,
        trust=round(one.trust, 3),
    )


def _classes(found: Sequence[Island]) -> list[ClassReply]:
    return [
        ClassReply(
            machine=machine or "unknown",
            labs=sum(one.machine == machine for one in found),
            best=f"{best.lab[:SHORT]}/{best.last}",
            gain=best.gain,
            curve=[round(value, 9) for value in best.curve],
        )
        for machine, best in frontier.best_by_class(found).items()
    ]


def told_frontier(desk: Desk, ledger: Ledger, campaign: Campaign, arena: Arena, now: datetime) -> FrontierReply:
    """Raises CommunityError where nobody told anything."""
    with desk.open() as foreign:
        contract = desk.contract(foreign, campaign, arena)
        at = desk.situation(foreign, ledger, campaign, arena, now)
        found = frontier.islands(keeps(foreign, contract))
        constants: list[str] = json.loads(foreign.noted(f"constants {contract}") or "[]")
        missed = near_misses(foreign, contract, frontier.MOST)
        reviews, able = desk.reviews(foreign), frontier.to_build_on(at.claims, at.own, at.machine, at.tried)
        explored = frontier.least_explored(constants, foreign.pooled(contract))
        reply = FrontierReply(
            build_on=[_claim(foreign, one, reviews) for one in able],
            near_misses=[_missed(foreign, one) for one in missed],
            least_explored=[f"{clean_line(name, 40)}: {count}" for name, count in explored],
            islands=[_island(one) for one in found if not one.own][: frontier.MOST],
            classes=_classes(found),
        )
    due = desk.due(ledger, campaign, arena, now)
    reply.repeat = str(due[0]) if due else ""
    reply.next = (
        "`autoresearch adopt LAB/n` makes one on the incumbent; `autoresearch combine A B` puts two together; "
        "start_campaign(tag, from_ref='LAB/n') begins a direction from another lab's code."
    )
    return reply


def _missed(foreign: Foreign, one: Measured) -> str:
    known = foreign.attempt(one.lab, one.n)
    moved = ", ".join(f"{n} {a}→{b}" for n, a, b in known.attempt.knobs[:2]) if known else ""
    text = known.attempt.text if known else ""
    error = f" ± {signed(one.deviation).lstrip('+')}" if one.deviation else ""
    return clean_line(f"{short(one.name)} {moved or 'code'}: {signed(one.gain)}{error} “{text}”", 160)


def _island(one: Island) -> str:
    many = counted(len(one.curve), "keep")
    return clean_line(
        f"{one.lab[:SHORT]}/{one.last}: {signed(one.gain)} in {many}, {one.machine or 'machine unknown'}", 160
    )


def told_bounds(desk: Desk, ledger: Ledger | None, campaign: Campaign | None) -> BoundsReply:
    """The bounds, and how this campaign was spent."""
    bounds = desk.bounds()
    reply = BoundsReply(**bounds.model_dump())
    if ledger is not None and campaign is not None:
        past = desk.past(ledger, campaign)
        reply.slots, reply.spent, reply.repeated = past.slots, past.spent, len(past.repeats)
        reply.adopted = sum(one.adopted for one in past.repeats)
    return reply
