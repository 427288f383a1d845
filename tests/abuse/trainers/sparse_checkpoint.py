"""Leaves many sparse files, which take no room and would take hours to hash."""

import os

from base import OUT, finish, start

CASE, EXPECT = 15, ("crashed", "output_too_large")
BUDGET = {"seconds": 60, "output_gb": 0.05}

start()
for number in range(20):
    with open(os.path.join(OUT, f"hole-{number}"), "wb") as file:
        file.truncate(40 << 20)
finish(0.1)
