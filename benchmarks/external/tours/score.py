"""The mean length of eight closed tours through 200 cities: roots of the exact squares to 40 digits, rounded once."""

from __future__ import annotations

from decimal import Decimal, getcontext

from cities import CITIES, MAPS, maps
from reading import Refused, answer, lists


def length(places: list[list[float]], tour: list[int]) -> Decimal:
    """Of a closed tour through all places. `places` are doubles, taken as the fractions that they are."""
    getcontext().prec = 110  # the square of a difference of doubles is exact in it
    exact = [(Decimal(x), Decimal(y)) for x, y in places]
    total = Decimal(0)
    for here, there in zip(tour, [*tour[1:], tour[0]], strict=True):
        square = (exact[here][0] - exact[there][0]) ** 2 + (exact[here][1] - exact[there][1]) ** 2
        total += square.sqrt()
    return total


def measure() -> float:
    tours = lists("tours.json")
    if len(tours) != MAPS or any(sorted(tour) != list(range(CITIES)) for tour in tours):
        raise Refused("infeasible", f"There must be {MAPS} tours, each with every city from 0 to {CITIES - 1} once.")
    lengths = [length(places.tolist(), tour) for places, tour in zip(maps(), tours, strict=True)]
    return float(sum(lengths, Decimal(0)) / MAPS)


if __name__ == "__main__":
    answer(measure)
