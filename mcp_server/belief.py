"""What a measured difference says about the true one: a prior over changes, and Bayes' rule in closed form.

A change improves with a small probability, does nothing with a larger one and harms otherwise; sizes are exponential.
The prior is what makes a probability honest: the lowest of many noisy scores is mostly luck, and a posterior, unlike a
significance test, needs no correction for having looked at many (Efron 2011, "Tweedie's formula and selection bias").
Gains here are positive when the candidate is better. Pure numbers: no scores, seeds or decisions.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

# For how many wins the prior size counts: a lucky one must not set the scale, a night on another scale must.
SIZE_STRENGTH = 3.0
EM_ROUNDS = 30
LEARNT_FROM = 60  # the newest looks: what an early win brought says little of what is left to gain
LEAST_LARGER = 1.5  # a scale that shows itself by less is luck as easily
NOISELESS = 1e-6  # widths below this share of a gain leave nothing to believe or doubt
BOUNDLESS = 1e12  # a noise of so many typical changes says nothing about any
LARGEST = 1e300  # products with it stay finite
_ROOT_TWO = math.sqrt(2.0)
_ROOT_TWO_PI = math.sqrt(2.0 * math.pi)


@dataclass(frozen=True, slots=True)
class Effects:
    """How large true changes are, in the score's unit, and how often they help or harm; the rest does nothing.

    The defaults describe agents at the reference's arena (bits per byte at 300 s): see docs/referee.md.
    """

    typical: float = 0.0015  # mean true gain of a change that helps
    improving: float = 0.12
    harmful: float = 0.60
    harm: float = 8.0 / 3.0  # mean harm of a change that harms, in units of `typical`

    @classmethod
    def near(cls, score: float) -> Effects:
        """The defaults at the scale of a score: 0.15 % of it, as at the reference's 0.998."""
        return cls(typical=0.0015 * abs(score)) if score and math.isfinite(score) else cls()


@dataclass(frozen=True, slots=True)
class Posterior:
    """probability: that the candidate is truly better. gain: the expected true gain, negative for a loss."""

    probability: float
    gain: float


def _beyond_zero(t: float) -> tuple[float, float]:
    """Of a normal at t with sd 1, cut off below zero: its weight in units of the density at zero, and its mean.

    Far below zero the tail is an exponential one, whose leading terms hold where the plain formula has lost all digits.
    """
    if t < -30.0:
        tail = -1.0 / t
        return tail - tail**3, tail - 2.0 * tail**3
    held = min(t, 35.0)  # the weight stays a number
    weight = 0.5 * math.erfc(-held / _ROOT_TWO) * _ROOT_TWO_PI * math.exp(0.5 * held * held)
    return weight, t + 1.0 / weight


@dataclass(frozen=True, slots=True)
class _Parts:
    """How probable each kind of change is after one measurement, and its expected size in widths."""

    helps: float
    harms: float
    gain: float
    loss: float

    @classmethod
    def of(cls, z: float, width: float, effects: Effects) -> _Parts:
        """Of a gain of z widths.

        An exponential size seen through normal noise is a normal at z - width / size, cut off at zero; all three kinds
        share the density of z under "nothing changed", which cancels.
        """
        up, down = _per(width, effects.typical), _per(width, effects.typical * effects.harm)
        better, gain = _beyond_zero(z - up)
        worse, loss = _beyond_zero(-z - down)
        helps, harms = effects.improving * up * better, effects.harmful * down * worse
        total = helps + harms + max(1.0 - effects.improving - effects.harmful, 1e-12)
        return cls(helps / total, harms / total, gain, loss)


def _per(width: float, size: float) -> float:
    """A width in units of a size; beyond a million million the size is nothing, and a size of nothing as well."""
    return min(min(width, LARGEST) / size, BOUNDLESS) if size > 0.0 else BOUNDLESS


def posterior(gain: float, width: float, effects: Effects) -> Posterior:
    """Belief about the true gain after measuring `gain` with standard deviation `width`; finite whatever they are."""
    if math.isnan(gain) or math.isnan(width):
        return Posterior(0.0, 0.0)
    gain, width = min(max(gain, -LARGEST), LARGEST), min(width, LARGEST)
    if width <= abs(gain) * NOISELESS:
        return Posterior(1.0 if gain > 0.0 else 0.0, gain)
    parts = _Parts.of(gain / width, width, effects)
    return Posterior(parts.helps, (parts.helps * parts.gain - parts.harms * parts.loss) * width)


def usual_luck(width_of_one: float, effects: Effects) -> float:
    """By how many of its own widths an incumbent's score is usually too good; `width_of_one` is the sd of one run.

    It became the incumbent by a low score, and the luckier it was the longer it stays. Measured in simulated campaigns
    (0.15, 0.5, 1.0, 1.25, 1.5, 1.6 at noise of 0.07, 0.13, 0.27, 0.47, 0.67, 1.3 typical gains), baselines included.
    """
    square = min(_per(width_of_one, effects.typical), 1e6) ** 2
    return 1.7 * square / (square + 0.06)


def learn(effects: Effects, gains: Sequence[float], widths: Sequence[float]) -> Effects:
    """Effects on the scale that a campaign's own looks show, where it is a larger one than was thought.

    gains: measured ones, positive is better; widths: their sd. Expectation-maximisation (Dempster, Laird & Rubin 1977)
    with the given sizes as a prior. Never a smaller scale, and never other shares: a night in which nothing helps and
    one in which small things do look alike, and on a smaller scale every luck would count. The incumbent's own luck is
    not allowed for, so a gain is rather thought too small. What is not finite is left out.
    """
    seen = [(g, w) for g, w in zip(gains, widths, strict=True) if math.isfinite(g) and math.isfinite(w) and w > 0.0]
    return _learnt(effects, tuple(seen[-LEARNT_FROM:]))


@lru_cache(maxsize=16)  # a score is looked at several times a second while somebody waits for it
def _learnt(effects: Effects, seen: tuple[tuple[float, float], ...]) -> Effects:
    now = effects
    for _ in range(EM_ROUNDS if seen else 0):
        helps = harms = helped = harmed = 0.0
        for gain, width in seen:
            parts = _Parts.of(gain / width, width, now)
            helps += parts.helps
            harms += parts.harms
            helped += parts.helps * parts.gain * width
            harmed += parts.harms * parts.loss * width
        typical = (SIZE_STRENGTH * effects.typical + helped) / (SIZE_STRENGTH + helps)
        harm = (SIZE_STRENGTH * effects.typical * effects.harm + harmed) / (SIZE_STRENGTH + harms)
        now = replace(effects, typical=typical, harm=harm / typical)
    return now if now.typical > LEAST_LARGER * effects.typical else effects
