"""What changes are like before any is seen, and how probable a measured gain is, for each width of the noise. Pure.

A true gain or harm has an exponential size, on which noise lies that is normal with a given width; both together have a
closed form. Everything is computed for a grid of widths at once.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from statistics import fmean

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

# log widths in typical improvements: from a thousandth to what hides effects of the usual size ten thousandfold
GRID_STEP = 0.3
GRID: Floats = np.array([GRID_STEP * step for step in range(-24, 32)])
WIDTHS, PER_SQUARE, SQUARES = np.exp(GRID), np.exp(-2.0 * GRID), GRID * GRID
# One improvement in twenty, and as large a part of the harms, is of another size than the arena's scale says: without
# it a scale that was guessed wrongly could make the plainest gain unbelievable, or nonsense certain.
OTHER = 1.0 / 20.0
_PARTS: Floats = np.array([[1.0 - OTHER], [OTHER], [1.0 - OTHER], [OTHER]])
_SIGNS: Floats = np.array([[1.0], [1.0], [-1.0], [-1.0]])
# That size: so many typical improvements or widths, whichever is more; beyond both the density of what was measured
# falls with its reciprocal, as that of a size whose very order is unknown.
OTHER_SCALE, OTHER_WIDTHS = 20.0, 4.0
LARGEST, SMALLEST, BOUNDLESS = 1e100, 1e-40, 1e12  # what lies beyond says the same


@dataclass(frozen=True, slots=True)
class Effects:
    """How large true changes are, in the score's unit, and how often they help or harm; the rest does nothing.

    The defaults describe agents at the reference's arena (bits per byte at 300 s): see docs/referee.md.
    """

    typical: float = 0.0015  # mean true gain of a change that helps
    improving: float = 0.12
    harmful: float = 0.60
    harm: float = 8.0 / 3.0  # mean harm of a change that harms, in units of `typical`


# A typical improvement, as a share of what unchanged code scores: 0.0015 of about 1 bit per byte is what agents find at
# the reference's arena. Where scores are so near zero that a share of them says nothing, the noise gives the scale:
# nobody looks for improvements that are much smaller than what one run moves by itself.
TYPICAL_SHARE, TYPICAL_PER_SD = 0.0015, 0.1


def usual_size(equal: Sequence[float]) -> float:
    """The size of a typical improvement, from what the unchanged code scored."""
    share = TYPICAL_SHARE * (abs(equal[0]) if equal and equal[0] else 1.0)
    centre = fmean(equal) if equal else 0.0
    sd = math.sqrt(sum((one - centre) ** 2 for one in equal) / max(1, len(equal) - 1))
    return max(share, TYPICAL_PER_SD * sd)


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


_STEP, _FAR = 0.02, 60.0
_AT: Floats = np.array([_STEP * step for step in range(-3000, 3001)])


def _mills(t: float) -> float:
    """log of (chance of a normal at t with sd 1 to lie above zero, over the density of zero there)."""
    if t < -30.0:
        square = 1.0 / (t * t)
        return math.log(-1.0 / t) + math.log1p(-square + 3.0 * square * square)
    return math.log(0.5 * math.erfc(-t / math.sqrt(2.0))) + 0.5 * t * t + 0.5 * math.log(2.0 * math.pi)


_MILLS: Floats = np.array([_mills(t) for t in _AT.tolist()])


def beyond(t: Floats) -> tuple[Floats, Floats]:
    """Of a normal at t with sd 1, cut off below zero: log of its weight in units of the density at zero; its mean."""
    log_weight = np.interp(t, _AT, _MILLS)
    if t.min() < -_FAR:
        log_weight = np.where(t < -_FAR, -np.log(np.maximum(-t, _FAR)), log_weight)
    if t.max() > _FAR:
        log_weight = np.where(t > _FAR, 0.5 * t * t + 0.5 * math.log(2.0 * math.pi), log_weight)
    return log_weight, t + np.exp(-log_weight)


def log_sum(logs: Floats) -> float:
    top = float(logs.max())
    return top + math.log(float(np.exp(logs - top).sum()))


@dataclass(frozen=True, slots=True, eq=False)
class Parts:
    """For each width on the grid: how probable each kind of change is beside "nothing changed".

    plain: log density of the measured gain where nothing changed. log_total: log of all kinds' density in units of it.
    helps: the part of that which helps. moved: the expected true gain. width: sd of the look.
    """

    width: Floats
    plain: Floats
    log_helps: Floats
    log_harms: Floats
    log_total: Floats
    helps: Floats
    moved: Floats

    @classmethod
    def at(cls, gain: float | Floats, width: Floats, effects: Effects) -> Parts:
        """Where a look came out at `gain` and is as wide as `width`, each of them."""
        unit = effects.typical
        z: Floats = gain / width
        plain = -0.5 * np.minimum(z * z, 1e280) - np.log(width)
        per = np.empty((4, len(GRID)))
        per[0] = np.minimum(width / unit, BOUNDLESS)
        per[2] = per[0] / effects.harm
        per[1] = per[3] = width / np.maximum(np.maximum(OTHER_SCALE * unit, np.abs(gain)), OTHER_WIDTHS * width)
        log_weight, mean = beyond(_SIGNS * z - per)
        shares = _shares(effects)
        # in logarithms, for far from zero "nothing changed" is too improbable to be a unit
        logs = np.log(shares * per) + log_weight
        nothing = max(1.0 - effects.improving - effects.harmful, 1e-12)
        top = np.maximum(logs.max(axis=0), 0.0)
        weight = np.exp(logs - top)
        total = weight.sum(axis=0) + nothing * np.exp(-top)
        better, worse = weight[0] + weight[1], weight[2] + weight[3]
        log_helps, log_harms = top + np.log(np.maximum(better, 1e-300)), top + np.log(np.maximum(worse, 1e-300))
        helps = better / total
        moved = (_SIGNS * weight * mean).sum(axis=0) / total * width
        return cls(width, plain, log_helps, log_harms, top + np.log(total), helps, moved)


@lru_cache(maxsize=16)
def _shares(effects: Effects) -> Floats:
    """How often each kind is met: a gain and a harm of the usual size each, and of another."""
    return np.array([[effects.improving], [effects.improving], [effects.harmful], [effects.harmful]]) * _PARTS


@lru_cache(maxsize=64)  # a look is weighed, then learnt from
def parts_of(look: Look, effects: Effects) -> Parts:
    """For a look at some code; its own scatter is not asked."""
    unit = max(effects.typical, SMALLEST)
    plain = WIDTHS * (unit * math.sqrt(look.share))
    width = np.sqrt(plain * plain + look.machine * look.machine) if look.machine else plain
    effects = effects if unit == effects.typical else replace(effects, typical=unit)
    return Parts.at(min(max(look.gain, -LARGEST), LARGEST), width, effects)


def usual_luck(width: float, effects: Effects) -> float:
    """By how much an incumbent's one run is usually too good, where it is not run again in each slot.

    It became the incumbent by a good score, and the luckier it was the longer it stays: without this a later candidate
    would be thought worse than it is. width: sd of one plain comparison. In sd of one run, measured in simulated
    campaigns: 0.15, 0.5, 1.0, 1.25, 1.5, 1.6 where that is 0.07, 0.13, 0.27, 0.47, 0.67, 1.3 typical gains.
    """
    one = width / math.sqrt(2.0)
    square = min(one / max(effects.typical, 1e-300), 1e3) ** 2
    return 1.7 * square / (square + 0.06) * one
