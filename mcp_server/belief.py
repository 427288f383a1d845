"""What a measured difference says about the true one: a prior over changes, and Bayes' rule in closed form.

A change improves with a small probability, does nothing with a larger one and harms otherwise; sizes are exponential.
The prior is what makes a probability honest: the lowest of many noisy scores is mostly luck, and a posterior, unlike a
significance test, needs no correction for having looked at many (Efron 2011, "Tweedie's formula and selection bias").
Gains here are positive when the candidate is better. Pure numbers: no scores, seeds or decisions.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

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


def _tail_ratio(t: float) -> float:
    """Normal distribution over normal density at t (the inverse of Mills' ratio at -t), safe for any t."""
    if t < -30.0:
        return -1.0 / t
    if t > 35.0:
        t = 35.0
    return 0.5 * math.erfc(-t / _ROOT_TWO) * _ROOT_TWO_PI * math.exp(0.5 * t * t)


def posterior(gain: float, width: float, effects: Effects) -> Posterior:
    """Belief about the true gain after measuring `gain` with standard deviation `width`.

    An exponential size seen through normal noise is a normal at gain - width**2 / size, cut off at zero; all three
    parts share the density of `gain` under "nothing changed", which cancels.
    """
    if width <= 0.0:
        return Posterior(1.0 if gain > 0.0 else 0.0, gain)
    z = gain / width
    up, down = width / effects.typical, width / (effects.typical * effects.harm)
    better, worse = z - up, -z - down
    ratio_better, ratio_worse = _tail_ratio(better), _tail_ratio(worse)
    helps = effects.improving * up * ratio_better
    harms = effects.harmful * down * ratio_worse
    total = helps + harms + max(1.0 - effects.improving - effects.harmful, 0.0)
    if total <= 0.0:
        return Posterior(0.0, min(gain, 0.0))
    probability = helps / total
    expected = helps / total * (better + 1.0 / ratio_better) if helps > 0.0 else 0.0
    if harms > 0.0:
        expected -= harms / total * (worse + 1.0 / ratio_worse)
    return Posterior(probability, expected * width)


def usual_luck(width_of_one: float, effects: Effects) -> float:
    """By how many of its own widths an incumbent's score is usually too good; `width_of_one` is the sd of one run.

    It became the incumbent by a low score, and the luckier it was the longer it stays. Measured in simulated campaigns
    (0.15, 0.5, 1.0, 1.25, 1.5, 1.6 at noise of 0.07, 0.13, 0.27, 0.47, 0.67, 1.3 typical gains), baselines included.
    """
    square = (width_of_one / effects.typical) ** 2
    return 1.7 * square / (square + 0.06)


def learn(effects: Effects, gains: Sequence[float], widths: Sequence[float], strength: float = 20.0) -> Effects:
    """Effects after a campaign's own measured gains: expectation-maximisation (Dempster, Laird & Rubin 1977) with the
    given effects as a prior worth `strength` experiments. Empirical Bayes: a campaign in which nothing helps teaches
    that the next lucky score is luck too. Gains that are not finite are left out.
    """
    seen = [(g, w) for g, w in zip(gains, widths, strict=True) if math.isfinite(g) and math.isfinite(w) and w > 0.0]
    if not seen:
        return effects
    now = effects
    for _ in range(30):
        helps = harms = helped = harmed = 0.0
        for gain, width in seen:
            up, down = width / now.typical, width / (now.typical * now.harm)
            better, worse = gain / width - up, -gain / width - down
            ratio_better, ratio_worse = _tail_ratio(better), _tail_ratio(worse)
            weight_better = now.improving * up * ratio_better
            weight_worse = now.harmful * down * ratio_worse
            total = weight_better + weight_worse + max(1.0 - now.improving - now.harmful, 1e-9)
            helps += weight_better / total
            harms += weight_worse / total
            helped += weight_better / total * (better + 1.0 / ratio_better) * width
            harmed += weight_worse / total * (worse + 1.0 / ratio_worse) * width
        prior_helps, prior_harms = strength * effects.improving, strength * effects.harmful
        # Sizes get a tenth of an experiment's say per prior case more: two lucky wins must not set the scale.
        typical = (10.0 * effects.typical + helped) / (10.0 + helps)
        now = Effects(
            typical=typical,
            improving=(prior_helps + helps) / (strength + len(seen)),
            harmful=(prior_harms + harms) / (strength + len(seen)),
            harm=(10.0 * effects.typical * effects.harm + harmed) / (10.0 + harms) / typical,
        )
    return now
