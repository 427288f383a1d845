"""Floods the pipe of its marks with nonsense, endless lines and steps from the future."""

import os

from base import finish, start

CASE, EXPECT = 15, ("timeout", "over_budget")
BUDGET = {"seconds": 1.5, "grace_seconds": 0.5}

start()
finish(0.1)
marks = int(os.environ["AUTORESEARCH_MARKS"])
while True:
    os.write(marks, b'{"event": "step", "step": -1, "loss": NaN}\n{}\n[[[[\n' * 500 + b"x" * 5000 + b"\n" * 5000)
