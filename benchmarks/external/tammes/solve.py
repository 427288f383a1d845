"""50 points on the sphere, the smallest distance large (Tammes 1930): random starts, improved by linear programmes.

State: x, y and z of each point, one after the other, (150,), of length 1 each.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
from climb import climb, spent

# ---- what to try ----
POINTS = 50
STARTS = 6  # the best of them counts
PUSHES = 60  # of a start, before it is improved: points drive each other away
PUSH = 0.05  # the length of such a push
RADIUS = 0.1  # of the first step, in radii of the sphere
SHRINK = 0.5  # of a step that brought little
STEPS = 8  # of a start
ROUNDS = 8  # of the programme in a step
NEAR = 1.5  # pairs farther apart than so many smallest distances are not looked at
SEED = 0

ONE, TWO = np.triu_indices(POINTS, 1)


def repaired(state: np.ndarray) -> np.ndarray:
    points = state.reshape(-1, 3)
    return (points / np.linalg.norm(points, axis=1, keepdims=True)).ravel()


def worth(state: np.ndarray) -> float:
    points = state.reshape(-1, 3)
    return float(((points[ONE] - points[TWO]) ** 2).sum(axis=1).min())


def start(draw: np.random.Generator) -> np.ndarray:
    points = repaired(draw.normal(size=3 * POINTS)).reshape(-1, 3)
    for done in range(PUSHES):
        apart = points[:, None] - points[None]
        square = (apart**2).sum(axis=2) + 1e-9
        push = (apart / square[..., None] ** 4).sum(axis=1)
        push /= np.linalg.norm(push, axis=1, keepdims=True) + 1e-12
        points = repaired(points + PUSH * (1 - done / PUSHES) * push).reshape(-1, 3)
    return points.ravel()


def linear(state: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """One more unknown than coordinates: by how much the smallest squared distance grows. Moves stay in the tangent."""
    points = state.reshape(-1, 3)
    apart = points[ONE] - points[TWO]
    square = (apart**2).sum(axis=1)
    near = square < NEAR**2 * square.min()
    one, two, apart, square = ONE[near], TWO[near], apart[near], square[near]
    rows = np.zeros((len(one) + 2 * POINTS, 3 * POINTS + 1))
    pair = np.arange(len(one))
    for axis in range(3):
        rows[pair, 3 * one + axis] = -2 * apart[:, axis]
        rows[pair, 3 * two + axis] = 2 * apart[:, axis]
    rows[pair, -1] = 1.0
    for side, sign in ((0, 1.0), (1, -1.0)):
        for axis in range(3):
            rows[len(one) + side * POINTS + np.arange(POINTS), 3 * np.arange(POINTS) + axis] = sign * points[:, axis]
    return (
        np.append(np.zeros(3 * POINTS), 1.0),
        rows,
        np.concatenate([square - square.min(), np.full(2 * POINTS, 1e-4)]),
    )


def main() -> None:
    draw, end = np.random.default_rng(SEED), spent()
    best, found = -1.0, start(draw)
    for _ in range(STARTS):
        value, state = climb(
            start(draw), linear, repaired, worth,
            radius=RADIUS, shrink=SHRINK, steps=STEPS, rounds=ROUNDS, until=end,
        )  # fmt: skip
        if value > best:
            best, found = value, state
    (Path(os.environ.get("AUTORESEARCH_OUT", ".")) / "points.json").write_text(
        json.dumps(found.reshape(-1, 3).tolist())
    )
    print(f"smallest distance, as this program believes: {best**0.5:.8f}")


if __name__ == "__main__":
    main()
