"""Where short labels go so that none covers another, a mark, or the line they belong to. Pure geometry in pixels."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

DISTANCES = (4, 9, 15, 22, 31, 42, 56, 72, 92, 116)
LEADER = 9.0  # a label farther from its mark than this needs a line to it
# What these are as bad as, in steps of distance:
DOT_COST = 24.0  # covering one small dot
LEADER_COST = 16.0  # a stretch of a leading line over a mark, a step line or another leading line
WORSE_SIDE_COST = 60.0
TOO_FAR = 95.0  # a label this badly placed confuses more than it says


@dataclass(frozen=True)
class Box:
    """An upright rectangle, x0 <= x1 and y0 <= y1."""

    x0: float
    y0: float
    x1: float
    y1: float

    def overlaps(self, other: Box) -> bool:
        return self.x0 < other.x1 and other.x0 < self.x1 and self.y0 < other.y1 and other.y0 < self.y1

    def within(self, other: Box) -> bool:
        return self.x0 >= other.x0 and self.y0 >= other.y0 and self.x1 <= other.x1 and self.y1 <= other.y1

    def grown(self, by: float) -> Box:
        return Box(self.x0 - by, self.y0 - by, self.x1 + by, self.y1 + by)

    def nearest(self, x: float, y: float) -> tuple[float, float]:
        """The point of the box closest to (x, y)."""
        return min(max(x, self.x0), self.x1), min(max(y, self.y0), self.y1)


@dataclass(frozen=True)
class Wanted:
    """A label that belongs to the mark at (x, y) and takes width times height."""

    x: float
    y: float
    width: float
    height: float


def place(
    wanted: Sequence[Wanted],
    area: Box,
    obstacles: Sequence[Box],
    dots: Sequence[tuple[float, float]] = (),
    free_side: int = -1,
    gap: float = 2.0,
    unit: float = 1.0,
    too_far: float = TOO_FAR,
) -> list[Box | None]:
    """A box for each label, in order of importance, or None where there is no room.

    No box overlaps another (with `gap` to spare), an obstacle or the border of `area`; as few `dots` as possible are
    covered. `free_side` is -1 where the emptier half lies below the marks, +1 where it lies above. `unit` stretches the
    distances tried, in pixels, to the picture's resolution. A label away from its mark needs a line, which crosses no
    label.
    """
    columns = _Columns(dots)
    taken: list[Box] = []
    leaders: list[Box] = []
    placed: list[Box | None] = []
    for label in wanted:
        best: Box | None = None
        best_cost = too_far * unit
        for cost, box in _candidates(label, free_side, unit):
            if cost >= best_cost:
                continue
            roomy = box.grown(gap)
            if not roomy.within(area) or any(roomy.overlaps(other) for other in (*obstacles, *taken, *leaders)):
                continue
            line = leader(label, box, unit)
            if any(piece.overlaps(other) for piece in line for other in taken):
                continue
            crossed = sum(piece.overlaps(other) for piece in line for other in (*obstacles, *leaders))
            cost += DOT_COST * unit * columns.count(roomy) + LEADER_COST * unit * crossed
            if cost < best_cost:
                best, best_cost = box, cost
        if best is not None:
            taken.append(best.grown(gap))
            leaders += leader(label, best, unit)
        placed.append(best)
    return placed


def leader(label: Wanted, box: Box, unit: float) -> list[Box]:
    """The line from a mark to its label as small boxes; none where the label is close enough to need no line."""
    end_x, end_y = box.nearest(label.x, label.y)
    length = math.hypot(end_x - label.x, end_y - label.y)
    if length <= LEADER * unit:
        return []
    steps = int(length / (4.0 * unit)) + 1
    half = 0.6 * unit
    pieces: list[Box] = []
    for step in range(2, steps):  # its first stretch lies on the mark itself
        x = label.x + (end_x - label.x) * step / steps
        y = label.y + (end_y - label.y) * step / steps
        pieces.append(Box(x - half, y - half, x + half, y + half))
    return pieces


def _candidates(label: Wanted, free_side: int, unit: float) -> Iterator[tuple[float, Box]]:
    """Boxes around the mark with their cost: near and on the free side, to the left of it, is best."""
    for distance in DISTANCES:
        step = distance * unit
        for side in (free_side, -free_side):
            for align, lean in ((1.0, 0.0), (0.75, 4.0), (0.5, 8.0), (0.25, 12.0), (0.0, 10.0)):
                # a label that ends at the mark lies in the corner that a falling (or rising) staircase leaves free
                shift = step * (0.6 if align in (0.0, 1.0) else 0.0) * (1 if align == 0.0 else -1)
                x0 = label.x - align * label.width + shift
                y0 = label.y + step if side > 0 else label.y - step - label.height
                cost = step + lean * unit + (WORSE_SIDE_COST * unit if side != free_side else 0.0)
                yield cost, Box(x0, y0, x0 + label.width, y0 + label.height)
        for right in (True, False):
            x0 = label.x + step if right else label.x - step - label.width
            box = Box(x0, label.y - label.height / 2, x0 + label.width, label.y + label.height / 2)
            yield step + 6.0 * unit, box


class _Columns:
    """Small dots sorted into columns, so that counting those in a box does not look at all of them."""

    WIDTH = 24.0

    def __init__(self, dots: Sequence[tuple[float, float]]) -> None:
        self._columns: dict[int, list[tuple[float, float]]] = {}
        for x, y in dots:
            self._columns.setdefault(int(x // self.WIDTH), []).append((x, y))

    def count(self, box: Box) -> int:
        columns = range(int(box.x0 // self.WIDTH), int(box.x1 // self.WIDTH) + 1)
        near = (dot for column in columns for dot in self._columns.get(column, ()))
        return sum(box.x0 <= x <= box.x1 and box.y0 <= y <= box.y1 for x, y in near)
