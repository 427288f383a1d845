"""The training of a run: each trainer started shut in, listened to, held to its budget and its limits, seen dead.

One event loop over the logs, the marks, the trainers' ends and the wish to stop, with a tick 20 times a second. A run
has one trainer; a pair has two, the candidate's first, and a pace that says which of them may go on, and where.
"""

from __future__ import annotations

import selectors
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from mcp_server.nouns.records import CurvePoint
from mcp_server.runner.environment import Surroundings, for_trainer
from mcp_server.runner.machine.tree import Usage
from mcp_server.runner.process import child as children
from mcp_server.runner.process.clock import Moment, Order, Stopwatch, Stretch, free_startup, moment
from mcp_server.runner.process.limits import Crossed, Limits
from mcp_server.runner.process.logs import BoundedLog
from mcp_server.runner.process.marks import Marks
from mcp_server.runner.process.stop import Stop

TICK_SECONDS = 0.05
DRAIN_BYTES = 1 << 20  # of log per look; the loop must come round for its ticks
FLOOD_BYTES = 4 << 20  # of log per tick once the run has printed more than it may: it waits, we do not


@dataclass(frozen=True)
class Look:
    """What a tick sees; handed to whoever watches limits or draws progress."""

    now: Moment
    elapsed_seconds: float
    counting: bool
    usage: Usage
    marks: Marks
    log: BoundedLog
    child: children.Child


Watch = Callable[[Look], Crossed | None]  # asked at every tick; what it finds ends the trainer


@dataclass(frozen=True)
class Training:
    """How a trainer ended."""

    stretch: Stretch
    held_seconds: float  # on the wall, after its start: it was made to stand still, and its clocks did not run
    exit_status: int
    crossed: Crossed | None
    cancelled: bool
    survivors: bool  # something could not be killed; its device is not to be trusted
    log: str
    curve: tuple[CurvePoint, ...]
    steps: int | None
    tokens: int | None
    cpu_seconds: float
    peak_memory_bytes: int
    unbound: bool  # it was to be bound to cores, and the system refused
    flags: tuple[str, ...]

    @property
    def well(self) -> bool:
        """Whether it ended by itself, in time and without a failure."""
        return not (self.cancelled or self.crossed or self.stretch.reason or self.exit_status)


class Trainer:
    """One trainer under way: its processes, its clock, what it says. Ends with `training`, or by `end`.

    Its clock is its own: while it is held, it stands still.
    """

    def __init__(self, around: Surroundings, limits: Limits, cores: Sequence[int], watch: Watch) -> None:
        """Start it, bound to `cores` unless there are none. Raises OSError."""
        self.budget, self._watch = around.spec.budget, watch
        self._log_pipe, self._marks_pipe = children.listening_pipe(), children.listening_pipe()
        launched = moment()
        try:
            self.child = children.start(
                around.command_line(around.spec.run_command, around.paths.work),
                for_trainer(around, self._marks_pipe.theirs, limits.tasks),
                around.tier,
                stdout=self._log_pipe.theirs,
                stderr=self._log_pipe.theirs,
                largest_file_bytes=int(limits.output_bytes),
                on=cores,
            )
        finally:
            for pipe in (self._log_pipe, self._marks_pipe):
                pipe.close_theirs()
        self.log, self.marks = BoundedLog(), Marks()
        self._stopwatch = Stopwatch(self.budget, launched, free_startup(self.budget, around.spec.usual_spent_seconds))
        self._usage = self.child.tree.sample(launched.monotonic)
        self._peak = 0
        self._flooding = self._waiting = self._unbound = False
        self._held: Moment | None = None
        self._lost = Moment(0.0, 0.0)  # while it was stopped
        self._lost_before = 0.0  # of it, before the start mark
        self._selector: selectors.BaseSelector | None = None
        self._ears: set[int] = set()
        self.training: Training | None = None  # once it is over

    # -- its time ------------------------------------------------------------------------------------------------------

    @property
    def counting(self) -> bool:
        """Whether its budget is being used up."""
        return self._stopwatch.counting

    def _now(self) -> Moment:
        """The instant in its own time."""
        here = self._held or moment()
        lost = self._lost
        return Moment(here.monotonic - lost.monotonic, here.boottime - lost.boottime, self._usage.cpu_seconds)

    def hold(self) -> None:
        """Make it stand still; its clocks stop. Harmless to repeat, which also stops what had slipped through."""
        self._held = self._held or moment()
        self.child.freeze()

    def go_on(self) -> None:
        """Let it go on. Harmless to repeat."""
        if self._held is not None:
            now, held, lost = moment(), self._held, self._lost
            self._lost = Moment(
                lost.monotonic + now.monotonic - held.monotonic, lost.boottime + now.boottime - held.boottime
            )
            self._held = None
            self.child.thaw()

    def bind(self, cores: Sequence[int]) -> None:
        """Hold all of it to these cores."""
        self._unbound |= not self.child.bind(cores)

    # -- what the loop does with it ------------------------------------------------------------------------------------

    def listen(self, selector: selectors.BaseSelector) -> None:
        """Let the loop wake up for it."""
        self._selector = selector
        for fd in (self._log_pipe.ours, self._marks_pipe.ours, self.child.exit_fd):
            self._open_ear(fd)

    def _open_ear(self, fd: int) -> None:
        if self._selector is not None and fd not in self._ears:
            self._selector.register(fd, selectors.EVENT_READ)
            self._ears.add(fd)

    def _shut_ear(self, fd: int) -> None:
        if self._selector is not None and fd in self._ears:
            self._selector.unregister(fd)
            self._ears.discard(fd)

    def hear(self, ready: set[int]) -> None:
        """Take what it says, and see whether it is gone."""
        if self._log_pipe.ours in ready:
            self._flooding = self.log.total_bytes > self.budget.log_mb * 1e6
            if self._flooding or not self.log.drain(self._log_pipe.ours, DRAIN_BYTES):
                self._shut_ear(self._log_pipe.ours)
        if self._marks_pipe.ours in ready:
            begun = self.marks.started
            more = self.marks.drain(self._marks_pipe.ours, self._stopwatch.elapsed(self._now()))
            if more is not True:
                self._shut_ear(self._marks_pipe.ours)
            self._waiting = (
                more is None
            )  # the rest is read at the next tick: a trainer that floods the pipe may not hold the clock up
            if self.marks.started and not begun:
                self._usage = self.child.tree.sample(time.monotonic())
                self._stopwatch.start_mark(self._now())
                self._lost_before = self._lost.monotonic
        if self.child.exit_fd in ready:
            self.end()

    def tick(self, cancelled: bool) -> None:
        """Look at its clock and its limits; end it if it is to end."""
        if self._waiting:
            self._open_ear(self._marks_pipe.ours)
            self._waiting = False
        if self._flooding:
            self.log.drain(self._log_pipe.ours, FLOOD_BYTES)
        self._usage = self.child.tree.sample(time.monotonic())
        self._peak = max(self._peak, self._usage.resident_bytes)
        now = self._now()
        look = Look(now, self._stopwatch.elapsed(now), self.counting, self._usage, self.marks, self.log, self.child)
        crossed = self._watch(look)
        order = self._stopwatch.order(now)
        if cancelled or crossed is not None or order is Order.KILL:
            self.end(cancelled, crossed)
        elif order is Order.ASK:
            self.child.ask_to_stop()

    def end(self, cancelled: bool = False, crossed: Crossed | None = None) -> None:
        """Leave nothing of it alive, and say how it ended. Harmless to repeat."""
        if self.training is not None:
            return
        ended = self._now()
        for fd in tuple(self._ears):
            self._shut_ear(fd)
        clean = self.child.end()
        cpu_seconds = self.child.tree.sample(time.monotonic()).cpu_seconds
        self.log.drain(self._log_pipe.ours, FLOOD_BYTES)
        elapsed = self._stopwatch.elapsed(ended)
        while not self.marks.flooded and self.marks.drain(self._marks_pipe.ours, elapsed) is None:
            pass  # at most what a pipe holds, unless somebody outlived the killing
        stretch = self._stopwatch.finish(ended, cpu_seconds)
        flags = list(stretch.flags)
        if self.log.total_bytes > self.budget.log_mb * 1e6:
            flags.append("log_flood")
        if self.marks.flooded or self.marks.ignored > 100:
            flags.append("marks_ignored")
        for pipe in (self._log_pipe, self._marks_pipe):
            pipe.close_ours()
        self.training = Training(
            stretch=stretch,
            held_seconds=self._lost.monotonic - self._lost_before,
            exit_status=self.child.exit_status,
            crossed=crossed,
            cancelled=cancelled,
            survivors=not clean,
            log=self.log.text(),
            curve=self.marks.curve(),
            steps=None if self.marks.latest is None else self.marks.latest.step,
            tokens=None if self.marks.latest is None else self.marks.latest.tokens,
            cpu_seconds=cpu_seconds,
            peak_memory_bytes=self._peak,
            unbound=self._unbound,
            flags=tuple(flags),
        )


class Pace(Protocol):
    """Says which trainers may go on, and on which cores; asked after every mark and at every tick."""

    def keep(self, trainers: Sequence[Trainer], now: float) -> None:
        """`trainers`: those that are not over, the candidate's first. `now`: CLOCK_MONOTONIC."""


def attend(trainers: Sequence[Trainer], stop: Stop, pace: Pace) -> list[Training]:
    """Stay with started trainers to their end and past it; whatever happens, nothing of them is left alive after.

    If the first, the candidate's, fails, the others are ended at once: there is nothing to compare them with. If
    another one fails, the rest go on.
    """
    with selectors.DefaultSelector() as selector:
        try:
            _attend(selector, trainers, stop, pace)
        finally:
            for trainer in trainers:
                trainer.end(cancelled=True)
    return [trainer.training for trainer in trainers if trainer.training is not None]


def _attend(selector: selectors.BaseSelector, trainers: Sequence[Trainer], stop: Stop, pace: Pace) -> None:
    selector.register(stop.fd, selectors.EVENT_READ)
    for trainer in trainers:
        trainer.listen(selector)
    next_tick = time.monotonic()
    while live := [trainer for trainer in trainers if trainer.training is None]:
        ready = {key.fd for key, _ in selector.select(max(0.0, next_tick - time.monotonic()))}
        for trainer in live:
            trainer.hear(ready)
        if stop.fd in ready:
            selector.unregister(stop.fd)
        now = time.monotonic()
        if now >= next_tick or stop.fd in ready:
            next_tick = now + TICK_SECONDS
            cancelled = stop.asked()
            for trainer in live:
                if trainer.training is None:
                    trainer.tick(cancelled)
        first = trainers[0].training
        if first is not None and not first.well:
            return
        pace.keep([trainer for trainer in live if trainer.training is None], now)
