"""The leases that a lab knows of, its own and others', in one small file: read by verbs, written under a lock.

It decides nothing for good: a lost or damaged file is an empty one, others' leases are read again by the next exchange,
and our own that nobody remembers expire.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from pydantic import Field

from mcp_server.community.leases.terms import Held, Ours
from mcp_server.community.settings import Places
from mcp_server.community.trust import Role, Trust, read_trust
from mcp_server.nouns.files import locked
from mcp_server.nouns.records import Record

MOST_LOST = 50  # that are remembered, to be told
MOST_THEIRS = 1000  # that are remembered: every verb reads them, and keys are cheap
MOST_REFUSED = 500  # that are remembered, so as not to be fetched again


class Known(Record):
    """Leases as of the last look. Times are seconds since 1970 by our own clock."""

    ours: tuple[Ours, ...] = ()
    theirs: tuple[Held, ...] = ()
    refused: dict[str, str] = Field(default={})  # why, by object
    claimed_at: float = 0.0  # the last claim that was sent
    failed_at: float = 0.0
    failures: int = 0  # of claims, in a row
    slow: bool = False  # the last answer took longer than a start may wait
    lost: dict[str, str] = Field(default={})  # who was first, by our experiment that had begun meanwhile

    def holder(self, key: str, now: float) -> Held | None:
        """Which other lab holds a key, whether it is trusted by now or not."""
        return next((one for one in self.theirs if one.key == key and one.live(now)), None)

    def mine(self, key: str) -> Ours | None:
        return next((one for one in self.ours if one.key == key), None)

    def holding(self, ours: Ours) -> Known:
        """With a lease of ours as it is now."""
        return self.model_copy(update={"ours": (*(one for one in self.ours if one.key != ours.key), ours)})

    def without(self, key: str) -> Known:
        """Without a lease of ours."""
        return self.model_copy(update={"ours": tuple(one for one in self.ours if one.key != key)})

    def losing(self, experiment: str, why: str) -> Known:
        """With an experiment that was stopped because another lab was first."""
        lost = {**{name: said for name, said in self.lost.items() if name != experiment}, experiment: why}
        return self.model_copy(update={"lost": dict(list(lost.items())[-MOST_LOST:])})

    def seeing(self, held: Held) -> Known:
        """With a lease of another lab as it is now."""
        return self.model_copy(update={"theirs": (*(one for one in self.theirs if one.key != held.key), held)})


def remembered(theirs: Iterable[Held], trust: Trust) -> tuple[Held, ...]:
    """As many as are remembered: of labs whose claims may be repeated first, then those that were seen first."""
    ordered = sorted(theirs, key=lambda one: (not trust.role(one.lab).allows(Role.REPLICATE), one.since))
    return tuple(ordered[:MOST_THEIRS])


@dataclass
class Change:
    """What is known, while it is changed: put the new one in `known`."""

    known: Known


def read_known(places: Places) -> Known:
    """An empty one where there is none, or none that can be read."""
    try:
        return Known.read(places.leases)
    except (OSError, ValueError):
        return Known()


def live(places: Places, now: float) -> list[Held]:
    """What runs elsewhere now, the newest first, as far as it is known; without labs that are distrusted."""
    known = read_known(places)
    if not known.theirs:
        return []
    trust = read_trust(places.trust)
    found = [one for one in known.theirs if one.live(now) and trust.role(one.lab) is not Role.NONE]
    return sorted(found, key=lambda one: -one.since)


@contextlib.contextmanager
def changing(places: Places) -> Iterator[Change]:
    """Read, change and write; for moments only, never while anything is sent."""
    with locked(places.leases_lock):
        change = Change(read_known(places))
        before = change.known
        yield change
        if change.known != before:
            half = places.leases.with_name("leases.json.new")
            half.write_text(change.known.model_dump_json(indent=1))  # not worth waiting for the disk
            half.chmod(0o600)
            os.replace(half, places.leases)


def holds(places: Places, now: float) -> bool:
    """Whether a word of ours that others still count is to be renewed or let go: one that has run out needs neither."""
    return any(0 <= now - one.told < one.seconds for one in read_known(places).ours)
