"""What a sequential test on pairs would save by stopping hopeless runs: `python -m benchmarks.abort`.

`curves.json` holds real runs whose ends are known: 31 edits of the shipped train.py's constants and the unchanged file,
on one seed with one budget, scored as in a lab; 13 of the edits harm. Replayed on them is the best evidence there is
before the end: at each look the training losses of both over the same stretch of the budget, their difference since the
first look, and how surely it is a loss. How large a loss must be to stop a run is learnt from all other pairs.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, stdev

from mcp_server.judging.student import student_quantile

CURVES = Path(__file__).parent / "curves.json"
LOOKS = (0.3, 0.4, 0.5, 0.6, 0.7, 0.8)  # of the budget
FIRST = 0.1  # losses before it say more about the start than about the code
MOST_LOST = 0.02  # of the runs that would have ended better
CHANCE = 0.01  # at each look, that a difference as large is chance


@dataclass(frozen=True)
class Pair:
    """One edit beside the unchanged file. worse: by how much its score was, in bits per byte; curves: (share of the
    budget, loss) of both halves."""

    edit: str
    worse: float
    ours: tuple[tuple[float, float], ...]
    theirs: tuple[tuple[float, float], ...]


def pairs() -> list[Pair]:
    """Each recorded edit against the unchanged file: one seed, one budget of processor seconds, points evenly in it."""
    runs = json.loads(CURVES.read_text())["runs"]
    theirs = _shares(runs[0]["curve"])
    return [Pair(one["edit"], one["score"] - runs[0]["score"], _shares(one["curve"]), theirs) for one in runs[1:]]


def _shares(curve: Sequence[Sequence[float]]) -> tuple[tuple[float, float], ...]:
    return tuple((place / len(curve), loss) for place, (_, loss) in enumerate(curve, 1))


def behind(pair: Pair, until: float) -> tuple[float, float] | None:
    """(by how many nats it is behind, the standard error of that) over the budget from FIRST to `until`.

    Differences of stretches of a twentieth of the budget, in which both halves have a loss.
    """
    differences = []
    for step in range(round(FIRST * 20), round(until * 20)):
        low, high = step / 20, (step + 1) / 20
        ours = [loss for share, loss in pair.ours if low < share <= high]
        theirs = [loss for share, loss in pair.theirs if low < share <= high]
        if ours and theirs:
            differences.append(fmean(ours) - fmean(theirs))
    if len(differences) < 2:
        return None
    return fmean(differences), stdev(differences) / math.sqrt(len(differences))


def sure_loss(pair: Pair, until: float) -> float:
    """The loss in nats that chance at CHANCE leaves sure at a look; minus infinity where nothing can be told."""
    found = behind(pair, until)
    if found is None:
        return -math.inf
    degrees = round((until - FIRST) * 20) - 1
    return found[0] - student_quantile(1 - CHANCE, degrees) * found[1]


def margin(others: Sequence[Pair]) -> float:
    """The least sure loss from which on a run is stopped: above every one that a run has come back from."""
    return max([0.0, *(sure_loss(one, look) for one in others if one.worse <= 0 for look in LOOKS)])


def stopped_at(pair: Pair, limit: float) -> float | None:
    """The look at which a run is stopped; None where it is trained to its end."""
    return next((look for look in LOOKS if sure_loss(pair, look) > limit), None)


@dataclass(frozen=True)
class Replay:
    """What the test would have done, each pair judged by what all others teach."""

    candidates: int
    bad: int
    stopped: int
    lost: int  # of the stopped those that would have ended better
    saved: float  # of all training


def replay(found: Sequence[Pair]) -> Replay:
    ends = [stopped_at(one, margin([*found[:i], *found[i + 1 :]])) for i, one in enumerate(found)]
    gone = [(one, look) for one, look in zip(found, ends, strict=True) if look is not None]
    bad = sum(one.worse > 0 for one in found)
    lost = sum(one.worse <= 0 for one, _ in gone)
    return Replay(len(found), bad, len(gone), lost, sum(1 - look for _, look in gone) / len(found))


def rows() -> list[tuple[str, str, str]]:
    """(what, value, spread) for the table."""
    told = replay(pairs())
    good = told.candidates - told.bad
    return [
        ("sequential test on pairs, stopped / all", f"{told.stopped / told.candidates:.2f}", f"{told.bad} are bad"),
        ("of these better in the end / all better ones", f"{told.lost / max(1, good):.2f}", f"{told.lost} of {good}"),
        ("training saved / all training", f"{told.saved:.3f}", f"{told.candidates} real pairs"),
    ]


def main() -> int:
    for what, value, spread in rows():
        print(f"{what:46} {value:>10}   {spread}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
