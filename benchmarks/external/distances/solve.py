"""16 points in the plane, the largest distance small against the smallest: the smallest is raised by linear programmes.

State: x and y of each point, one after the other, (32,), the largest distance being 1.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
from climb import climb, spent

# ---- what to try ----
POINTS = 16
STARTS = 12  # the best of them counts
RADIUS = 0.1  # of the first step, in largest distances
SHRINK = 0.5  # of a step that brought little
STEPS = 20  # of a start
ROUNDS = 10  # of the programme in a step
SEED = 0

ONE, TWO = np.triu_indices(POINTS, 1)
PAIR = np.arange(len(ONE))


def squares(state: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Differences (pairs, 2) and squared distances (pairs,)."""
    points = state.reshape(-1, 2)
    apart = points[ONE] - points[TWO]
    return apart, (apart**2).sum(axis=1)


def linear(state: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """One more unknown than coordinates: by how much the smallest squared distance grows."""
    apart, square = squares(state)
    slopes = np.zeros((len(PAIR), 2 * POINTS + 1))
    for axis in (0, 1):
        slopes[PAIR, 2 * ONE + axis] = 2 * apart[:, axis]
        slopes[PAIR, 2 * TWO + axis] = -2 * apart[:, axis]
    shorter = -slopes
    shorter[:, -1] = 1.0
    gain = np.append(np.zeros(2 * POINTS), 1.0)
    return gain, np.concatenate([shorter, slopes]), np.concatenate([square - square.min(), 1.0 - square])


def repaired(state: np.ndarray) -> np.ndarray:
    state = state[: 2 * POINTS]
    return state / np.sqrt(squares(state)[1].max())


def main() -> None:
    draw, end = np.random.default_rng(SEED), spent()
    best, found = -1.0, repaired(draw.uniform(0, 1, 2 * POINTS))
    for _ in range(STARTS):
        value, state = climb(
            draw.uniform(0, 1, 2 * POINTS), linear, repaired, lambda state: float(squares(state)[1].min()),
            radius=RADIUS, shrink=SHRINK, steps=STEPS, rounds=ROUNDS, until=end,
        )  # fmt: skip
        if value > best:
            best, found = value, state
    (Path(os.environ.get("AUTORESEARCH_OUT", ".")) / "points.json").write_text(
        json.dumps(found.reshape(-1, 2).tolist())
    )
    print(f"squared ratio, as this program believes: {1 / best:.8f}")


if __name__ == "__main__":
    main()
