"""Writes its artifact in time, then ignores SIGTERM and sleeps on, in several processes."""

import os
import time

from base import finish, ignore_signals, start

CASE, EXPECT, T1 = 12, ("timeout", "over_budget"), ("timeout", "over_budget")
BUDGET = {"seconds": 1.0, "grace_seconds": 1.0, "startup_seconds": 30}
WALL = 2.0

ignore_signals()
start()
finish(0.1)
os.fork()
os.fork()
while True:
    time.sleep(60)
