"""Patches every clock it can see, ignores every signal, and goes on training."""

import time

import base

CASE, EXPECT = 12, ("timeout", "over_budget")
BUDGET = {"seconds": 1.5, "grace_seconds": 1.0, "startup_seconds": 30}
WALL = 2.5

base.start()
base.ignore_signals()
base.finish(0.1)
true_time = time.monotonic
for name in ("time", "monotonic", "perf_counter", "process_time", "monotonic_ns", "time_ns"):
    setattr(time, name, lambda: 0)
begin = true_time()
while true_time() - begin < 60:
    pass
