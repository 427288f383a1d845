"""What a lease is of, for how long, and whether it still counts: by the reader's own clock alone. Pure.

A reader counts from the moment in which it first saw a lease as it is, so no two labs need the same time of day, and a
holder that was killed is forgotten a lease's length later. What a holder says about dates decides nothing, and no word
of it holds longer than the caps here.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from mcp_server.arena.program import Arena
from mcp_server.nouns.records import Record

LONGEST_SECONDS = 6 * 3600.0  # that one word of a holder counts
CAP_SECONDS = 48 * 3600.0  # that one holding counts, however often it is renewed
SPARE_SECONDS = 60.0  # beyond a run, for whoever renews
RENEW = 0.5  # of a lease's length, after which it is renewed
UNOPENED_SECONDS = 30.0  # after which a claim without an experiment is let go
BACK_SECONDS = 1.0  # a clock may be set back by this without ending anything

Changes = Sequence[tuple[str, str, str]]


class Held(Record):
    """Another lab's lease as it was read. Times are seconds since 1970 by our own clock."""

    key: str
    ref: str
    oid: str
    lab: str
    mark: str
    contract: str
    seconds: float  # capped
    takes: float
    knobs: tuple[tuple[str, str, str], ...] = ()
    since: float  # when this holding was first seen
    seen: float  # when this word of it was first seen

    @property
    def ends(self) -> float:
        return min(self.seen + self.seconds, self.since + CAP_SECONDS)

    def live(self, now: float) -> bool:
        return self.seen - BACK_SECONDS <= now < self.ends


class Ours(Record):
    """A lease of ours, for one experiment. number 0: claimed, and not opened yet."""

    key: str
    ref: str
    oid: str
    mark: str
    contract: str
    seconds: int
    takes: int
    knobs: tuple[tuple[str, str, str], ...] = ()
    turn: int = 0
    claimed: float  # when it was claimed
    told: float  # when it was last told
    campaign: str = ""
    number: int = 0

    def of(self, campaign: str, number: int) -> Ours:
        """The same, of an experiment."""
        return self.model_copy(update={"campaign": campaign, "number": number})

    def due(self, now: float) -> bool:
        """Whether it is time to renew it."""
        return not self.told <= now < self.told + RENEW * self.seconds

    def spent(self, now: float) -> bool:
        """Whether it was held for so long that nobody counts it any more."""
        return now >= self.claimed + CAP_SECONDS


def key_of(contract: str, code: str) -> str:
    """The name of a piece of code under its contract: what an exact edit on its base comes to. code: its fingerprint,
    as it travels."""
    return hashlib.sha256(f"autoresearch lease 1 {contract} {code}".encode()).hexdigest()[:32]


def key_of_repeat(contract: str, edit: str) -> str:
    """The name of repeating an edit: each lab makes it on a base of its own, so the code says nothing."""
    return key_of(contract, f"repeat {edit}")


def takes(arena: Arena) -> int:
    """About how many seconds a run takes, with its start-up and its score."""
    budget = arena.budget
    return round(budget.seconds + min(budget.startup_seconds, budget.seconds) + min(budget.score_seconds, 60.0))


def length(run_seconds: float, period_seconds: float) -> int:
    """Seconds that a lease holds: longer than a run and than the time between two tellings."""
    return round(min(LONGEST_SECONDS, 2 * (run_seconds + period_seconds) + SPARE_SECONDS))
