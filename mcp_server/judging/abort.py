"""When the rest of a run is not worth its time: a rule learnt from the lab's own curves. Pure; off until it is earned.

Looked at is the training loss alone, once, when a run has seen a third of the tokens that the incumbent saw on the same
seed: the mean over the stretch before, against the incumbent's over the same tokens. Both saw the same rows, so what
the rows did to the loss drops out. A straight line through the campaign's past (gap then, change of the score in the
end) says how surely a gap dooms a run; see docs/referee.md. No validation number has any part in it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from mcp_server.edits.themes import Theme
from mcp_server.judging.student import student_quantile
from mcp_server.nouns.records import AbortRule, CurvePoint

LOOK = 1 / 3  # of the incumbent's tokens; a usual cool-down has not begun to tell by then
STRETCH = 0.3  # the part of those tokens, up to the look, over which losses are averaged
FEWEST_POINTS = 3  # in the stretch
FEWEST_PAST = 20  # finished runs with a gap, before anything is stopped
MOST_LOST = 0.02  # of the runs that would have ended better than their incumbent, replayed on the past
CHANCE = 0.01  # that a stopped run would have ended better, by the line
# edits that bend the curve itself: what is behind at a third may be ahead in the end
BENDING = frozenset({Theme.SCHEDULE, Theme.OPTIMIZER, Theme.BATCH, Theme.REGULARISATION, Theme.DATA})


@dataclass(frozen=True)
class Past:
    """A run that was trained to its end: its gap at the look in nats, and how much worse its score became."""

    gap: float
    worse: float  # candidate minus incumbent, smaller scores being better; below 0 it won


def look_at(incumbent: Sequence[CurvePoint]) -> tuple[int, int]:
    """(from, to) in tokens: the stretch that is compared."""
    after = round(LOOK * max((point.tokens for point in incumbent), default=0))
    return round(after * (1 - STRETCH)), after


def mean_loss(curve: Sequence[CurvePoint], begin: int, end: int) -> float | None:
    """Mean training loss in nats between two numbers of tokens; None where the curve says too little."""
    starts = [0, *(point.tokens for point in curve)]
    spans = zip(curve, starts, strict=False)
    inside = [(point.loss, max(1, point.tokens - start)) for point, start in spans if begin < point.tokens <= end]
    losses, weights = [loss for loss, _ in inside], [weight for _, weight in inside]
    return fmean(losses, weights) if len(losses) >= FEWEST_POINTS else None


def gap(candidate: Sequence[CurvePoint], incumbent: Sequence[CurvePoint]) -> float | None:
    """By how many nats the candidate is behind at the look; None if it cannot be told."""
    begin, end = look_at(incumbent)
    ours, theirs = mean_loss(candidate, begin, end), mean_loss(incumbent, begin, end)
    return None if ours is None or theirs is None else ours - theirs


def rule(incumbent: Sequence[CurvePoint], past: Sequence[Past]) -> AbortRule | None:
    """What a supervisor is to watch for; None while the past does not bear it out."""
    begin, end = look_at(incumbent)
    loss, margin = mean_loss(incumbent, begin, end), earned(past)
    return None if loss is None or margin is None else AbortRule(begin=begin, end=end, loss=loss, margin=margin)


def earned(past: Sequence[Past]) -> float | None:
    """The gap in nats from which on a run is stopped, if the rule would have cost the past next to nothing."""
    if len(past) < FEWEST_PAST:
        return None
    _, lost = replay(past)
    won = sum(run.worse <= 0 for run in past)
    return margin(past) if lost <= MOST_LOST * won else None


def replay(past: Sequence[Past]) -> tuple[int, int]:
    """(stopped, of these better in the end), had each run been judged by a rule learnt from all the others."""
    stopped = lost = 0
    for i, run in enumerate(past):
        limit = margin([*past[:i], *past[i + 1 :]])
        if limit is not None and run.gap > limit:
            stopped += 1
            lost += run.worse <= 0
    return stopped, lost


def margin(past: Sequence[Past]) -> float | None:
    """The least gap at which a run ends better with a chance below CHANCE; None if gaps say nothing.

    Ordinary least squares and its prediction interval. It lies above every gap from which a run has come back.
    """
    n = len(past)
    if n < 4:
        return None
    middle, level = fmean(run.gap for run in past), fmean(run.worse for run in past)
    spread = sum((run.gap - middle) ** 2 for run in past)
    slope = sum((run.gap - middle) * (run.worse - level) for run in past) / spread if spread else 0.0
    if slope <= 0:
        return None
    residual = sum((run.worse - level - slope * (run.gap - middle)) ** 2 for run in past) / (n - 2)
    t = student_quantile(1 - CHANCE, n - 2)

    def doomed(at: float) -> bool:
        away = at - middle
        return level + slope * away > t * math.sqrt(residual * (1 + 1 / n + away * away / spread))

    low = max([0.0, *(run.gap for run in past if run.worse <= 0)])
    high = max(low, middle) + 1.0
    while not doomed(high):
        if high > 1e3:
            return None
        high *= 2
    if doomed(low):
        return low
    for _ in range(50):
        half = (low + high) / 2
        low, high = (low, half) if doomed(half) else (half, high)
    return high
