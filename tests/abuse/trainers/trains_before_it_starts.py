"""Trains for seconds before it says that it starts; the allowance for start-up is one second."""

from base import burn, finish, ignore_signals, start

CASE, EXPECT = 12, ("timeout", "over_budget")
BUDGET = {"seconds": 1.0, "grace_seconds": 0.5, "startup_seconds": 1.0}
WALL = 1.5
FLAG = "startup_capped"

ignore_signals()
burn(2.0)
start()
finish(0.1)
burn(60)
