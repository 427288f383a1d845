"""The square of the largest distance between 16 points, divided by that of the smallest: an exact fraction."""

from __future__ import annotations

from itertools import combinations

from reading import Refused, answer, table


def measure() -> float:
    points = table("points.json", 16, 2)
    squares = [(x - a) ** 2 + (y - b) ** 2 for (x, y), (a, b) in combinations(points, 2)]
    if min(squares) == 0:
        raise Refused("infeasible", "Two points are the same.")
    return float(max(squares) / min(squares))


if __name__ == "__main__":
    answer(measure)
