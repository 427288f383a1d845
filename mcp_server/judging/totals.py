"""What a campaign's keeps add up to: the gain as recorded, the gain to believe, the keeps probably false. Pure.

The best of many noisy scores is better than its model, so the recorded gain is too good; the sum of what each verdict
believed is not, because a posterior mean does not care why it was looked at (Efron 2011; Senn 2008, "A note concerning
a selection paradox of Dawid's"). It is never more than was claimed, and nothing before the night has proven anything.
What it cannot correct: drift nobody noticed, and an arena whose changes are nothing like `belief.Effects`.

A machine moves, so scores of different times do not add up: a later, better score may be a quieter hour, and the best
of a night may score worse than the one before it. What was compared in one slot is therefore laid as far from its
incumbent as it was in that slot, and the baseline stands where it scored. Then the line of the best is what was gained,
step by step, and a dot beyond it was better than its own incumbent. What was compared by scores of different times
stands at its score. A change that a re-test took back is no part of the code any more: what it claimed is undone with
it, whatever the re-test measured, and neither is believed or doubted.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import NamedTuple

from mcp_server.judging.verdict import Comparison
from mcp_server.nouns.attempt import Attempt
from mcp_server.nouns.records import Kind
from mcp_server.nouns.rows import Experiment, Run


@dataclass(frozen=True, slots=True)
class Totals:
    claimed: float
    believed: float
    false_keeps: float


def totals(
    baseline: Mapping[int, float],
    incumbent: Mapping[int, float],
    keeps: Sequence[Experiment],
    proven: bool = True,
    gained: float | None = None,
) -> Totals:
    """Claimed: what was gained in slots (`Line.gained`), else mean of the incumbent's scores minus the
    baseline's, larger is better. proven: see `decide.Record`.
    """
    claimed = fmean(incumbent.values()) - fmean(baseline.values()) if baseline and incumbent and keeps else 0.0
    if gained is not None:
        claimed = gained  # the ends were measured at other times of the machine
    keeps = standing(keeps)
    believed = sum(keep.verdict.believed or 0.0 for keep in keeps)
    claimed_by_step = sum(keep.verdict.change or 0.0 for keep in keeps)
    believed = min(believed, max(claimed, 0.0), max(claimed_by_step, 0.0)) if proven else 0.0
    return Totals(claimed, believed, sum(1.0 - _probability(keep) for keep in keeps if not _simpler(keep)))


def standing(keeps: Sequence[Experiment]) -> list[Experiment]:
    """The keeps whose changes the code still has: without those that a later one took back, and without that one."""
    found: dict[int, Experiment] = {}
    for one in keeps:  # in the order in which they were kept
        if one.takes_back is None or found.pop(one.takes_back, None) is None:
            found[one.number] = one
    return list(found.values())


def prune_order(keeps: Sequence[Experiment], runs_left: int | None = None) -> tuple[int, ...]:
    """Which keeps to take back and re-test at the end of a campaign: the provisional ones, newest first.

    Newest first because nothing builds on them yet. Each costs a run at least; with fewer runs than doubts the least
    probable are chosen, and still re-tested backwards. A keep that only made the code shorter stays.
    """
    doubtful = [keep for keep in standing(keeps) if keep.label != "confirmed" and not _simpler(keep)]
    if runs_left is not None and runs_left < len(doubtful):
        doubtful = sorted(doubtful, key=_probability)[: max(runs_left, 0)]
    return tuple(sorted((keep.number for keep in doubtful), reverse=True))


def _probability(keep: Experiment) -> float:
    return 1.0 if keep.verdict.probability is None else keep.verdict.probability


def _simpler(keep: Experiment) -> bool:
    """Whether it was kept for less code: never claimed to be better, so never falsely."""
    return keep.verdict.code == "simpler"


class Place(NamedTuple):
    """Where a keep stands, in the arena's direction; laid: by its gain, for that was measured in one slot."""

    level: float
    laid: bool


class Line:
    """The keeps of a campaign."""

    def __init__(self, rises: bool, begun: float | None, keeps: Sequence[Experiment]) -> None:
        """rises: whether a larger score is better. begun: the baseline's score. keeps: in the order in which they were
        kept, the baseline among them.
        """
        self._sign = 1.0 if rises else -1.0
        self._places: dict[int, Place] = {}
        gains: dict[int, float | None] = {}
        for one in keeps:
            found, back = one.verdict, gains.get(one.takes_back or 0)
            gain = gains[one.number] = found.change if back is None else -back
            score = begun if one.kind == Kind.BASELINE else found.score
            level = self.level(score, gain, found.against, found.comparison)
            if level is not None:
                self._places[one.number] = Place(level, level != score)

    def level(
        self, score: float | None, gain: float | None, against: int | None, comparison: str | None
    ) -> float | None:
        """Where an attempt stands that gained so much over the experiment `against`, compared like this."""
        incumbent = None if against is None else self._places.get(against)
        if score is None or gain is None or incumbent is None:
            return score
        return incumbent.level + self._sign * gain if comparison == Comparison.SLOT or incumbent.laid else score

    def of(self, found: Attempt) -> float | None:
        """Where an attempt stands; one that is not decided by what its own slots say so far."""
        one, place = found.experiment, self._places.get(found.number)
        if place is not None:
            return place.level if place.laid else found.score
        if one.decision is None and (gain := in_slots(found.runs, self._sign)) is not None:
            return self.level(found.score, gain, one.base, Comparison.SLOT)
        return self.level(found.score, found.gain, one.verdict.against, one.verdict.comparison)

    @property
    def gained(self) -> float | None:
        """From the baseline to the last keep, positive is better; None where the last keep stands at its score."""
        places = list(self._places.values())
        if len(places) < 2 or not places[-1].laid:
            return None
        return self._sign * (places[-1].level - places[0].level)


def in_slots(runs: Iterable[Run], sign: float) -> float | None:
    """The mean gain over the incumbent that was measured in the same slots; None where none was."""
    gains = [
        sign * (run.score - run.result.incumbent_score)
        for run in runs
        if run.counts and run.score is not None and run.result and run.result.incumbent_score is not None
    ]
    return fmean(gains) if gains else None
