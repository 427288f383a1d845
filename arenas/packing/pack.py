"""Packs 26 circles into the unit square so that the sum of their radii is large.

Many random starts at once: the circles grow while overlaps and walls push back harder and harder, then what still
overlaps is shrunk away and what has room left grows into it. Arrays are (STARTS, circles) or
(STARTS, circles, circles).
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np

# ---- what to try ----
STARTS = 1  # packings tried at once; the best of them counts
STEPS = 90  # of the descent
RATE = 0.012  # length of a step at the beginning; it falls to nothing
FIRST_PUSH = 30.0  # what an overlap costs at the beginning ...
LAST_PUSH = 300.0  # ... and at the end, when it must be gone
MOMENTUM = 0.9
FIRST_RADIUS = 0.03  # of every circle at the beginning


def descend(rng: np.random.Generator, circles: int = 26) -> tuple[np.ndarray, np.ndarray]:
    """Centres (STARTS, circles, 2) and radii (STARTS, circles), nearly free of overlaps."""
    centres = rng.uniform(0.1, 0.9, (STARTS, circles, 2))
    radii = np.full((STARTS, circles), FIRST_RADIUS)
    state = np.concatenate([centres, radii[..., None]], axis=2)
    speed, spread = np.zeros_like(state), np.zeros_like(state)
    itself = np.eye(circles, dtype=bool)
    for step in range(STEPS):
        done = step / STEPS
        push = FIRST_PUSH * (LAST_PUSH / FIRST_PUSH) ** done
        centres, radii = state[..., :2], state[..., 2]
        apart = centres[:, :, None, :] - centres[:, None, :, :]
        distance = np.sqrt((apart**2).sum(axis=3)) + 1e-12
        overlap = np.maximum(0.0, radii[:, :, None] + radii[:, None, :] - distance)
        overlap[:, itself] = 0.0
        below = np.maximum(0.0, radii[..., None] - centres)
        above = np.maximum(0.0, radii[..., None] + centres - 1.0)
        slope = np.empty_like(state)
        slope[..., :2] = push * (2.0 * (above - below) - 2.0 * ((overlap / distance)[..., None] * apart).sum(axis=2))
        slope[..., 2] = push * (2.0 * overlap.sum(axis=2) + 2.0 * (below + above).sum(axis=2)) - 1.0
        speed = MOMENTUM * speed + (1.0 - MOMENTUM) * slope
        spread = 0.99 * spread + 0.01 * slope**2
        state = state - RATE * (1.0 - done) * speed / (np.sqrt(spread / (1.0 - 0.99 ** (step + 1))) + 1e-8)
        state[..., 2] = np.maximum(state[..., 2], 0.0)
        state[..., :2] = np.clip(state[..., :2], 0.0, 1.0)
    return state[..., :2], state[..., 2]


def polish(centres: np.ndarray, radii: np.ndarray, rounds: int = 3, margin: float = 1e-9) -> np.ndarray:
    """Radii (circles,) that fit the centres (circles, 2): no overlap, no wall crossed, no room left to grow alone.

    `margin` is left between circles, for the rounding of what is written.
    """
    apart = np.sqrt(((centres[:, None] - centres[None]) ** 2).sum(axis=2))
    np.fill_diagonal(apart, np.inf)
    walls = np.minimum(centres, 1.0 - centres).min(axis=1)
    radii = np.minimum(radii, walls)
    overlap = np.maximum(0.0, radii[:, None] + radii[None] - apart)
    radii = np.maximum(0.0, radii - overlap.max(axis=1) / 2)
    for _ in range(rounds):
        for one in np.argsort(walls):
            radii[one] = max(0.0, min(walls[one], (apart[one] - radii).min()))
    return np.maximum(0.0, radii - margin)


def main() -> None:
    rng = np.random.default_rng(int(os.environ.get("AUTORESEARCH_SEED", "0")))
    centres, radii = descend(rng)
    packings = [(one, polish(one, around)) for one, around in zip(centres, radii, strict=True)]
    best, sizes = max(packings, key=lambda packing: packing[1].sum())
    circles = [[float(x), float(y), float(r)] for (x, y), r in zip(best, sizes, strict=True)]
    out = Path(os.environ.get("AUTORESEARCH_OUT", "."))
    (out / "circles.json").write_text(json.dumps(circles))
    print(f"sum of radii, as this program believes: {sizes.sum():.6f}")


if __name__ == "__main__":
    main()
