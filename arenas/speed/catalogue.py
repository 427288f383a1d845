"""Catalogues of earthquakes to measure with: swarms and single events, drawn from a generator, and odd cases."""

from __future__ import annotations

import numpy as np

EVENTS = 160


def catalogue(rng: np.random.Generator, events: int = EVENTS) -> np.ndarray:
    """(events, 4): x and y in km, time in days, magnitude."""
    centres = rng.uniform(0.0, 100.0, (6, 2))
    places = centres[rng.integers(0, 6, events)] + rng.normal(0.0, 8.0, (events, 2))
    alone = rng.random(events) < 0.3
    places[alone] = rng.uniform(0.0, 100.0, (int(alone.sum()), 2))
    days = rng.uniform(0.0, 365.0, events)
    sizes = np.minimum(8.0, 1.0 + rng.exponential(0.45, events))
    return np.column_stack([np.clip(places, 0.0, 100.0), days, sizes])


def odd(rng: np.random.Generator) -> list[np.ndarray]:
    """Catalogues on which a careless improvement breaks: empty, single, many at one place or time, at the edges."""
    some = catalogue(rng, 40)
    one_place, one_time, edges = some.copy(), some.copy(), some.copy()
    one_place[:, :2] = rng.uniform(0.0, 100.0, 2)
    one_time[:, 2] = 7.0
    edges[:, :2] = rng.choice([0.0, 10.0, 100.0], (40, 2))
    outside = some * [3.0, 3.0, 1.0, 1.0] - [50.0, 50.0, 0.0, 0.0]
    return [some[:0], some[:1], some[:2], one_place, one_time, edges, outside, catalogue(rng, 300)]
