"""Gains of several labs as one: random effects, so that a lab that tells tiny errors does not outvote the others. Pure.

DerSimonian and Laird (1986): the scatter between labs, beyond what their own errors explain, is added to each of them.
Sums are taken in a fixed order and exactly rounded, so that everybody who has the same records gets the same digits.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from mcp_server.nouns.decided import NORMAL_95

ONE_SIDED = 1.6449  # 95 %
LEAST = 1e-6  # of the largest gain: an exact measurement has an error all the same


@dataclass(frozen=True)
class Pool:
    """A pooled gain. error: its standard error; None where nobody told how wide the noise is."""

    gain: float
    error: float | None
    parts: int  # measurements, or labs

    @property
    def low(self) -> float | None:
        """What it surely exceeds, one-sided 95 %."""
        return None if self.error is None else self.gain - ONE_SIDED * self.error

    @property
    def high(self) -> float | None:
        return None if self.error is None else self.gain + ONE_SIDED * self.error

    @property
    def interval(self) -> tuple[float, float] | None:
        """Where it is, two-sided 95 %."""
        return None if self.error is None else (self.gain - NORMAL_95 * self.error, self.gain + NORMAL_95 * self.error)


def pool(parts: Sequence[tuple[float, float | None]]) -> Pool | None:
    """(gain, standard deviation) of each as one; what has no deviation counts only where none has. None of nothing."""
    if not parts:
        return None
    known = [(gain, error) for gain, error in parts if error is not None]
    if not known:
        return Pool(math.fsum(gain for gain, _ in parts) / len(parts), None, len(parts))
    least = LEAST * max(abs(gain) for gain, _ in known) or LEAST
    squares = [max(error, least) ** 2 for _, error in known]
    gains = [gain for gain, _ in known]
    between = _between(gains, squares)
    weights = [1.0 / (square + between) for square in squares]
    total = math.fsum(weights)
    return Pool(_mean(gains, weights), total**-0.5, len(known))


def _mean(gains: Sequence[float], weights: Sequence[float]) -> float:
    return math.fsum(g * w for g, w in zip(gains, weights, strict=True)) / math.fsum(weights)


def _between(gains: Sequence[float], squares: Sequence[float]) -> float:
    """Variance between the parts."""
    if len(gains) < 2:
        return 0.0
    weights = [1.0 / square for square in squares]
    total, mean = math.fsum(weights), _mean(gains, weights)
    spread = math.fsum(w * (g - mean) ** 2 for g, w in zip(gains, weights, strict=True))
    scale = total - math.fsum(w * w for w in weights) / total
    return max(0.0, (spread - (len(gains) - 1)) / scale) if scale > 0 else 0.0
