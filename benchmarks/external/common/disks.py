"""Circles in a rectangle of which width and height sum to 2, as `climb` wants them: the unit square is one of them.

State: x, y and radius of each circle, one after the other, and the rectangle's width last, (3n + 1,).
"""

from __future__ import annotations

import numpy as np

AIR = 1e-10  # between circles, so that rounding cannot make them overlap


def linear(state: np.ndarray, near: float, square: bool) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """What to raise, rows and room: of pairs closer than `near`, of the walls, of radii that stay positive."""
    circles, width = state[:-1].reshape(-1, 3), state[-1]
    n, (x, y, r) = len(circles), circles.T
    one, two = np.triu_indices(n, 1)
    apart = np.hypot(x[one] - x[two], y[one] - y[two])
    close = apart < near
    one, two, apart = one[close], two[close], np.maximum(apart[close], 1e-9)
    rows = np.zeros((len(one) + 5 * n + 2, 3 * n + 1))
    pair, each = np.arange(len(one)), np.arange(n)
    for axis, values in ((0, x), (1, y)):
        slope = (values[one] - values[two]) / apart
        rows[pair, 3 * one + axis], rows[pair, 3 * two + axis] = -slope, slope
    rows[pair, 3 * one + 2] = rows[pair, 3 * two + 2] = 1.0
    room = [apart - r[one] - r[two]]
    walls = ((0, -1, 0, x - r), (0, 1, -1, width - x - r), (1, -1, 0, y - r), (1, 1, 1, 2 - width - y - r))
    for wall, (axis, sign, wider, left) in enumerate(walls):
        line = len(one) + wall * n + each
        rows[line, 3 * each + axis], rows[line, 3 * each + 2], rows[line, -1] = sign, 1.0, wider
        room.append(left)
    rows[len(one) + 4 * n + each, 3 * each + 2] = -1.0
    rows[-2, -1], rows[-1, -1] = 1.0, -1.0  # how far the width may move
    play = 0.0 if square else 1.0
    return np.append(np.tile([0.0, 0.0, 1.0], n), 0.0), rows, np.concatenate([*room, r, [play, play]])


def repaired(state: np.ndarray, square: bool) -> np.ndarray:
    """Radii that fit, whatever the programme left over: no overlap, no wall crossed."""
    circles, width = state[:-1].reshape(-1, 3).copy(), 1.0 if square else float(np.clip(state[-1], 0.2, 1.8))
    centres, size = circles[:, :2], np.array([width, 2 - width])
    radii = np.clip(circles[:, 2], 0.0, np.maximum(0.0, np.minimum(centres, size - centres).min(axis=1)))
    apart = np.sqrt(((centres[:, None] - centres[None]) ** 2).sum(axis=2))
    np.fill_diagonal(apart, np.inf)
    over = (radii[:, None] + radii[None]) / np.maximum(apart, 1e-12)
    circles[:, 2] = np.maximum(0.0, radii / np.maximum(1.0, over.max(axis=1)) - AIR)
    return np.append(circles.ravel(), width)


def worth(state: np.ndarray) -> float:
    return float(state[2:-1:3].sum())


def scattered(draw: np.random.Generator, n: int, width: float, jitter: float) -> np.ndarray:
    """A start: circles of almost no size near the points of a grid."""
    side = int(np.ceil(np.sqrt(n)))
    cells = draw.permutation(side * side)[:n]
    places = np.stack([cells % side, cells // side], axis=1) + 0.5 + jitter * draw.uniform(-1, 1, (n, 2))
    centres = np.clip(places / side, 0.02, 0.98) * [width, 2 - width]
    return np.append(np.concatenate([centres, np.full((n, 1), 1e-3)], axis=1).ravel(), width)
