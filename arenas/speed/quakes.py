"""What a catalogue of earthquakes tells at a glance: crowding, energy by cell, running median, waiting times.

`analyse` is what counts: the same numbers, sooner. Everything else may be changed.
"""

from __future__ import annotations

import math
import statistics

import numpy as np

RADIUS_KM = 12.0  # events this near are neighbours
CELL_KM = 10.0  # the map is 100 km wide and cut into cells
CELLS = 10
WINDOW = 31  # events of the running median


def neighbours(xs: list[float], ys: list[float]) -> list[int]:
    """How many other events lie within RADIUS_KM of each."""
    counts = []
    for i in range(len(xs)):
        count = 0
        for j in range(len(xs)):
            if i != j and math.sqrt((xs[i] - xs[j]) ** 2 + (ys[i] - ys[j]) ** 2) <= RADIUS_KM:
                count += 1
        counts.append(count)
    return counts


def cell(x: float, y: float) -> int:
    """The number of the cell an event lies in."""
    column = min(CELLS - 1, max(0, int(x // CELL_KM)))
    row = min(CELLS - 1, max(0, int(y // CELL_KM)))
    return row * CELLS + column


def energy(xs: list[float], ys: list[float], sizes: list[float]) -> list[float]:
    """Energy released in each cell, in units of a magnitude 0 event."""
    totals = []
    for wanted in range(CELLS * CELLS):
        total = 0.0
        for x, y, size in zip(xs, ys, sizes, strict=True):
            if cell(x, y) == wanted:
                total += 10.0 ** (1.5 * size)
        totals.append(total)
    return totals


def running_median(sizes: list[float]) -> list[float]:
    """Median magnitude of the last WINDOW events, itself included."""
    medians = []
    for i in range(len(sizes)):
        medians.append(statistics.median(sizes[max(0, i - WINDOW + 1) : i + 1]))
    return medians


def waiting(xs: list[float], ys: list[float], days: list[float]) -> list[float]:
    """Days since the event before in the same cell; -1 where there is none."""
    gaps = []
    for i in range(len(days)):
        gap = -1.0
        for j in range(i - 1, -1, -1):
            if cell(xs[i], ys[i]) == cell(xs[j], ys[j]):
                gap = days[i] - days[j]
                break
        gaps.append(gap)
    return gaps


def analyse(events: np.ndarray) -> np.ndarray:
    """One vector of everything. `events` is (N, 4): x and y in km, time in days, magnitude; in any order."""
    rows = sorted(events.tolist(), key=lambda event: event[2])
    xs = [row[0] for row in rows]
    ys = [row[1] for row in rows]
    days = [row[2] for row in rows]
    sizes = [row[3] for row in rows]
    parts = [neighbours(xs, ys), energy(xs, ys, sizes), running_median(sizes), waiting(xs, ys, days)]
    return np.concatenate([np.asarray(part, dtype=np.float64) for part in parts])
