"""Guards beside the score: metrics that may not become worse than the incumbent's by more than a margin, or at all.

A difference of two noisy numbers is judged on the bound of its interval: a candidate has to show that it is not worse
by more than the margin (non-inferiority); one that may not fall beyond its own noise has to be surely worse to be
refused. Pure.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from mcp_server.judging.student import student_quantile

SURE = 0.95  # one-sided
LEAST = 1e-12  # of a value: what sums in another order differ by


@dataclass(frozen=True, slots=True)
class Fall:
    """How much worse a metric became; negative where it became better. error: its sd; degrees: of freedom behind it, 0
    where no code was ever measured twice. held: the incumbent's value."""

    worse: float
    held: float
    error: float = 0.0
    degrees: int = 0

    @property
    def reach(self) -> float:
        """How far the true difference lies from the measured one at most to one side, with 95 %."""
        return student_quantile(SURE, self.degrees) * self.error if self.degrees else 0.0


@dataclass(frozen=True, slots=True)
class Guards:
    """What guards say of a candidate, in sentences. broken: it cannot be kept; unsure: not while noise hides it."""

    broken: tuple[str, ...] = ()
    unsure: tuple[str, ...] = ()


def fall(
    own: Sequence[float], held: Sequence[float], repeats: Sequence[Sequence[float]], sign: float, *, paired: bool
) -> Fall | None:
    """The change of one metric. sign: 1 where larger is worse.

    paired: `own` and `held` come from the same slots one by one, and `repeats` are differences of equal code in one
    slot, each against zero; else repeats are groups of values of one code.
    """
    if not own or not held or not all(map(math.isfinite, (*own, *held))):
        return None
    if paired:
        differences = [sign * (one - other) for one, other in zip(own, held, strict=True)]
        worse, count = fmean(differences), len(differences)
        squares = sum((one - worse) ** 2 for one in differences) + sum(one * one for some in repeats for one in some)
        degrees, variance = count - 1 + sum(map(len, repeats)), 1.0 / count
    else:
        worse = sign * (fmean(own) - fmean(held))
        groups = [some for some in (own, held, *repeats) if len(some) > 1]
        squares = sum((one - fmean(some)) ** 2 for some in groups for one in some)
        degrees, variance = sum(len(some) - 1 for some in groups), 1.0 / len(own) + 1.0 / len(held)
    error = math.sqrt(squares / degrees * variance) if degrees else 0.0
    return Fall(worse, fmean(held), error, degrees)


def within_margin(name: str, found: Fall | None, margin: float, share: bool) -> Guards:
    """Whether a metric is worse by no more than `margin`: in its unit, or with `share` of the incumbent's value."""
    if found is None:
        return Guards(broken=(f"{name} was not measured on both sides.",))
    allowed = margin * abs(found.held) if share else margin
    limit = f"{margin:.3g} of it may be lost" if not share else f"{100 * margin:.3g} % of {found.held:.6g} may be lost"
    dust = LEAST * max(abs(found.held), abs(allowed))
    if found.worse > allowed + dust:
        return Guards(broken=(f"{name} is worse than the incumbent's by {found.worse:.3g}; {limit}.",))
    if found.worse + found.reach > allowed + dust:
        most = found.worse + found.reach
        said = f"{name} may be worse than the incumbent's by up to {most:.3g} (measured {found.worse:+.3g}); {limit}."
        return Guards(unsure=(said,))
    return Guards()


def not_fallen(name: str, found: Fall | None) -> Guards:
    """Whether a metric is not worse beyond its own noise; where that was never measured, not worse at all."""
    if found is None:
        return Guards(broken=(f"{name} of the suite was not measured on both sides.",))
    if found.worse > found.reach + LEAST * abs(found.held):
        noise = f"beyond its noise of {found.reach:.3g}" if found.degrees else "and its noise was never measured"
        return Guards(broken=(f"{name} of the suite fell by {found.worse:.3g}, {noise}.",))
    return Guards()


def together(several: Sequence[Guards]) -> Guards:
    """All of them."""
    return Guards(
        tuple(said for one in several for said in one.broken), tuple(said for one in several for said in one.unsure)
    )
