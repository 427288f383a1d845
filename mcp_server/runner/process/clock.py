"""The budget of one run, from numbers alone: when it began to count, when to ask the trainer to stop, when to make it.

Every instant is passed in as a `Moment`, so that a test can live through a night in a millisecond. Time of day plays no
part. What is promised: training is counted from the start mark (or from the end of the start-up allowance, if the mark
is late) to the trainer's exit, and so is what a start-up uses beyond the unchanged code's, by the same clock; a machine
that slept, or a supervisor that was stopped, is noticed.
"""

from __future__ import annotations

import math
import time
from collections import deque
from dataclasses import dataclass
from enum import StrEnum

from mcp_server.nouns.records import Budget

OVERRUN_SECONDS, OVERRUN_SHARE = 2.0, 0.03  # an exit this little after the end of the budget is still in time
SUSPEND_SECONDS = 1.0  # CLOCK_BOOTTIME ran ahead of CLOCK_MONOTONIC by this much: the machine slept
GAP_SECONDS = 5.0  # between two ticks, which come 20 times a second: somebody stopped the supervisor
WALL_PER_CPU = 10.0  # a run on the processor clock may take this many times its budget on the wall ...
WALL_AT_LEAST = 30.0  # ... and on a machine full of neighbours a tiny one at least this long
STALL_SECONDS, STALL_SHARE = 30.0, 0.02  # less than 2 % of one processor for this long, or half the budget: stalled


# What a start-up may use beyond the unchanged code's before it is charged: the spread of honest ones, whose cost is
# mostly the import of torch, and larger on the wall, where a cold disk and a compiler with neighbours show.
FREE_SHARE = {"cpu": 0.1, "wall": 0.25}
FREE_SECONDS = {"cpu": 0.2, "wall": 2.0}


def free_startup(budget: Budget, usual_seconds: float | None) -> float:
    """Seconds of the budget's clock a start-up may use, by the unchanged code's; infinite while that is unknown."""
    if usual_seconds is None:
        return math.inf
    return usual_seconds * (1 + FREE_SHARE[budget.clock]) + FREE_SECONDS[budget.clock]


@dataclass(frozen=True)
class Moment:
    """One instant: the two clocks of the machine and the processor seconds of the tree so far."""

    monotonic: float
    boottime: float
    cpu: float = 0.0


def moment(cpu: float = 0.0) -> Moment:
    """Now."""
    boottime = time.clock_gettime(time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic()
    return Moment(time.monotonic(), boottime, cpu)


class Order(StrEnum):
    """What to do to the trainer."""

    GO_ON = "go on"
    ASK = "ask"  # SIGTERM, once
    KILL = "kill"


@dataclass(frozen=True)
class Stretch:
    """How long a trainer took, once it is gone."""

    startup_seconds: float | None  # launch to start mark, as it truly was; None without a mark
    spent_seconds: float | None  # of it in the budget's clock, up to where the budget began to count
    charged_seconds: float  # of these: beyond what was free
    train_seconds: float  # in the budget's clock
    wall_seconds: float
    reason: str  # "" = within the budget; over_budget, stalled, suspended
    flags: tuple[str, ...]


class Stopwatch:
    """Watches one trainer. Ask it `order` at every tick and `finish` it when the trainer is gone."""

    def __init__(self, budget: Budget, launched: Moment, free_seconds: float = math.inf) -> None:
        """free_seconds: of start-up, in the budget's clock; what is used beyond them counts as training."""
        self.budget = budget
        self._free = free_seconds
        self._launched = launched
        self._origin: Moment | None = None  # where the budget starts to count
        self._mark: Moment | None = None
        self._latest = launched
        self._spent: float | None = None  # wall instant at which the budget was found spent
        self._asked = False
        self._reason = ""
        self._flags: list[str] = []
        self._window: deque[Moment] = deque()

    @property
    def tolerance(self) -> float:
        """Seconds of the budget's clock by which an exit may be late."""
        return max(OVERRUN_SECONDS, OVERRUN_SHARE * self.budget.seconds)

    @property
    def counting(self) -> bool:
        """Whether the budget is being used up."""
        return self._origin is not None

    def start_mark(self, now: Moment) -> None:
        """The trainer says that training proper begins. Only the first time counts; a late mark buys nothing."""
        if self._mark is None:
            self._mark = now
            if self._origin is None:
                self._origin = now

    def elapsed(self, now: Moment) -> float:
        """Seconds of the budget used so far, in its own clock."""
        return 0.0 if self._origin is None else self._between(self._origin, now) + self.charged_seconds

    @property
    def charged_seconds(self) -> float:
        """Of the budget, for a start-up beyond what was free; 0 while it is not over."""
        return 0.0 if self._origin is None else max(0.0, self._between(self._launched, self._origin) - self._free)

    def _between(self, begin: Moment, end: Moment) -> float:
        return end.cpu - begin.cpu if self.budget.clock == "cpu" else end.monotonic - begin.monotonic

    def order(self, now: Moment) -> Order:
        """What to do now. Once it has said KILL it stays with it."""
        self._notice_sleep(now)
        if self._origin is None and now.monotonic - self._launched.monotonic >= self.budget.startup_seconds:
            late = now.monotonic - self._launched.monotonic - self.budget.startup_seconds
            self._origin = Moment(now.monotonic - late, now.boottime - late, now.cpu)
            self._flags.append("startup_capped")
        if self._reason == "suspended":
            return Order.KILL
        if self._origin is None:
            return Order.GO_ON
        if self._stalled(self._origin, now):
            self._reason = "stalled"
            return Order.KILL
        return self._spend(now)

    def _spend(self, now: Moment) -> Order:
        over = self.elapsed(now) - self.budget.seconds
        if over < 0:
            return Order.GO_ON
        if self._spent is None:
            # on the wall we know exactly when it was; processor time has no such instant but the tick that saw it
            self._spent = now.monotonic - (over if self.budget.clock == "wall" else 0.0)
        waited = now.monotonic - self._spent
        if waited >= self.budget.grace_seconds:
            self._reason = self._reason or "over_budget"
            return Order.KILL
        # A trainer that ends by itself finishes its last step and writes its artifact in the tolerance, undisturbed.
        if self._asked or (over < self.tolerance and waited < self.budget.grace_seconds / 2):
            return Order.GO_ON
        self._asked = True
        self._reason = self._reason or "over_budget"
        return Order.ASK

    def _notice_sleep(self, now: Moment) -> None:
        before, self._latest = self._latest, now
        slept = (now.boottime - self._launched.boottime) - (now.monotonic - self._launched.monotonic)
        stopped = now.monotonic - before.monotonic > GAP_SECONDS
        if stopped and "supervisor_stopped" not in self._flags:
            self._flags.append("supervisor_stopped")
        # Processor time goes on being counted while nobody looks; time on the wall cannot be vouched for.
        if slept > SUSPEND_SECONDS or (stopped and self.budget.clock == "wall"):
            self._reason = "suspended"

    def _stalled(self, origin: Moment, now: Moment) -> bool:
        if self.budget.clock != "cpu":
            return False
        wall = now.monotonic - origin.monotonic
        if wall > max(WALL_AT_LEAST, WALL_PER_CPU * self.budget.seconds):
            return True
        span = max(STALL_SECONDS, self.budget.seconds / 2)
        if not self._window or now.monotonic - self._window[-1].monotonic >= 1.0:
            self._window.append(now)
        while len(self._window) > 1 and now.monotonic - self._window[1].monotonic >= span:
            self._window.popleft()
        oldest = self._window[0]
        return now.monotonic - oldest.monotonic >= span and now.cpu - oldest.cpu < STALL_SHARE * span

    def finish(self, now: Moment, cpu: float) -> Stretch:
        """The trainer was seen gone at `now`; `cpu` is its tree's final count. Without a mark launch is the start."""
        self._notice_sleep(now)
        end = Moment(now.monotonic, now.boottime, cpu)
        origin = self._launched if self._mark is None else self._origin or self._launched
        charged = 0.0 if self._mark is None else self.charged_seconds
        train = max(0.0, self._between(origin, end)) + charged
        if not self._reason and train > self.budget.seconds + self.tolerance:
            self._reason = "over_budget"
        startup = None if self._mark is None else self._mark.monotonic - self._launched.monotonic
        spent = None if self._mark is None else self._between(self._launched, origin)
        wall = end.monotonic - origin.monotonic
        return Stretch(startup, spent, charged, train, wall, self._reason, tuple(self._flags))
