"""What the runs of a review say of a claim: supported, weakened, refuted or unexamined. Pure; text decides nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from mcp_server.community.claims.pooling import pool
from mcp_server.community.claims.status import PART_OF_CLAIM
from mcp_server.nouns.decided import NORMAL_95

SAME = ("repeat", "seeds")  # measure the claim as it was claimed; the others, how far it reaches
OWN = "scorer"  # a reviewer's own measure of the same thing: what fools the authors' scorer does not fool it


class Verdict(StrEnum):
    """Of one claim."""

    SUPPORTED = "supported"
    WEAKENED = "weakened"
    REFUTED = "refuted"
    UNEXAMINED = "unexamined"


@dataclass(frozen=True)
class Effect:
    """What one requested run measured. Gains are positive when better; no edges: exact, or the noise is unknown."""

    kind: str
    gain: float
    low: float | None = None
    high: float | None = None


def judge(claimed: float, effects: Sequence[Effect]) -> Verdict:
    """Repeats decide whether the claim stands; what it does elsewhere can weaken it, and never refute it.

    A gain that another scorer surely does not see refutes it, whatever repeats say: they repeat a leak as well.

    It holds where the gain is surely above zero and may be at least half of the claim. It fails where it is surely
    below that half and not surely above zero. A run whose interval has room for both tells nothing.
    """
    if any(_fails(claimed, *_edges(one)) for one in effects if one.kind == OWN):
        return Verdict.REFUTED
    same = [one for one in effects if one.kind in SAME]
    found = pool([(one.gain, _deviation(one)) for one in same])
    repeated = 0
    if found is not None:
        low, high = (found.gain, found.gain) if found.low is None or found.high is None else (found.low, found.high)
        if _fails(claimed, low, high):
            return Verdict.REFUTED
        if low > 0 and high < PART_OF_CLAIM * claimed:
            return Verdict.WEAKENED
        repeated = 1 if low > 0 else 0
    others = [_edges(one) for one in effects if one.kind not in SAME]
    if any(_fails(claimed, low, high) for low, high in others):
        return Verdict.WEAKENED
    holds = repeated + sum(low > 0 for low, _ in others)
    return Verdict.SUPPORTED if holds else Verdict.UNEXAMINED


def _fails(claimed: float, low: float, high: float) -> bool:
    return high < PART_OF_CLAIM * claimed and low <= 0


def _edges(one: Effect) -> tuple[float, float]:
    return (one.gain, one.gain) if one.low is None or one.high is None else (one.low, one.high)


def _deviation(one: Effect) -> float | None:
    return None if one.low is None or one.high is None else (one.high - one.low) / (2 * NORMAL_95)
