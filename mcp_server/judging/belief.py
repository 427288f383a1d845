"""What a measured gain says about the true one, while the noise itself is only roughly known. Pure numbers.

Two things are unknown: how large a change's true effect is, and how wide chance scatters a comparison. Both get a
prior, and Bayes' rule does the rest: `Widths` is the posterior of the width on a grid, `Belief` what a look at a
candidate says under it. Averaging over the width is what makes a probability honest when three runs are all there is:
the predictive distribution has the heavy tails of Student's t, and they thin out as differences come in. A posterior
needs no correction for having looked at many (Efron 2011, "Tweedie's formula and selection bias"). Gains are positive
when better.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from mcp_server.judging.effects import (
    GRID,
    GRID_STEP,
    LARGEST,
    PER_SQUARE,
    SMALLEST,
    SQUARES,
    WIDTHS,
    Effects,
    Floats,
    Look,
    beyond,
    parts_of,
)
from mcp_server.judging.wealth import Wealth

# A comparison is thought to move by half a typical improvement, give or take a factor of seven, before any is seen.
PRIOR_WIDTH, PRIOR_SPREAD = 0.5, 2.0
_PRIOR: Floats = -0.5 * ((GRID - math.log(PRIOR_WIDTH)) / PRIOR_SPREAD) ** 2
_BETWEEN: Floats = np.array([-0.4, -0.2, 0.0, 0.2, 0.4])  # places about a step of the grid, in steps
CONFIDENCE = 0.95
# the chance of a normal to lie further than z sd from its mean, by the logarithm of z
_LOG_Z: Floats = np.linspace(-6.0, 3.0, 451)
_OUTSIDE: Floats = np.array([math.erfc(math.exp(log_z) / math.sqrt(2.0)) for log_z in _LOG_Z.tolist()])
_NEVER = 1e6  # minus the logarithm of a chance that is none
MOST_EVIDENCE = 25.0  # logarithm of the most that one code can bring

# For how many wins the prior size counts: a lucky one must not set the scale, a night on another scale must.
SIZE_STRENGTH = 3.0
EM_ROUNDS = 30
LEARNT_FROM = 60  # the newest looks: what an early win brought says little of what is left to gain
LEAST_LARGER = 1.5  # a scale that shows itself by less is luck as easily


@dataclass(frozen=True, slots=True)
class Belief:
    """probability: that the candidate is truly better. gain: the expected true gain. evidence: its e-value against
    "no better", a bet of the prior's share on it; on average at most 1 where that is true, whenever one stops.
    width: sd of the comparison; degrees: of freedom behind it."""

    probability: float
    gain: float
    evidence: float
    width: float
    degrees: float


@dataclass(frozen=True, slots=True, eq=False)
class Widths:
    """What is known of the standard deviation of one plain comparison. degrees: differences it was measured on."""

    effects: Effects
    logs: Floats  # log of the prior times what equal code has shown, on GRID
    seen: Floats  # log likelihood of the looks at codes that may have helped or harmed
    wealth: Wealth
    degrees: float = 0.0

    @classmethod
    def unknown(cls, effects: Effects) -> Widths:
        return cls(effects, _PRIOR, np.zeros_like(GRID), Wealth.initial())

    @classmethod
    def open(cls, effects: Effects) -> Widths:
        """Where nothing is expected beforehand: every order of magnitude counts the same (Jeffreys 1961)."""
        return cls(effects, np.zeros_like(GRID), np.zeros_like(GRID), Wealth.initial())

    def measured(self, squares: float, degrees: float) -> Widths:
        """After differences that no effect has a part in: their sum of squares and its degrees of freedom."""
        if degrees <= 0.0:
            return self
        ratio = min(squares / self._unit / self._unit, LARGEST)
        logs = self.logs - degrees * GRID - 0.5 * ratio * PER_SQUARE
        return Widths(self.effects, logs - logs.max(), self.seen, self.wealth, self.degrees + degrees)

    def after(self, look: Look, first: Look | None = None) -> Widths:
        """After a look at some code: it may have helped, harmed or done nothing, and its width shows all the same.

        first: the first of the looks that `look` is the mean of.
        """
        known, parts = self.measured(look.squares, look.degrees), parts_of(look, self.effects)
        seen = self.seen + parts.plain + parts.log_total
        wealth = self.wealth.after(look, first or look, self.effects)
        return Widths(self.effects, known.logs, seen - seen.max(), wealth, known.degrees)

    @property
    def _unit(self) -> float:
        return max(self.effects.typical, SMALLEST)

    def belief(self, look: Look, first: Look | None = None) -> Belief:
        """What a look says, averaged over the widths that are possible.

        first: the first of the looks that `look` is the mean of, which sets how much is bet on them (`_stake`).
        """
        known = self.measured(look.squares, look.degrees)
        parts, improving = parts_of(look, self.effects), self.effects.improving
        posterior = known.logs + known.seen
        plain = posterior + parts.plain
        if not math.isfinite(float(plain.max())) or int(posterior.argmax()) == len(GRID) - 1:
            # a noise beyond the grid hides everything, and nothing was learnt
            width = math.hypot(min(WIDTHS[-1] * self._unit * math.sqrt(look.share), LARGEST), look.machine)
            return Belief(improving, 0.0, 1.0, width, 1.0)
        weights = np.exp(plain + parts.log_total - (plain + parts.log_total).max())
        total = float(weights.sum())
        helps, gain = min(float(weights @ parts.helps) / total, 1.0), float(weights @ parts.moved) / total
        wealth = self.wealth.after(look, first or look, self.effects)
        evidence = wealth.evidence(known.logs) - self.wealth.evidence(self.logs)
        evidence = math.exp(min(max(evidence, -MOST_EVIDENCE), MOST_EVIDENCE))
        spread = np.exp(posterior - posterior.max())
        mass = float(spread.sum())
        middle = float(spread @ GRID) / mass
        doubt = float(spread @ SQUARES) / mass - middle * middle
        width = math.hypot(math.exp(middle) * self._unit * math.sqrt(look.share), look.machine)
        # an sd that is measured on n degrees has a log sd of 1 / sqrt(2 n)
        return Belief(helps, gain, evidence, width, max(0.5 / max(doubt, 1e-6), 1.0))

    def reach(self, look: Look) -> float:
        """How far the measured gain of such a look lies from the true one at most, with 95 %, in the score's unit.

        A normal's, averaged over the widths that are possible; the gain itself has no part in it. Once a difference was
        measured every order of magnitude of the width counts the same beforehand, so that the interval covers the
        truth in 95 of 100 at every noise (Jeffreys 1961); a guess of the width would fail where it is wrong.
        """
        known = self.measured(look.squares, look.degrees)
        posterior = known.logs + self.seen - (_PRIOR if known.degrees else 0.0)
        posterior = np.maximum(np.nan_to_num(posterior - posterior.max(), nan=-_NEVER), -_NEVER)
        # between the steps of the grid, by a parabola through each three: many differences know it better than a step
        rise, bend = np.gradient(posterior), np.zeros_like(posterior)
        bend[1:-1] = posterior[2:] - 2.0 * posterior[1:-1] + posterior[:-2]
        fine = (posterior[:, None] + rise[:, None] * _BETWEEN + 0.5 * bend[:, None] * _BETWEEN**2).ravel()
        likely = fine >= fine.max() - 14.0
        weights = np.exp(fine[likely] - fine.max())
        plain = np.exp((GRID[:, None] + GRID_STEP * _BETWEEN).ravel()[likely]) * (self._unit * math.sqrt(look.share))
        logs = np.log(np.minimum(np.hypot(plain, look.machine), LARGEST))
        at = np.linspace(float(logs.min()) - 0.5, float(logs.max()) + 1.5, 100)
        outside = np.interp(at[:, None] - logs, _LOG_Z, _OUTSIDE) @ (weights / weights.sum())
        return math.exp(float(np.interp(CONFIDENCE, 1.0 - outside, at)))


def learn(effects: Effects, looks: Sequence[tuple[float, float]]) -> Effects:
    """Effects on the scale that a campaign's own looks (gain, width) show, where it is a larger one than was thought.

    Expectation-maximisation (Dempster, Laird & Rubin 1977) with the given sizes as a prior. Never a smaller scale, and
    never other shares: a night in which nothing helps and one in which small things do look alike, and on a smaller
    scale every luck would count. What is not finite is left out.
    """
    seen = [(g, w) for g, w in looks if math.isfinite(g) and math.isfinite(w) and w > 0.0]
    return _learnt(effects, tuple(seen[-LEARNT_FROM:]))


@lru_cache(maxsize=16)  # a score is looked at several times a second while somebody waits for it
def _learnt(effects: Effects, seen: tuple[tuple[float, float], ...]) -> Effects:
    if not seen or effects.typical <= 0.0:
        return effects
    gains, widths = np.array([g for g, _ in seen]), np.array([w for _, w in seen])
    z, now = gains / widths, effects
    for _ in range(EM_ROUNDS):
        sides = []
        for share, size, sign in ((now.improving, now.typical, 1.0), (now.harmful, now.typical * now.harm, -1.0)):
            per = widths / size
            log_weight, mean = beyond(sign * z - per)
            sides.append((share * per * np.exp(np.minimum(log_weight, 600.0)), mean))
        (better, gained), (worse, lost) = sides
        total = better + worse + max(1.0 - now.improving - now.harmful, 1e-12)
        helps, harms = better / total, worse / total
        typical = (SIZE_STRENGTH * effects.typical + float((helps * gained * widths).sum())) / (
            SIZE_STRENGTH + float(helps.sum())
        )
        harm = (SIZE_STRENGTH * effects.typical * effects.harm + float((harms * lost * widths).sum())) / (
            SIZE_STRENGTH + float(harms.sum())
        )
        now = replace(effects, typical=typical, harm=harm / typical)
    return now if now.typical > LEAST_LARGER * effects.typical else effects
