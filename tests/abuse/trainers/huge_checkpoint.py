"""Writes a checkpoint until the disk is full."""

import os

from base import OUT, start

CASE, EXPECT = 15, ("crashed", "output_too_large")
BUDGET = {"seconds": 60, "output_gb": 0.05}

start()
number = 0
while True:
    with open(os.path.join(OUT, f"checkpoint-{number}"), "wb") as file:
        for _ in range(4):
            file.write(bytes(1 << 20))
    number += 1
