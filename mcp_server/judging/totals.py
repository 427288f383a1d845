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

from mcp_server.nouns.rows import Experiment


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
    """Claimed: what was gained in slots (`line.Line.gained`), else mean of the incumbent's scores minus the
    baseline's, larger is better. proven: see `decide.Record`.
    """
    claimed = fmean(incumbent.values()) - fmean(baseline.values()) if baseline and incumbent and keeps else 0.0
    if gained is not None:
        claimed = gained  # the ends were measured at other times of the machine
    believed = sum(keep.verdict.believed or 0.0 for keep in keeps)
    claimed_by_step = sum(keep.verdict.change or 0.0 for keep in keeps)
    believed = min(believed, max(claimed, 0.0), max(claimed_by_step, 0.0)) if proven else 0.0
    return Totals(claimed, believed, sum(1.0 - _probability(keep) for keep in keeps if not _simpler(keep)))


def prune_order(keeps: Sequence[Experiment], runs_left: int | None = None) -> tuple[int, ...]:
    """Which keeps to take back and re-test at the end of a campaign: the provisional ones, newest first.

    Newest first because nothing builds on them yet. Each costs a run at least; with fewer runs than doubts the least
    probable are chosen, and still re-tested backwards. A keep that only made the code shorter stays.
    """
    doubtful = [keep for keep in keeps if keep.label != "confirmed" and not _simpler(keep)]
    if runs_left is not None and runs_left < len(doubtful):
        doubtful = sorted(doubtful, key=_probability)[: max(runs_left, 0)]
    return tuple(sorted((keep.number for keep in doubtful), reverse=True))


def _probability(keep: Experiment) -> float:
    return 1.0 if keep.verdict.probability is None else keep.verdict.probability


def _simpler(keep: Experiment) -> bool:
    """Whether it was kept for less code: never claimed to be better, so never falsely."""
    return keep.verdict.code == "simpler"
