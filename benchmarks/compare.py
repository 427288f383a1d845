"""Whether comparing research is honest, and a classical optimiser worth its place: `python -m benchmarks.compare`.

Equal arms: 200 tournaments of the built-in researcher against itself, on toy arenas, ten campaigns an arm; how often a
difference is claimed. A planted better program: the same with a memo that names what to move first; how often it is
found, against the power that the comparison states for the true difference. Suggestions: how many runs the researcher
needs with the optimiser and with its seeded search, over 20 seeds. No lab, no processes: seconds of pure search.
--language-model RUNS adds real runs of the shipped train.py: pairs of 20 s each, so many of either researcher.
"""

from __future__ import annotations

import argparse
import math
import random
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from statistics import fmean, variance

from benchmarks import language_model, suggesting
from mcp_server.edits.movable import constants
from mcp_server.judging.arms import difference, power
from mcp_server.researcher import classical, habits
from mcp_server.researcher.habits import BETTER, KEPT, UNKNOWN, WORSE, Proposal, Trial
from mcp_server.researcher.memo import NONE, Hints

START = {
    "MATRIX_LR": 0.02, "EMBED_LR": 0.3, "HEAD_LR": 0.004, "MOMENTUM": 0.9,
    "WARMUP": 0.1, "WEIGHT_DECAY": 0.1, "INIT_STD": 0.02, "WINDOW": 64,
}  # fmt: skip
TOURNAMENTS, CAMPAIGNS, EXPERIMENTS = 200, 10, 12
SEEDS, MOST_RUNS, TARGET = 20, 60, 0.1  # of the loss that the file begins with
NOISE = 0.02  # sd of one measured gain, of the same
Propose = Callable[[str, Sequence[Trial], int], Proposal | None]


@dataclass(frozen=True)
class Toy:
    """An arena of numbers: a smooth valley in the logarithms of the constants, in which some go together."""

    best: dict[str, float]
    weights: dict[str, float]
    together: tuple[tuple[str, str, float], ...]

    @classmethod
    def drawn(cls, seed: int) -> Toy:
        draw = random.Random(seed)
        names = list(START)
        best = {}
        for name, value in START.items():
            factor = 2 ** draw.uniform(-1.6, 1.6)
            best[name] = 1 - (1 - value) * factor if name == "MOMENTUM" else value * factor
        weights = {name: draw.uniform(0.2, 1.5) ** 2 for name in names}
        pairs = [(draw.choice(names), draw.choice(names), draw.uniform(-0.5, 0.5)) for _ in range(4)]
        return cls(best, weights, tuple(pair for pair in pairs if pair[0] != pair[1]))

    @property
    def source(self) -> str:
        return "".join(f"{name} = {value}\n" for name, value in START.items())

    def loss(self, source: str) -> float:
        values = {one.name: float(one.value) for one in constants(source)}
        away = {name: self._away(name, values[name]) for name in START}
        alone = sum(self.weights[name] * away[name] ** 2 for name in START)
        joint = sum(c * math.sqrt(self.weights[a] * self.weights[b]) * away[a] * away[b] for a, b, c in self.together)
        return alone + joint

    def _away(self, name: str, value: float) -> float:
        if name == "MOMENTUM":
            return math.log(max(1e-9, 1 - value) / (1 - self.best[name]))
        return math.log(max(1e-9, value) / self.best[name])

    def telling(self) -> Hints:
        """A memo that knows which three constants matter most here."""
        begun = {name: self.weights[name] * self._away(name, value) ** 2 for name, value in START.items()}
        return Hints(first=frozenset(sorted(begun, key=begun.__getitem__)[-3:]))


def campaign(toy: Toy, propose: Propose, seed: int, runs: int, noise: float = 0.0) -> list[float]:
    """The true loss after each run, as a share of the first; kept is what is surely better by what was measured."""
    draw, source, trials = random.Random(f"{seed} noise"), toy.source, []
    begun = best = toy.loss(source)
    losses = []
    for number in range(1, runs + 1):
        idea = propose(source, trials, seed)
        if idea is None:
            losses += [best / begun] * (runs + 1 - number)
            break
        gain = best - toy.loss(idea.source) + draw.gauss(0, noise * begun)
        reach = 2 * noise * begun
        outcome = KEPT if gain > reach else UNKNOWN if abs(gain) <= reach and noise else WORSE if gain <= 0 else BETTER
        trials.append(Trial(number, idea.moves, outcome, gain, noise * begun))
        if outcome == KEPT:
            source, best = idea.source, toy.loss(idea.source)
        losses.append(best / begun)
    return losses


def seeded(source: str, trials: Sequence[Trial], seed: int, hints: Hints = NONE) -> Proposal | None:
    return habits.propose(source, trials, seed, hints=hints)


def gains(hinted: bool, tournament: int, arm: int) -> list[float]:
    """The area of each campaign of an arm: its mean gain so far, as a share. Blocks of a tournament share their arena.

    Gains at the end are skewed (most campaigns arrive, some do not), and five of them tell less than a normal's would.
    """
    found = []
    for block in range(CAMPAIGNS):
        toy = Toy.drawn(1000 * tournament + block)
        propose = partial(seeded, hints=toy.telling()) if hinted else seeded
        seed = 100_000 * arm + 100 * tournament + block
        found.append(1 - fmean(campaign(toy, propose, seed, EXPERIMENTS, NOISE)))
    return found


@dataclass(frozen=True)
class Claims:
    """Over many tournaments: how often the second arm was claimed, and the first; the differences that were seen."""

    better: int
    worse: int
    differences: tuple[float, ...]
    stated: float  # power for the true difference and spread, which many tournaments tell


def claims(first: Sequence[Sequence[float]], second: Sequence[Sequence[float]]) -> Claims:
    """Of tournaments of two arms, each with its campaigns' areas."""
    found = [difference(two, one, paired=True).claim for one, two in zip(first, second, strict=True)]
    seen = [b - a for one, two in zip(first, second, strict=True) for a, b in zip(one, two, strict=True)]
    stated = power(abs(fmean(seen)), math.sqrt(variance(seen)), CAMPAIGNS, paired=True)
    return Claims(sum(one > 0 for one in found), sum(one < 0 for one in found), tuple(seen), stated)


def runs_to(propose: Propose, seed: int) -> int:
    """Runs until the target; one more than allowed where it was never reached."""
    losses = campaign(Toy.drawn(seed), propose, seed, MOST_RUNS)
    return next((number for number, loss in enumerate(losses, 1) if loss <= TARGET), MOST_RUNS + 1)


def rows(tournaments: int = TOURNAMENTS, seeds: int = SEEDS) -> list[tuple[str, str, str]]:
    """(what, value, spread)."""
    played = range(tournaments)
    first = [gains(False, one, 1) for one in played]
    equal = claims(first, [gains(False, one, 2) for one in played])
    planted = claims(first, [gains(True, one, 3) for one in played])
    ours = [runs_to(classical.propose, seed) for seed in range(seeds)]
    theirs = [runs_to(seeded, seed) for seed in range(seeds)]
    false = equal.better + equal.worse
    means = f"{fmean(ours):.1f} / {fmean(theirs):.1f}, {seeds} seeds"
    lost = [sum(runs > MOST_RUNS for runs in found) for found in (ours, theirs)]
    return [
        ("equal arms, tournaments that claim a difference", f"{false / tournaments:.3f}", f"{false} of {tournaments}"),
        ("better program, found", f"{planted.better / tournaments:.3f}", f"{planted.worse} times the worse one"),
        ("power stated for its true difference", f"{planted.stated:.3f}", f"gain {fmean(planted.differences):+.3f}"),
        ("runs to the target, tpe / seeded", f"{sum(ours) / sum(theirs):.3f}", means),
        ("seeds that never reached it, tpe / seeded", f"{lost[0]} / {lost[1]}", f"of {seeds}, {MOST_RUNS} runs each"),
    ]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tournaments", type=int, default=TOURNAMENTS)
    parser.add_argument("--seeds", type=int, default=SEEDS)
    parser.add_argument("--language-model", type=int, default=0, metavar="RUNS", help="real runs of either researcher")
    parser.add_argument("--budget", type=float, default=language_model.BUDGET, help="processor seconds of each")
    options = parser.parse_args()
    found = [*rows(options.tournaments, options.seeds), *suggesting.rows(options.seeds)]
    found += language_model.rows(options.language_model, options.budget) if options.language_model else []
    for what, value, spread in found:
        print(f"{what:52} {value:>8}   {spread}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
