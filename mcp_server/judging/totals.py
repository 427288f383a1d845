"""What a campaign's keeps add up to: the gain as recorded, the gain to believe, the keeps probably false. Pure.

The best of many noisy scores is better than its model, so the recorded gain is too good; the sum of what each verdict
believed is not, because a posterior mean does not care why it was looked at (Efron 2011; Senn 2008, "A note concerning
a selection paradox of Dawid's"). It is never more than was claimed, and nothing before the night has proven anything.
What it cannot correct: drift nobody noticed, and an arena whose changes are nothing like `belief.Effects`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean


@dataclass(frozen=True, slots=True)
class Kept:
    """One keep as its verdict saw it. Gains are positive when better."""

    number: int
    gain: float
    believed: float
    probability: float
    label: str = "provisional"
    simpler: bool = False  # kept for less code: never claimed to be better, so never falsely


@dataclass(frozen=True, slots=True)
class Totals:
    claimed: float
    believed: float
    false_keeps: float


def totals(
    baseline: Mapping[int, float], incumbent: Mapping[int, float], keeps: Sequence[Kept], proven: bool = True
) -> Totals:
    """Claimed: mean of the incumbent's scores minus the baseline's, larger is better. proven: see `decide.Record`."""
    claimed = fmean(incumbent.values()) - fmean(baseline.values()) if baseline and incumbent and keeps else 0.0
    believed = sum(keep.believed for keep in keeps)
    # pairs sum up what was gained step by step; the ends may have been measured at other times of the machine
    claimed_by_step = sum(keep.gain for keep in keeps)
    believed = min(believed, max(claimed, 0.0), max(claimed_by_step, 0.0)) if proven else 0.0
    return Totals(claimed, believed, sum(1.0 - keep.probability for keep in keeps if not keep.simpler))


def prune_order(keeps: Sequence[Kept], runs_left: int | None = None) -> tuple[int, ...]:
    """Which keeps to take back and re-test at the end of a campaign: the provisional ones, newest first.

    Newest first because nothing builds on them yet. Each costs a run at least; with fewer runs than doubts the least
    probable are chosen, and still re-tested backwards. A keep that only made the code shorter stays.
    """
    doubtful = [keep for keep in keeps if keep.label != "confirmed" and not keep.simpler]
    if runs_left is not None and runs_left < len(doubtful):
        doubtful = sorted(doubtful, key=lambda keep: keep.probability)[: max(runs_left, 0)]
    return tuple(sorted((keep.number for keep in doubtful), reverse=True))
