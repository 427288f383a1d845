"""Writes one file that is larger than all it may write, faster than anybody looks."""

import os

from base import OUT, start

CASE, EXPECT = 15, ("crashed", "output_too_large")
BUDGET = {"seconds": 60, "output_gb": 0.01}

start()
with open(os.path.join(OUT, "checkpoint"), "wb") as file:
    for _ in range(100):
        file.write(bytes(1 << 20))
