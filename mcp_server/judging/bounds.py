"""Limits of secondary metrics: what breaks one is not kept, however good its score. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Bound:
    """Limits of one secondary metric, both inclusive; None is open."""

    min: float | None = None
    max: float | None = None


def broken_bounds(secondary: Mapping[str, float], bounds: Mapping[str, Bound]) -> tuple[str, ...]:
    """A sentence for each bound that does not hold. A bounded metric that is missing or not finite breaks its bound."""
    said = []
    for name, bound in sorted(bounds.items()):
        value = secondary.get(name)
        if value is None or not math.isfinite(value):
            said.append(f"{name} was not measured.")
        elif bound.max is not None and value > bound.max:
            said.append(f"{name} is {value:.6g}, above {bound.max:.6g}.")
        elif bound.min is not None and value < bound.min:
            said.append(f"{name} is {value:.6g}, below {bound.min:.6g}.")
    return tuple(said)
