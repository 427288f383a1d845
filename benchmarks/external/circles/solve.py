"""26 circles in the unit square, the sum of their radii large: random starts, each improved by linear programmes."""

from __future__ import annotations

import json
import os
from functools import partial
from pathlib import Path

import numpy as np
from climb import climb, spent
from disks import linear, repaired, scattered, worth

# ---- what to try ----
CIRCLES = 26
STARTS = 16  # the best of them counts
RADIUS = 0.05  # of the first step, in sides of the square
SHRINK = 0.4  # of a step that brought little
STEPS = 12  # of a start
ROUNDS = 10  # of the programme in a step
NEAR = 0.5  # circles farther apart than this are not looked at
JITTER = 0.5  # of the grid that a start is
SEED = 0


def main() -> None:
    draw, end = np.random.default_rng(SEED), spent()
    best, found = -1.0, scattered(draw, CIRCLES, 1.0, JITTER)
    for _ in range(STARTS):
        value, state = climb(
            scattered(draw, CIRCLES, 1.0, JITTER),
            partial(linear, near=NEAR, square=True), partial(repaired, square=True), worth,
            radius=RADIUS, shrink=SHRINK, steps=STEPS, rounds=ROUNDS, until=end,
        )  # fmt: skip
        if value > best:
            best, found = value, state
    circles = found[:-1].reshape(-1, 3).tolist()
    (Path(os.environ.get("AUTORESEARCH_OUT", ".")) / "circles.json").write_text(json.dumps(circles))
    print(f"sum of radii, as this program believes: {best:.8f}")


if __name__ == "__main__":
    main()
