"""The watch series: what the keeps scored on a third draw, which decides nothing and is told to people alone. Pure.

A gain that was selected on one split and is not there on another was luck or overfitting to it: the divergence.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from mcp_server.arena.program import Arena
from mcp_server.nouns.attempt import Attempt


@dataclass(frozen=True)
class Watched:
    """A keep on both draws, over the same runs; gains are over the baseline, positive when better."""

    number: int
    description: str
    score: float
    watch: float
    gain: float
    watch_gain: float

    @property
    def divergence(self) -> float:
        """How much of the gain the third draw does not show."""
        return self.gain - self.watch_gain


def series(kept: Sequence[Attempt], arena: Arena) -> tuple[Watched, ...]:
    """The baseline and every keep after it, as far as they were watched; () where the baseline was not."""
    found: list[Watched] = []
    for one in kept:
        both = [
            (run.score, run.result.watch)
            for run in one.runs
            if run.judged and run.result is not None and run.result.watch is not None
        ]
        if not both:
            if not found:
                return ()
            continue
        score, watch = fmean(score or 0.0 for score, _ in both), fmean(watch for _, watch in both)
        first = found[0] if found else Watched(one.number, "", score, watch, 0.0, 0.0)
        gains = [
            arena.loss(before) - arena.loss(after) for before, after in ((first.score, score), (first.watch, watch))
        ]
        found.append(Watched(one.number, one.experiment.description, score, watch, *gains))
    return tuple(found)


def words(some: Sequence[Watched]) -> str:
    """The last keep's divergence in one line; "" while none was watched."""
    if len(some) < 2:
        return ""
    last = some[-1]
    lost = f", {100 * last.divergence / last.gain:.0f} % of it is not there" if last.gain > 0.0 else ""
    return f"gain {last.gain:+.4g} where it was selected and {last.watch_gain:+.4g} on the third draw{lost}"
