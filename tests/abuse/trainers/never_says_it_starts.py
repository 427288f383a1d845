"""Never says that it starts, so that nobody should know when its time began."""

from base import burn, finish

CASE, EXPECT = 12, ("timeout", "over_budget")
BUDGET = {"seconds": 0.5, "grace_seconds": 2.0, "startup_seconds": 30}

burn(3.0)
finish(0.1)
