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
from numpy.typing import NDArray

Floats = NDArray[np.float64]

# A comparison is thought to move by half a typical improvement, give or take a factor of seven, before any is seen.
PRIOR_WIDTH, PRIOR_SPREAD = 0.5, 2.0
# log widths in typical improvements: from a thousandth to what hides effects of the usual size ten thousandfold
GRID_STEP = 0.3
GRID: Floats = np.array([GRID_STEP * step for step in range(-24, 32)])
_BETWEEN: Floats = np.array([-0.4, -0.2, 0.0, 0.2, 0.4])  # places about a step of the grid, in steps
_PRIOR: Floats = -0.5 * ((GRID - math.log(PRIOR_WIDTH)) / PRIOR_SPREAD) ** 2
_WIDTHS, _PER_SQUARE, _SQUARES = np.exp(GRID), np.exp(-2.0 * GRID), GRID * GRID
# One improvement in twenty, and as large a part of the harms, is of another size than the arena's scale says: without
# it a scale that was guessed wrongly could make the plainest gain unbelievable, or nonsense certain.
OTHER = 1.0 / 20.0
_PARTS: Floats = np.array([[1.0 - OTHER], [OTHER], [1.0 - OTHER], [OTHER]])
_SIGNS: Floats = np.array([[1.0], [1.0], [-1.0], [-1.0]])
# That size: so many typical improvements or widths, whichever is more; beyond both the density of what was measured
# falls with its reciprocal, as that of a size whose very order is unknown.
OTHER_SCALE, OTHER_WIDTHS = 20.0, 4.0
CONFIDENCE = 0.95
LARGEST, SMALLEST, BOUNDLESS = 1e100, 1e-40, 1e12  # what lies beyond says the same
_NEVER = 1e6  # minus the logarithm of a chance that is none

# For how many wins the prior size counts: a lucky one must not set the scale, a night on another scale must.
SIZE_STRENGTH = 3.0
EM_ROUNDS = 30
LEARNT_FROM = 60  # the newest looks: what an early win brought says little of what is left to gain
LEAST_LARGER = 1.5  # a scale that shows itself by less is luck as easily


@dataclass(frozen=True, slots=True)
class Effects:
    """How large true changes are, in the score's unit, and how often they help or harm; the rest does nothing.

    The defaults describe agents at the reference's arena (bits per byte at 300 s): see docs/referee.md.
    """

    typical: float = 0.0015  # mean true gain of a change that helps
    improving: float = 0.12
    harmful: float = 0.60
    harm: float = 8.0 / 3.0  # mean harm of a change that harms, in units of `typical`


@dataclass(frozen=True, slots=True)
class Look:
    """One comparison with an incumbent. share: its variance as a part of one plain difference's.

    squares, degrees: the scatter of its own differences about their mean, which tells of the width whatever the gain.
    machine: standard deviation that the machine's own movement adds, in the score's unit.
    """

    gain: float
    share: float = 1.0
    squares: float = 0.0
    degrees: float = 0.0
    machine: float = 0.0


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


# the chance of a normal to lie further than z sd from its mean, by the logarithm of z
_LOG_Z: Floats = np.linspace(-6.0, 3.0, 451)
_OUTSIDE: Floats = np.array([math.erfc(math.exp(log_z) / math.sqrt(2.0)) for log_z in _LOG_Z.tolist()])
_STEP, _FAR = 0.02, 60.0
_AT: Floats = np.array([_STEP * step for step in range(-3000, 3001)])


def _mills(t: float) -> float:
    """log of (chance of a normal at t with sd 1 to lie above zero, over the density of zero there)."""
    if t < -30.0:
        square = 1.0 / (t * t)
        return math.log(-1.0 / t) + math.log1p(-square + 3.0 * square * square)
    return math.log(0.5 * math.erfc(-t / math.sqrt(2.0))) + 0.5 * t * t + 0.5 * math.log(2.0 * math.pi)


_MILLS: Floats = np.array([_mills(t) for t in _AT.tolist()])


def _beyond(t: Floats) -> tuple[Floats, Floats]:
    """Of a normal at t with sd 1, cut off below zero: log of its weight in units of the density at zero; its mean."""
    log_weight = np.interp(t, _AT, _MILLS)
    if t.min() < -_FAR:
        log_weight = np.where(t < -_FAR, -np.log(np.maximum(-t, _FAR)), log_weight)
    if t.max() > _FAR:
        log_weight = np.where(t > _FAR, 0.5 * t * t + 0.5 * math.log(2.0 * math.pi), log_weight)
    return log_weight, t + np.exp(-log_weight)


@dataclass(frozen=True, slots=True, eq=False)
class Widths:
    """What is known of the standard deviation of one plain comparison. degrees: differences it was measured on."""

    effects: Effects
    logs: Floats  # log of the prior times what equal code has shown, on GRID
    seen: Floats  # log likelihood of the looks at codes that may have helped or harmed
    degrees: float = 0.0

    @classmethod
    def unknown(cls, effects: Effects) -> Widths:
        return cls(effects, _PRIOR, np.zeros_like(GRID))

    def measured(self, squares: float, degrees: float) -> Widths:
        """After differences that no effect has a part in: their sum of squares and its degrees of freedom."""
        if degrees <= 0.0:
            return self
        ratio = min(squares / self._unit / self._unit, LARGEST)
        logs = self.logs - degrees * GRID - 0.5 * ratio * _PER_SQUARE
        return Widths(self.effects, logs - logs.max(), self.seen, self.degrees + degrees)

    def after(self, look: Look) -> Widths:
        """After a look at some code: it may have helped, harmed or done nothing, and its width shows all the same."""
        known, parts = self.measured(look.squares, look.degrees), _Parts.of(look, self)
        seen = self.seen + parts.plain + parts.log_total
        return Widths(self.effects, known.logs, seen - seen.max(), known.degrees)

    @property
    def _unit(self) -> float:
        return max(self.effects.typical, SMALLEST)

    def belief(self, look: Look) -> Belief:
        """What a look says, averaged over the widths that are possible."""
        known = self.measured(look.squares, look.degrees)
        parts, improving = _Parts.of(look, self), self.effects.improving
        posterior = known.logs + known.seen
        plain = posterior + parts.plain
        if not math.isfinite(float(plain.max())) or int(posterior.argmax()) == len(GRID) - 1:
            # a noise beyond the grid hides everything, and nothing was learnt
            width = math.hypot(min(_WIDTHS[-1] * self._unit * math.sqrt(look.share), LARGEST), look.machine)
            return Belief(improving, 0.0, 1.0, width, 1.0)
        weights = np.exp(plain + parts.log_total - (plain + parts.log_total).max())
        total = float(weights.sum())
        helps, gain = float(weights @ parts.helps) / total, float(weights @ parts.moved) / total
        better = plain + parts.log_total + np.log(np.maximum(parts.helps, 1e-300))
        factor = math.exp(min(_log_sum(better) - _log_sum(plain) - math.log(improving), 25.0))
        spread = np.exp(posterior - posterior.max())
        mass = float(spread.sum())
        middle = float(spread @ GRID) / mass
        doubt = float(spread @ _SQUARES) / mass - middle * middle
        width = math.hypot(math.exp(middle) * self._unit * math.sqrt(look.share), look.machine)
        # an sd that is measured on n degrees has a log sd of 1 / sqrt(2 n)
        return Belief(helps, gain, 1.0 - improving + improving * factor, width, max(0.5 / max(doubt, 1e-6), 1.0))

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


def _log_sum(logs: Floats) -> float:
    top = float(logs.max())
    return top + math.log(float(np.exp(logs - top).sum()))


@dataclass(frozen=True, slots=True, eq=False)
class _Parts:
    """For each width on the grid: how probable each kind of change is beside "nothing changed".

    plain: log density of the measured gain where nothing changed. log_total: log of all kinds' density in units of it.
    helps: the part of that which helps. moved: the expected true gain.
    """

    plain: Floats
    log_total: Floats
    helps: Floats
    moved: Floats

    @classmethod
    def of(cls, look: Look, widths: Widths) -> _Parts:
        effects, unit = widths.effects, widths._unit
        plain_widths = _WIDTHS * (unit * math.sqrt(look.share))
        width = np.sqrt(plain_widths * plain_widths + look.machine * look.machine) if look.machine else plain_widths
        gain = min(max(look.gain, -LARGEST), LARGEST)
        z = gain / width
        plain = -0.5 * np.minimum(z * z, 1e280) - np.log(width)
        sizes = np.empty((4, len(GRID)))
        sizes[0], sizes[2] = unit, unit * effects.harm
        sizes[1] = sizes[3] = np.maximum(max(OTHER_SCALE * unit, abs(gain)), OTHER_WIDTHS * width)
        per = np.minimum(width / sizes, BOUNDLESS)
        log_weight, mean = _beyond(_SIGNS * z - per)
        shares = np.array([[effects.improving], [effects.improving], [effects.harmful], [effects.harmful]]) * _PARTS
        # in logarithms, for far from zero "nothing changed" is too improbable to be a unit
        logs = np.log(shares * per) + log_weight
        nothing = max(1.0 - effects.improving - effects.harmful, 1e-12)
        top = np.maximum(logs.max(axis=0), 0.0)
        weight = np.exp(logs - top)
        total = weight.sum(axis=0) + nothing * np.exp(-top)
        helps = (weight[0] + weight[1]) / total
        moved = (_SIGNS * weight * mean).sum(axis=0) / total * width
        return cls(plain, top + np.log(total), helps, moved)


def usual_luck(width: float, effects: Effects) -> float:
    """By how much an incumbent's one run is usually too good, where it is not run again in each slot.

    It became the incumbent by a good score, and the luckier it was the longer it stays: without this a later candidate
    would be thought worse than it is. width: sd of one plain comparison. In sd of one run, measured in simulated
    campaigns: 0.15, 0.5, 1.0, 1.25, 1.5, 1.6 where that is 0.07, 0.13, 0.27, 0.47, 0.67, 1.3 typical gains.
    """
    one = width / math.sqrt(2.0)
    square = min(one / max(effects.typical, 1e-300), 1e3) ** 2
    return 1.7 * square / (square + 0.06) * one


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
            log_weight, mean = _beyond(sign * z - per)
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
