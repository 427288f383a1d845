"""Student's t, once for everybody: distribution, quantile, and the interval of paired differences. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from statistics import fmean, stdev

MOST_STEPS = 200
CONFIDENCE = 0.95


def student_cdf(t: float, degrees: float) -> float:
    """The chance that a Student variable stays under t; by the incomplete beta function."""
    if math.isinf(t):
        return 1.0 if t > 0 else 0.0
    tail = 0.5 * _beta(degrees / (degrees + t * t), 0.5 * degrees, 0.5)
    return 1.0 - tail if t >= 0.0 else tail


@lru_cache(maxsize=4096)
def student_quantile(probability: float, degrees: float) -> float:
    """The t that a Student variable stays under with this probability (at least 0.5), by bisection."""
    low, high = 0.0, 1.0
    while student_cdf(high, degrees) < probability:
        high *= 2.0
    for _ in range(60):
        middle = (low + high) / 2.0
        low, high = (middle, high) if student_cdf(middle, degrees) < probability else (low, middle)
    return (low + high) / 2.0


def _beta(x: float, a: float, b: float) -> float:
    """The regularised incomplete beta function by its continued fraction (Lentz 1976; Abramowitz & Stegun 26.5.8)."""
    if x <= 0.0 or x >= 1.0:
        return min(max(x, 0.0), 1.0)
    if x > (a + 1.0) / (a + b + 2.0):
        return 1.0 - _beta(1.0 - x, b, a)
    front = math.exp(math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x))
    tiny, c, d = 1e-300, 1.0, 1.0 - (a + b) * x / (a + 1.0)
    d = 1.0 / (d if abs(d) > tiny else tiny)
    total = d
    for m in range(1, MOST_STEPS):
        for term in (
            m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m)),
            -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1)),
        ):
            d = 1.0 + term * d
            d = 1.0 / (d if abs(d) > tiny else tiny)
            c = 1.0 + term / c
            c = c if abs(c) > tiny else tiny
            total *= c * d
        if abs(c * d - 1.0) < 1e-14:
            break
    return front * total / a


@dataclass(frozen=True, slots=True)
class Examination:
    """gain: mean difference baseline minus incumbent in loss, positive is better; low, high: its interval."""

    gain: float
    low: float
    high: float


def examination(differences: Sequence[float], confidence: float = CONFIDENCE) -> Examination:
    """Student's paired t interval (Student 1908). Raises ValueError for fewer than two differences."""
    if len(differences) < 2:
        raise ValueError("one difference has no interval")
    gain, degrees = fmean(differences), len(differences) - 1
    reach = student_quantile(0.5 + confidence / 2, degrees) * stdev(differences) / math.sqrt(len(differences))
    return Examination(gain, gain - reach, gain + reach)
