"""Suggestions against search on arenas that really compute: packing and tabular, in this process, without a lab.

The shipped `pack.py` and `model.py` are edited as the researcher edits them, executed, and measured on one seed: of a
packing the gap to the best that is known (2.6360 for 26 circles), of a classifier the log loss on images that it has
not seen. What would not end within the arena's time there counts as a timeout here: steps are counted, not seconds, so
that a busy machine changes nothing. Language models are not here: a run of one takes a minute (dev/SCOREBOARD.md).
"""

from __future__ import annotations

import functools
import math
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from types import ModuleType
from typing import Any

import numpy as np

from mcp_server.researcher import classical, habits
from mcp_server.researcher.habits import FAILED, KEPT, WORSE, Proposal, Trial

ARENAS = Path(__file__).resolve().parent.parent / "arenas"
BEST_PACKING = 2.6360
SEEDS, MOST_RUNS = 20, 40
Propose = Callable[[str, Sequence[Trial], int], Proposal | None]


class TooLong(Exception):
    """It would be ended by the arena's clock."""


@dataclass(frozen=True)
class Arena:
    """A shipped file, and what its code scores on a seed: smaller is better. Raises where a run would fail."""

    name: str
    file: str
    loss: Callable[[Any, int], float]
    target: float  # of the loss that the file begins with

    @property
    def source(self) -> str:
        return (ARENAS / self.name / self.file).read_text()

    def measured(self, source: str, seed: int) -> float | None:
        """None for a run that fails."""
        module = ModuleType(self.name)
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            try:
                exec(compile(source, self.file, "exec"), module.__dict__)
                found = self.loss(module, seed)
            except (ArithmeticError, ValueError, MemoryError, IndexError, TooLong):
                return None
        return found if math.isfinite(found) else None


def _packing(pack: Any, seed: int) -> float:
    if pack.STARTS * pack.STEPS > 1500:
        raise TooLong
    centres, radii = pack.descend(np.random.default_rng(seed))
    return BEST_PACKING - max(float(pack.polish(*one).sum()) for one in zip(centres, radii, strict=True))


@functools.cache
def _digits() -> Any:
    """Read once: it takes as long as several fits."""
    from sklearn.datasets import load_digits

    return load_digits()


def _tabular(model: Any, seed: int) -> float:
    if model.FEATURES * model.STEPS > 15_000:
        raise TooLong
    found = _digits()
    order = np.random.default_rng(seed).permutation(len(found.target))
    train, held = order[:900], order[900:1300]
    fitted = model.fit(found.data[train], found.target[train], seed)
    told = model.predict(fitted, found.data[held])
    return float(-np.log(np.maximum(1e-12, told[np.arange(len(held)), found.target[held]])).mean())


PLAYED = (Arena("packing", "pack.py", _packing, 0.25), Arena("tabular", "model.py", _tabular, 0.5))


def runs_to(arena: Arena, propose: Propose, seed: int, most: int) -> tuple[int, float]:
    """(runs until the target, one more than allowed where it was never reached; the loss at the end as a share)."""
    source, trials = arena.source, list[Trial]()
    begun = best = arena.measured(source, seed)
    assert begun is not None
    assert best is not None
    reached = most + 1
    for number in range(1, most + 1):
        idea = propose(source, trials, seed)
        if idea is None:
            break
        loss = arena.measured(idea.source, seed)
        gain = None if loss is None else best - loss
        kept = gain is not None and gain > 0
        trials.append(Trial(number, idea.moves, FAILED if gain is None else KEPT if kept else WORSE, gain, 0.0))
        if kept and loss is not None:
            source, best = idea.source, loss
        if best <= arena.target * begun:
            reached = min(reached, number)
            break
    return reached, best / begun


def rows(seeds: int = SEEDS, most: int = MOST_RUNS) -> list[tuple[str, str, str]]:
    """(what, value, spread): tpe's runs to the target over the seeded search's, on each arena and on all of them."""
    found, all_means = [], list[list[float]]()
    for arena in PLAYED:
        ours, theirs = (
            [runs_to(arena, propose, seed, most) for seed in range(seeds)]
            for propose in (classical.propose, lambda source, trials, seed: habits.propose(source, trials, seed))
        )
        means = [fmean(runs for runs, _ in some) for some in (ours, theirs)]
        lost = [sum(runs > most for runs, _ in some) for some in (ours, theirs)]
        spread = f"{means[0]:.1f} / {means[1]:.1f}, {seeds} seeds; never {lost[0]} / {lost[1]}, {most} runs each"
        found.append(
            (f"{arena.name}, runs to {arena.target:g} of the loss, tpe / seeded", f"{means[0] / means[1]:.3f}", spread)
        )
        all_means.append(means)
    ours, theirs = (sum(some) for some in zip(*all_means, strict=True))
    found.append(("both, all runs, tpe / seeded", f"{ours / theirs:.3f}", f"{ours:.1f} / {theirs:.1f}"))
    return found


if __name__ == "__main__":
    for what, value, spread in rows():
        print(f"{what:52} {value:>8}   {spread}", flush=True)
