"""Sequential linear programming for packings: the smallest of many smooth margins is made larger, step by step.

Every step is a linear programme (the margins' tangents, moves of at most `radius`), solved by a primal-dual interior
point method after Mehrotra (1992). For distances that must not become smaller the tangent promises too little and never
too much, so a step that the programme allows is one that the packing allows.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable

import numpy as np

Linear = Callable[
    [np.ndarray], tuple[np.ndarray, np.ndarray, np.ndarray]
]  # what to raise (n,), rows (m, n), room (m,); n may be more than the state has: helpers


def best_move(gain: np.ndarray, rows: np.ndarray, room: np.ndarray, radius: float, rounds: int) -> np.ndarray:
    """The move x (n,) that raises gain @ x most while rows @ x <= room; no part is over `radius`. Inexact."""
    n, m = len(gain), len(room)
    x = np.zeros(n)
    slack = np.concatenate([np.maximum(room, 1e-3 * radius), np.full(2 * n, radius)])
    limit = np.concatenate([room, np.full(2 * n, radius)])
    price = np.ones(m + 2 * n) * max(1e-9, np.abs(gain).max())

    def across(move: np.ndarray) -> np.ndarray:
        return np.concatenate([rows @ move, move, -move])

    def back(prices: np.ndarray) -> np.ndarray:
        return rows.T @ prices[:m] + prices[m : m + n] - prices[m + n :]

    for _ in range(rounds):
        dual, primal = gain - back(price), limit - across(x) - slack
        gap = float(price @ slack) / len(price)
        if gap < 1e-13 and np.abs(primal).max() < 1e-13:
            break
        weight = price / slack
        matrix = (rows.T * weight[:m]) @ rows
        matrix[np.diag_indices(n)] += weight[m : m + n] + weight[m + n :] + 1e-14
        try:
            inverse = np.linalg.inv(matrix)
        except np.linalg.LinAlgError:  # as close as doubles come
            break
        target = -price * slack
        for corrects in (False, True):
            dx = inverse @ (dual + back(weight * primal - target / slack))
            ds = primal - across(dx)
            dz = (target - price * ds) / slack
            if not corrects:
                ahead = float((price + _reach(price, dz) * dz) @ (slack + _reach(slack, ds) * ds)) / len(price)
                target = (max(0.0, ahead) / gap) ** 3 * gap - price * slack - ds * dz
        x, slack = x + 0.99 * _reach(slack, ds) * dx, slack + 0.99 * _reach(slack, ds) * ds
        price = price + 0.99 * _reach(price, dz) * dz
    return np.clip(np.nan_to_num(x), -radius, radius)


def _reach(value: np.ndarray, change: np.ndarray) -> float:
    """How far along `change` everything stays positive, at most 1."""
    falls = change < 0
    return min(1.0, float((-value[falls] / change[falls]).min())) if falls.any() else 1.0


def climb(
    state: np.ndarray,
    linear: Linear,
    repaired: Callable[[np.ndarray], np.ndarray],
    worth: Callable[[np.ndarray], float],
    *,
    radius: float,
    shrink: float,
    steps: int,
    rounds: int,
    until: float,
) -> tuple[float, np.ndarray]:
    """(worth, state) after at most `steps` moves from `state`; a move that makes it worse is halved instead."""
    state = repaired(state)
    reached = worth(state)
    for _ in range(steps):
        if radius < 1e-12 or time.process_time() > until:
            break
        tried = repaired(state + best_move(*linear(state), radius, rounds)[: len(state)])
        value = worth(tried)
        if value > reached + 1e-15:
            close = value - reached < 1e-3 * radius
            state, reached = tried, value
            radius *= shrink if close else 1.0
        else:
            radius *= shrink
    return reached, state


def spent() -> float:
    """The processor time at which this run's budget is nearly used up."""
    return 0.9 * float(os.environ.get("AUTORESEARCH_BUDGET_SECONDS", "5"))
