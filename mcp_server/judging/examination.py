"""The arithmetic of the closing exam: a mean of paired differences and how far chance could have moved it. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, stdev

from mcp_server.judging.student import student_quantile

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
    gain, degrees = fmean(differences), len(differences) - 1
    reach = student_quantile(0.5 + confidence / 2, degrees) * stdev(differences) / math.sqrt(len(differences))
    return Examination(gain, gain - reach, gain + reach)
