"""When a loop goes on, how long it rests, and when it is over: decided from what its iterations came to. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

CRASH_REST_SECONDS, LONGEST_CRASH_REST_SECONDS = 5.0, 300.0
LIMIT_REST_SECONDS, LONGEST_LIMIT_REST_SECONDS = 60.0, 3600.0
FIELD_REST_SECONDS = 300.0
MOST_PATIENCE_SECONDS = 6 * 3600.0  # whatever a service asks for
MOST_CRASHES, MOST_LIMITED = 5, 24  # in a row; an hour's rest each, so a day without service


class Outcome(StrEnum):
    """What one iteration came to."""

    KEPT = "kept"
    REVERTED = "reverted"
    OUT = "in the field"  # deployed; the world has not answered yet
    NOTHING = "nothing new"
    CRASHED = "crashed"
    HUNG = "hung"
    LIMITED = "rate limited"
    MISUSED = "refused its command line"


class End(StrEnum):
    """Why a loop is over."""

    COMPLETE = "complete"
    RULE = "stopped by the arena"
    ITERATIONS = "iterations used up"
    HOURS = "time used up"
    COST = "cost limit reached"
    COST_UNKNOWN = "cost unknown"
    STALLED = "stalled"
    CRASHES = "the agent keeps failing"
    UNSERVED = "the service keeps refusing"
    MISUSED = "the agent cannot be started like this"


@dataclass(frozen=True)
class Limits:
    """What a loop may use; None is no limit."""

    iterations: int | None = 20
    hours: float | None = None
    cost_usd: float | None = None
    stall: int | None = 5
    rest_seconds: float = 0.0  # between two iterations that went well
    rest_factor: float = 1.0  # makes rests shorter, for tests and impatient people


@dataclass(frozen=True)
class Lap:
    """One iteration as the pacing sees it."""

    outcome: Outcome
    cost_usd: float | None = None
    retry_seconds: float | None = None


def spent(laps: Sequence[Lap]) -> float:
    """Dollars so far. An iteration that told no cost (it was killed) is taken for the dearest that did."""
    known = [lap.cost_usd for lap in laps if lap.cost_usd is not None]
    untold = sum(lap.cost_usd is None and lap.outcome is not Outcome.LIMITED for lap in laps)
    return sum(known) + untold * max(known, default=0.0)


def over(laps: Sequence[Lap], limits: Limits, hours: float) -> End | None:
    """Why no further iteration begins; None while one may."""
    if laps and laps[-1].outcome is Outcome.MISUSED:
        return End.MISUSED  # the next one would be told the same
    counted = [lap for lap in laps if lap.outcome is not Outcome.LIMITED]
    if limits.cost_usd is not None:
        if spent(laps) >= limits.cost_usd:
            return End.COST
        # a limit that nobody can hold is none: better to stop than to spend in the dark
        well = [lap for lap in counted if lap.outcome not in (Outcome.CRASHED, Outcome.HUNG)]
        if well and all(lap.cost_usd is None for lap in well):
            return End.COST_UNKNOWN
    if limits.hours is not None and hours >= limits.hours:
        return End.HOURS
    if _row(laps, (Outcome.LIMITED,)) >= MOST_LIMITED:
        return End.UNSERVED
    if _row(laps, (Outcome.CRASHED, Outcome.HUNG)) >= MOST_CRASHES:
        return End.CRASHES
    if limits.iterations is not None and len(counted) >= limits.iterations:
        return End.ITERATIONS
    # what is in the field is neither progress nor its absence
    waited = [lap for lap in counted if lap.outcome is not Outcome.OUT]
    if limits.stall is not None and _row(waited, tuple(set(Outcome) - {Outcome.KEPT})) >= limits.stall:
        return End.STALLED
    return None


def rest(laps: Sequence[Lap], limits: Limits) -> float:
    """Seconds before the next iteration: longer after each crash, refusal or second idle turn in a row, and as the
    service asked."""
    if not laps:
        return 0.0
    last = laps[-1]
    if last.outcome is Outcome.LIMITED:
        doubled = LIMIT_REST_SECONDS * 2.0 ** min(_row(laps, (Outcome.LIMITED,)) - 1, 20)
        asked = min(last.retry_seconds or 0.0, MOST_PATIENCE_SECONDS)
        seconds = max(min(doubled, LONGEST_LIMIT_REST_SECONDS), asked)
    elif last.outcome is Outcome.CRASHED:
        seconds = _grown(_row(laps, (Outcome.CRASHED, Outcome.HUNG)))
    elif last.outcome is Outcome.NOTHING and (idle := _row(laps, (Outcome.NOTHING,)) - 1):
        # an agent that ends at once and well would be started, and paid, many times a minute
        seconds = max(_grown(idle), limits.rest_seconds)
    elif last.outcome is Outcome.OUT and limits.rest_seconds == 0:
        seconds = FIELD_REST_SECONDS  # the world is slow; an agent that only looks costs as much as one that works
    else:
        return limits.rest_seconds
    return seconds * limits.rest_factor


def _grown(times: int) -> float:
    """Seconds of rest after so many failures in a row."""
    return min(CRASH_REST_SECONDS * 2.0 ** min(times - 1, 20), LONGEST_CRASH_REST_SECONDS)


def _row(laps: Sequence[Lap], kinds: tuple[Outcome, ...]) -> int:
    """How many of the last iterations in a row are of these kinds."""
    count = 0
    for lap in reversed(laps):
        if lap.outcome not in kinds:
            break
        count += 1
    return count
