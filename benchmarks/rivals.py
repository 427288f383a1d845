"""Simple rules that the simulated referee is compared with, and the proposals that all of them see."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
# what to do with (looks, mean gain, sd of one look): 0 discard, 1 keep, 2 look again
Rule = Callable[[Floats, Floats, Floats], Floats]


@dataclass(frozen=True)
class World:
    """How proposals are distributed, in the score's unit; gains are positive."""

    improving: float = 0.12
    neutral: float = 0.28
    typical: float = 0.0015
    harm: float = 0.004
    runs: int = 126

    def proposals(self, draw: np.random.Generator, shape: tuple[int, int]) -> Floats:
        kind, size = draw.random(shape), draw.exponential(1.0, shape)
        harm = np.where(kind < self.improving + self.neutral, 0.0, -self.harm * size)
        return np.where(kind < self.improving, self.typical * size, harm)


NULL = World(improving=0.0, neutral=1.0)

# one look is a pair, or a run beside the incumbent's mean


def simple_rules() -> dict[str, Rule]:
    def z(n: Floats, gain: Floats, sd: Floats) -> Floats:
        return gain / (sd / np.sqrt(n))

    return {
        "greedy": lambda n, gain, sd: (gain > 0.0).astype(float),
        "margin 0.0005": lambda n, gain, sd: (gain > 0.0005).astype(float),
        "margin 1 sd": lambda n, gain, sd: (gain > sd).astype(float),
        "confirm all": lambda n, gain, sd: np.where(gain <= 0.0, 0.0, np.where(n < 2, 2.0, 1.0)),
        "triple all": lambda n, gain, sd: np.where(n < 3, 2.0, (gain > 0.0).astype(float)),
        "sequential z": lambda n, gain, sd: np.where(
            z(n, gain, sd) > 1.64, 1.0, np.where((gain < 0.0) | (n >= 6), 0.0, 2.0)
        ),
    }


def careful_rules() -> dict[str, Rule]:
    """The same rules with margins so wide that hardly any luck passes; which of them keep the promise is measured."""

    def margin(sds: float, looks: int) -> Rule:
        return lambda n, gain, sd: np.where(
            gain <= sds * sd / np.sqrt(n),
            np.where((n > 1) | (gain <= 0.0), 0.0, 2.0 * (looks > 1)),
            np.where(n < looks, 2.0, 1.0),
        )

    def sequential(bound: float) -> Rule:
        return lambda n, gain, sd: np.where(
            gain * np.sqrt(n) > bound * sd, 1.0, np.where((gain < 0.0) | (n >= 12), 0.0, 2.0)
        )

    wide = (3.0, 4.0, 6.0, 10.0, 20.0, 40.0)
    found = {f"margin {sds:g} sd, {looks} looks": margin(sds, looks) for sds in wide for looks in (1, 2, 4)}
    return found | {f"sequential z {bound:g}": sequential(bound) for bound in wide}


@dataclass(frozen=True)
class Rival:
    """What a simple rule comes to: the mean true gain of a campaign, and how often it keeps what changes nothing."""

    gain: float
    nights: float = 0.0  # with a keep
    first: float = 0.0  # edits that were kept as the first of a night

    @property
    def keeps_the_promise(self) -> bool:
        return self.nights <= 0.05 and self.first <= 0.05


def rival(world: World, sd: float, reps: int, seed: int, rule: Rule, slot: bool, *, least: int = 500) -> Rival:
    """A simple rule that is told the noise its lab measured: two differences of equal code.

    It sees the very proposals that the referee's `reps` campaigns see, as often as makes `least` campaigns.
    """
    draw = np.random.default_rng([seed, round(sd * 1e7), 1])
    proposals = world.proposals(np.random.default_rng([seed, round(sd * 1e7)]), (reps, world.runs))
    proposals = np.tile(proposals, (max(1, math.ceil(least / reps)), 1))
    reps = len(proposals)
    first, ever = np.zeros(reps, bool), np.zeros(reps, bool)
    every, left, held = np.arange(reps), np.full(reps, world.runs), np.zeros(reps)
    pair = math.sqrt(2.0) * sd
    told = np.sqrt((draw.normal(0.0, pair, (reps, 2)) ** 2).mean(1))
    proposed, n, total = np.zeros(reps, int), np.zeros(reps), np.zeros(reps)
    # one after the other the incumbent's luck stays with it until it is replaced or run again
    luck, runs_of = draw.normal(0.0, sd, reps) / (1.0 if slot else math.sqrt(3.0)), np.full(reps, 3.0)
    while (left > 0).any():
        open_ = left > 0
        true = proposals[every, np.minimum(proposed, world.runs - 1)]
        total, n, left = total + open_ * (true + draw.normal(0.0, pair if slot else sd, reps)), n + open_, left - open_
        steps = np.maximum(n, 1.0)
        gain = total / steps - (0.0 if slot else luck)
        action = rule(steps, gain, told)
        again = open_ & (action == 2.0) & (left > (0 if slot else 1))
        if not slot:
            # a repeat runs the incumbent as well
            fresh = draw.normal(0.0, sd, reps)
            luck = np.where(again, (luck * runs_of + fresh) / (runs_of + 1), luck)
            runs_of, left = runs_of + again, left - again
        kept = open_ & ~again & (action == 1.0)
        held = held + kept * true
        first, ever = first | (kept & (proposed == 0)), ever | kept
        if not slot:
            luck, runs_of = np.where(kept, total / steps - true, luck), np.where(kept, steps, runs_of)
        done = open_ & ~again
        proposed, n, total = proposed + done, np.where(done, 0.0, n), np.where(done, 0.0, total)
    return Rival(float(held.mean()), float(ever.mean()), float(first.mean()))
