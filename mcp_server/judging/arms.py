"""Whether one way of doing research beats another, from whole campaigns: difference, interval, power. Pure numbers.

A campaign is one observation, however many experiments it has: they share code, luck and machine. Two arms are compared
by Student's t: on differences where campaigns are paired in machine and time, else by Welch's (1947). A difference is
called one only where the 97.5 % interval leaves zero out: so of equal arms at most one comparison in forty claims it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist, fmean, variance

from mcp_server.judging.student import student_quantile

SHOWN = 0.95  # the interval that is told
ALPHA = 0.025  # of a claim, both sides together
POWER = 0.8  # that a number of campaigns is to have
MOST_CAMPAIGNS = 1000
_STEPS = 200


@dataclass(frozen=True)
class Difference:
    """First arm minus second, in gains: positive where the first is better."""

    estimate: float
    low: float | None  # 95 % interval; None where one campaign is all there is
    high: float | None
    sd: float | None  # of one difference of two campaigns
    degrees: float | None
    claim: int  # 1 the first is better, -1 the second, 0 nobody can say
    campaigns: tuple[int, int]
    paired: bool

    @property
    def needed(self) -> int | None:
        """Campaigns an arm that would settle a true difference as large as the measured one, with POWER."""
        if self.sd is None or not self.estimate:
            return None
        return campaigns_needed(abs(self.estimate), self.sd, self.paired)


def difference(first: Sequence[float], second: Sequence[float], paired: bool = False) -> Difference:
    """paired: the two lists stand in pairs. Raises ValueError where an arm has no campaign."""
    if not first or not second or (paired and len(first) != len(second)):
        raise ValueError("an arm without a campaign, or pairs that are none, cannot be compared")
    sizes = len(first), len(second)
    estimate = fmean(first) - fmean(second)
    if paired and len(first) > 1:
        differences = [a - b for a, b in zip(first, second, strict=True)]
        spread, degrees = variance(differences), float(len(differences) - 1)
        error, sd = math.sqrt(spread / len(differences)), math.sqrt(spread)
    elif min(sizes) > 1:
        parts = [variance(arm) / len(arm) for arm in (first, second)]
        error = math.sqrt(sum(parts))
        bottom = sum(part**2 / (len(arm) - 1) for part, arm in zip(parts, (first, second), strict=True))
        degrees = sum(parts) ** 2 / bottom if bottom else float(sum(sizes) - 2)
        sd = math.sqrt(variance(first) + variance(second))
    else:
        return Difference(estimate, None, None, None, None, 0, sizes, paired)
    reach = student_quantile(0.5 + SHOWN / 2, degrees) * error
    certain = abs(estimate) > student_quantile(1 - ALPHA / 2, degrees) * error
    claim = (1 if estimate > 0 else -1) if certain and estimate else 0
    return Difference(estimate, estimate - reach, estimate + reach, sd, degrees, claim, sizes, paired)


def power(effect: float, sd: float, campaigns: int, paired: bool = False) -> float:
    """The chance that so many campaigns an arm tell a true difference; sd: of one difference of two campaigns.

    The tail of the noncentral t: a normal's, averaged over what the sd may be measured as.
    """
    if campaigns < 2:
        return 0.0
    if sd <= 0:
        return 1.0 if effect else 0.0
    degrees = float(campaigns - 1 if paired else 2 * (campaigns - 1))
    away = effect / (sd / math.sqrt(campaigns))
    critical, normal = student_quantile(1 - ALPHA / 2, degrees), NormalDist()
    total = mass = 0.0
    for step in range(_STEPS):
        ratio = 2.5 * (step + 0.5) / _STEPS  # measured sd over true sd
        weight = math.exp((degrees - 1) * math.log(ratio) - 0.5 * degrees * (ratio * ratio - 1))
        mass += weight
        total += weight * (normal.cdf(away - critical * ratio) + normal.cdf(-away - critical * ratio))
    return total / mass


def campaigns_needed(effect: float, sd: float, paired: bool = False) -> int | None:
    """The fewest campaigns an arm with which a true difference is told with POWER; None where a thousand do not."""
    if effect <= 0 or power(effect, sd, MOST_CAMPAIGNS, paired) < POWER:
        return None
    low, high = 2, MOST_CAMPAIGNS
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if power(effect, sd, middle, paired) >= POWER else (middle + 1, high)
    return low
