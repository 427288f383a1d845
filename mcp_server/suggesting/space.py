"""Between which values each constant may be tried: from bounds beside it, from its name, from history. Pure."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mcp_server.edits.movable import Constant, constants, evaluated, written

WIDE = 4.0  # how far from its value a constant is tried, as a factor, where nothing else is known
LONGEST_MEMORY = 0.998  # written with three digits, a longer one would be endless
FURTHER = 1.5  # beyond what was tried and scored
LARGEST = 1e100  # of a constant that is moved, and of the values that history tells: steps beyond overflow
# of a plan's frame rather than its content: never moved unasked
LEFT_ALONE = re.compile(
    r"SEED|VOCAB|SECONDS|BUDGET|THREAD|DEVICE|PORT|EVAL|SEQ|LENGTH|CHUNK|LEVELS|(^|_)EPS$|VERSION|LIMIT"
)
SHARE = re.compile(r"WARM|COOL|DECAY|DROPOUT|FINAL|FRACTION|SMOOTH|RATIO|SHARE|^P_|PROB")
MEMORY = re.compile(r"MOMENTUM|BETA")
_NUMBER = r"[+\-]?\d[\d_]*\.?\d*(?:e[+\-]?\d+)?|[+\-]?\.\d+(?:e[+\-]?\d+)?"
_BOUNDS = re.compile(
    rf"(?:(?P<a>{_NUMBER})\s*(?:\.\.\.?|…|–)\s*(?P<b>{_NUMBER})|[\[(]\s*(?P<c>{_NUMBER})\s*,\s*(?P<d>{_NUMBER})\s*[\])]"
    rf"|\b(?:between|from|bounds?:?|range:?)\s*(?P<e>{_NUMBER})\s*(?:and|to|,|-)\s*(?P<f>{_NUMBER}))",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Dimension:
    """One constant as the optimiser sees it. distance: what counts is how far it is from one (a memory of 0.9)."""

    constant: Constant
    low: float
    high: float
    log: bool
    why: str
    distance: bool = False

    @property
    def name(self) -> str:
        return self.constant.name

    @property
    def whole(self) -> bool:
        return isinstance(self.constant.value, int)

    def inside(self, value: float) -> bool:
        return self.low <= value <= self.high

    def place(self, value: float) -> float:
        """From 0 to 1, in the scale in which the constant is moved."""
        value = min(max(value, self.low), self.high)
        if self.distance:
            far, near, at = math.log(1 - self.low), math.log(1 - self.high), math.log(max(1 - value, 1e-12))
            return (far - at) / (far - near)
        if self.log:
            return math.log(value / self.low) / math.log(self.high / self.low)
        return (value - self.low) / (self.high - self.low)

    def value(self, place: float) -> float:
        """The value at a place from 0 to 1, as the file would write it."""
        place = min(max(place, 0.0), 1.0)
        if self.distance:
            far, near = math.log(1 - self.low), math.log(1 - self.high)
            value = 1 - math.exp(far - place * (far - near))
        elif self.log:
            value = self.low * (self.high / self.low) ** place
        else:
            value = self.low + place * (self.high - self.low)
        return float(evaluated(written(value, self.constant.text)))


def space(
    source: str,
    device: str = "cpu",
    tried: Mapping[str, Sequence[float]] = {},  # only read
    failed: Mapping[str, Sequence[float]] = {},
) -> list[Dimension]:
    """The constants of a file that may be moved, each with its range.

    tried: values that were scored, by name; failed: values that ended without a score, each alone.
    """
    found, content = [], source.encode()
    for constant in constants(source, device):
        dimension = _dimension(constant, _beside(content, constant)) if abs(constant.value) < LARGEST else None
        if dimension is not None:
            known = ([one for one in seen.get(constant.name, ()) if abs(one) < LARGEST] for seen in (tried, failed))
            found.append(_learnt(dimension, *known))
    return found


def _beside(content: bytes, constant: Constant) -> str:
    """The comment on a constant's line."""
    rest = content[constant.end :].partition(b"\n")[0]
    return rest.decode("utf-8", "replace").partition("#")[2]


def _dimension(constant: Constant, comment: str) -> Dimension | None:
    value = float(constant.value)
    bounds = _BOUNDS.search(comment)
    if bounds:
        low, high = sorted(float(one.replace("_", "")) for one in bounds.groups() if one is not None)
        if low < high and low <= value <= high:
            return Dimension(constant, low, high, low > 0 and high / low >= 10, "bounds beside it")
    if LEFT_ALONE.search(constant.name) or isinstance(constant.value, bool):
        return None
    if MEMORY.search(constant.name) and 0 < value < 1:
        if value >= LONGEST_MEMORY:
            return None
        far = 1 - value
        return Dimension(
            constant,
            max(0.0, 1 - WIDE * far),
            min(1 - far / WIDE, LONGEST_MEMORY),
            False,
            "its distance from one",
            True,
        )
    if value == 0:
        return Dimension(constant, 0.0, 0.2, False, "a share that is off") if SHARE.search(constant.name) else None
    if value < 0:
        return Dimension(constant, WIDE * value, value / WIDE, False, "around its value")
    high = WIDE * value
    if SHARE.search(constant.name) and value <= 1:
        high = min(1.0, high)
    low = max(1.0, value / WIDE) if isinstance(constant.value, int) else value / WIDE
    return Dimension(constant, low, high, True, "around its value") if low < high else None


def _learnt(dimension: Dimension, tried: Sequence[float], failed: Sequence[float]) -> Dimension:
    """The range with what history knows: wider where values beyond it were scored, narrower where all others failed."""
    if dimension.why == "bounds beside it":
        return dimension
    low, high, why = dimension.low, dimension.high, dimension.why
    good = [one for one in tried if one > 0 or not dimension.log]
    if good and dimension.log and not dimension.distance:
        wider = min(low, min(good) / FURTHER), max(high, max(good) * FURTHER)
        if wider != (low, high):
            (low, high), why = wider, "what was tried"
    now = float(dimension.constant.value)
    reached = [*good, now]
    above = [one for one in failed if one > max(reached)]
    below = [one for one in failed if one < min(reached)]
    if above and min(above) < high:
        high, why = (max(reached) + min(above)) / 2, "values above failed"
    if below and max(below) > low:
        low, why = (min(reached) + max(below)) / 2, "values below failed"
    if dimension.whole:
        low, high = math.ceil(low), math.floor(high)
    if not low < high:
        return dimension
    return Dimension(dimension.constant, low, high, dimension.log, why, dimension.distance)
