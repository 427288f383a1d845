"""The cities: eight maps of 200, from the numpy seed that Outerloop's quickstart publishes."""

from __future__ import annotations

import numpy as np

SEED, MAPS, CITIES = 20260805, 8, 200


def maps() -> list[np.ndarray]:
    """Places (200, 2) in the unit square of each map."""
    draw = np.random.default_rng(SEED)
    return [draw.random((CITIES, 2)) for _ in range(MAPS)]


def nearest_neighbour(places: np.ndarray) -> list[int]:
    """The tour from city 0 always to the nearest city that was not visited."""
    tour, left = [0], set(range(1, len(places)))
    while left:
        here = places[tour[-1]]
        tour.append(min(left, key=lambda city: (float(((places[city] - here) ** 2).sum()), city)))
        left.remove(tour[-1])
    return tour
