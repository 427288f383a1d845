"""What to repeat next, and whether there is room for it. Pure: the same situation, the same choice.

Replicated gains count by what they surely bring, claims by what one may believe of them. A claim that nobody has
judged goes to one lab at a time, whose turn a digest draws, so that eight labs do not spend eight runs on one lie.
Of a lab without a replicated claim only the oldest open one is on trial; a lab found wrong more than right has none.
Islands are kept: between two adoptions lie attempts of one's own, and not all adoptions come from one lab.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from pydantic import Field

from mcp_server.community.claims.standing import Standing
from mcp_server.community.claims.status import PART_OF_CLAIM, Claim, Status
from mcp_server.ledger.measured import Measured
from mcp_server.nouns.exchanged import moment_of, short
from mcp_server.nouns.numbers import counted
from mcp_server.nouns.records import Record

MOST = 0.15  # of the slots, whatever is asked for
FIRST = 2  # that are free for who asks by hand, however short the campaign
LATEST_ADOPTIONS = 4  # among which the labs are counted


class Bounds(Record):
    """How much of the own time goes into others' claims. `autoresearch community bounds` shows and sets them."""

    replications: float = Field(default=0.08, ge=0, le=MOST, description="share of the runs")
    discards: float = Field(default=0.03, ge=0, le=MOST, description="of it, for others' discards at random")
    apart: int = Field(default=5, ge=0, le=1000, description="own attempts between two adoptions")
    of_one_lab: int = Field(
        default=2, ge=0, le=LATEST_ADOPTIONS, description=f"of the last {LATEST_ADOPTIONS} adoptions, at most"
    )
    patience_minutes: float = Field(default=60, ge=0, le=100_000, description="until the next lab may repeat a claim")


@dataclass(frozen=True)
class Repeat:
    """An own attempt that repeated another lab's. place: which of the own attempts it was, from 1."""

    name: str  # LAB/n
    place: int
    discard: bool = False  # it was no claim, but a discard that was tried again
    adopted: bool = False  # kept

    @property
    def lab(self) -> str:
        return self.name.partition("/")[0]


@dataclass(frozen=True)
class Past:
    """How the own time was spent so far. slots: runs, the baseline's left out. spent: those on others' attempts."""

    slots: int
    repeats: tuple[Repeat, ...] = ()
    spent: int = 0
    attempts: int = 0

    @property
    def discards(self) -> int:
        return sum(one.discard for one in self.repeats)


@dataclass(frozen=True)
class Situation:
    """All that a choice is made from. claims: as this lab sees them. tried: edits that were measured here."""

    own: str
    machine: str
    now: datetime
    past: Past
    claims: Sequence[Claim]
    standings: Mapping[str, Standing]
    discards: Sequence[Measured] = ()
    tried: frozenset[str] = frozenset()
    labs: Sequence[str] = ()  # that take part now: a turn may fall to them
    worth_a_run: Callable[[str], bool] = field(default=lambda lab: True)  # by the address book
    at_work: Callable[[str], bool] = field(default=lambda edit: False)  # whether another lab repeats an edit just now
    bounds: Bounds = field(default_factory=Bounds)


@dataclass(frozen=True)
class Choice:
    """One attempt elsewhere that is worth a run here, and why."""

    name: str
    why: str
    discard: bool = False
    value: float = 0.0  # expected gain

    def __str__(self) -> str:
        """`a1b2c3d4/12: replicated by 2 labs`"""
        return f"{short(self.name)}: {self.why}"


def due(at: Situation) -> list[Choice]:
    """What to repeat now by itself, best first; empty where nothing is due or the quota is used up."""
    past, bounds = at.past, at.bounds
    if not has_room(past, bounds):
        return []
    keeps = [] if not _apart(past, bounds) else _claims(at, patient=True)
    discards = _discards(at) if _room(past.discards, past.slots, bounds.discards) else []
    owed = past.discards * max(bounds.replications, 1e-9) < len(past.repeats) * bounds.discards
    return [*discards, *keeps] if owed and discards else [*keeps, *discards]


def has_room(past: Past, bounds: Bounds) -> bool:
    """Whether anything could be due: asked before the records are."""
    return _room(past.spent, past.slots, bounds.replications)


def asked_for(at: Situation) -> list[Choice]:
    """What somebody who asks by hand may repeat, best first: it is nobody's turn then."""
    return [*_claims(at, patient=False), *_discards(at)]


def refusal(past: Past) -> str:
    """Why no further replication fits, however asked for; "" where one does."""
    if len(past.repeats) < FIRST or past.spent < MOST * (past.slots + 1):
        return ""
    return (
        f"{past.spent} of {past.slots} runs repeated other labs' attempts; at most {MOST:.0%} may, or labs become one. "
        "Try ideas of your own first."
    )


def crowded(past: Past, bounds: Bounds, lab: str) -> str:
    """Why one more adoption from this lab would end the islands; "" where it would not."""
    latest = [one.lab for one in past.repeats if one.adopted][-LATEST_ADOPTIONS:]
    if latest.count(lab) < max(1, bounds.of_one_lab):
        return ""
    return f"{latest.count(lab)} of the last {len(latest)} adoptions came from this lab; islands are kept apart."


def _room(done: int, slots: int, share: float) -> bool:
    return done + 1 <= share * (slots + 1) + 0.5


def _apart(past: Past, bounds: Bounds) -> bool:
    last = max((one.place for one in past.repeats if one.adopted), default=None)
    return last is None or past.attempts - last >= bounds.apart


def _claims(at: Situation, *, patient: bool) -> list[Choice]:
    """Claims worth a run. patient: only those whose turn is ours."""
    trial = _on_trial(at)
    done = {one.name for one in at.past.repeats}
    found = []
    for one in at.claims:
        first = one.first
        if first.lab == at.own or not first.code or first.edit in at.tried or one.name in done:
            continue
        standing = at.standings.get(first.lab, Standing(first.lab))
        if not at.worth_a_run(first.lab) or crowded(at.past, at.bounds, first.lab):
            continue
        if one.open and at.own not in one.tried:
            if standing.doubted or (one.name not in trial and not standing.proven):
                continue
            if at.at_work(first.edit) or (patient and not _turn(at, one)):
                continue
            value = PART_OF_CLAIM * first.gain * standing.trust
            why = "claimed, and nobody repeated it" if not one.tried else "one lab's word stands against another's"
            found.append(Choice(one.name, why, value=value))
        elif (surely := one.brings(at.machine)) is not None:
            bound = one.status is Status.MACHINE_BOUND
            why = f"works on {at.machine}" if bound else f"replicated by {counted(len(one.replicated), 'lab')}"
            found.append(Choice(one.name, why, value=surely))
    return sorted(found, key=lambda choice: (-choice.value, choice.name))


def _on_trial(at: Situation) -> set[str]:
    """The oldest open claim of each lab: the only one that is worth a run while none of the lab's was replicated."""
    first: dict[str, Claim] = {}
    for one in at.claims:
        if one.open and one.first.code and one.first.lab not in first:
            first[one.first.lab] = one
    return {one.name for one in first.values()}


def _turn(at: Situation, one: Claim) -> bool:
    """Whether it is our turn: the labs that have not measured it are drawn in an order, and have its time in turns."""
    waiting = {lab for lab in {*at.labs, at.own} if lab != one.first.lab and lab not in one.tried}
    order = sorted(waiting, key=lambda lab: hashlib.sha256(f"{one.name} {lab}".encode()).digest())
    waited, each = at.now - _moment(one.heard, at.now), timedelta(minutes=at.bounds.patience_minutes)
    return not each or waited // each % len(order) == order.index(at.own)


def _moment(stamped: str, now: datetime) -> datetime:
    """When something was told; a date of the future is now."""
    try:
        return min(moment_of(stamped), now)
    except ValueError:
        return now


def _discards(at: Situation) -> list[Choice]:
    """One discard of others, drawn: a false failure prunes the tree for everybody."""
    done = {one.name for one in at.past.repeats}
    new = [one for one in at.discards if one.name not in done and one.edit not in at.tried]
    able = [one for one in new if at.worth_a_run(one.lab) and not at.at_work(one.edit)]
    if not able:
        return []
    drawn = random.Random(f"{at.own} {at.past.slots}").choice(sorted(able, key=lambda one: (one.lab, one.n)))
    return [Choice(drawn.name, "a discard, drawn to see whether it failed rightly", discard=True)]
