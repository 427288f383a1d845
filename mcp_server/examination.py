"""The arithmetic of the closing exam: a mean of paired differences and how far chance could have moved it. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, stdev

CONFIDENCE = 0.95


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
    gain = fmean(differences)
    reach = (
        student_quantile(0.5 + confidence / 2, len(differences) - 1) * stdev(differences) / math.sqrt(len(differences))
    )
    return Examination(gain, gain - reach, gain + reach)


def student_quantile(probability: float, degrees: int) -> float:
    """The t that a Student variable stays under with this probability (at least 0.5), by bisection."""
    low, high = 0.0, 1.0
    while _student_cdf(high, degrees) < probability:
        high *= 2
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if _student_cdf(middle, degrees) < probability else (low, middle)
    return (low + high) / 2


def _student_cdf(t: float, degrees: int) -> float:
    """For t >= 0; the finite sums of Abramowitz and Stegun 26.7.3 and 26.7.4."""
    angle = math.atan(t / math.sqrt(degrees))
    cosine, sine = math.cos(angle), math.sin(angle)
    if degrees == 1:
        return 0.5 + angle / math.pi
    term = cosine if degrees % 2 else 1.0
    total, first = term, 3 if degrees % 2 else 2
    for k in range(first, degrees - 1, 2):
        term *= cosine * cosine * (k - 1) / k
        total += term
    share = (angle + sine * total) * 2 / math.pi if degrees % 2 else sine * total
    return 0.5 + share / 2
