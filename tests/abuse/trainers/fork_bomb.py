"""A fork bomb."""

import contextlib
import os

from base import start

CASE, EXPECT, T1 = 15, ("crashed", "too_many_processes"), ("crashed", "too_many_processes")
BUDGET = {"seconds": 60, "processes": 64}

start()
while True:
    with contextlib.suppress(OSError):
        os.fork()
