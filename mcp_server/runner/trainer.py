"""The training of one run: start it shut in, listen to it, hold it to its budget and its limits, see it dead.

One event loop over the log, the marks, the trainer's end and the wish to stop, with a tick 20 times a second.
"""

from __future__ import annotations

import selectors
import time
from collections.abc import Callable
from dataclasses import dataclass

from mcp_server.records import Budget, CurvePoint
from mcp_server.runner.child import Child, Pipe
from mcp_server.runner.clock import Moment, Order, Stopwatch, Stretch, moment
from mcp_server.runner.limits import Crossed
from mcp_server.runner.logs import BoundedLog
from mcp_server.runner.marks import Marks
from mcp_server.runner.stop import Stop
from mcp_server.runner.tree import Usage

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


@dataclass(frozen=True)
class Training:
    """How a trainer ended."""

    stretch: Stretch
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
    flags: tuple[str, ...]


def attend(
    child: Child,
    launched: Moment,
    budget: Budget,
    log_pipe: Pipe,
    marks_pipe: Pipe,
    stop: Stop,
    watch: Callable[[Look], Crossed | None],
) -> Training:
    """Stay with a started trainer to its end and past it; whatever happens, nothing of it is left alive after."""
    try:
        return _attend(child, launched, budget, log_pipe, marks_pipe, stop, watch)
    except BaseException:
        child.end()
        raise


def _attend(
    child: Child,
    launched: Moment,
    budget: Budget,
    log_pipe: Pipe,
    marks_pipe: Pipe,
    stop: Stop,
    watch: Callable[[Look], Crossed | None],
) -> Training:
    stopwatch = Stopwatch(budget, launched)
    log, marks = BoundedLog(), Marks()
    usage = child.tree.sample(launched.monotonic)
    peak, crossed, cancelled = 0, None, False
    with selectors.DefaultSelector() as selector:
        for fd in (log_pipe.ours, marks_pipe.ours, child.exit_fd, stop.fd):
            selector.register(fd, selectors.EVENT_READ)
        next_tick = launched.monotonic
        flooding, waiting = False, False
        while True:
            ready = {key.fd for key, _ in selector.select(max(0.0, next_tick - time.monotonic()))}
            now = moment(usage.cpu_seconds)
            if log_pipe.ours in ready:
                flooding = log.total_bytes > budget.log_mb * 1e6
                if flooding or not log.drain(log_pipe.ours, DRAIN_BYTES):
                    selector.unregister(log_pipe.ours)
            if marks_pipe.ours in ready:
                begun = marks.started
                more = marks.drain(marks_pipe.ours, stopwatch.elapsed(now))
                if more is not True:
                    selector.unregister(marks_pipe.ours)
                waiting = more is None  # for the next tick: who floods us waits, we do not
                if marks.started and not begun:
                    usage = child.tree.sample(now.monotonic)
                    now = moment(usage.cpu_seconds)
                    stopwatch.start_mark(now)
            if stop.fd in ready:
                selector.unregister(stop.fd)
            if child.exit_fd in ready:
                break
            if now.monotonic < next_tick and stop.fd not in ready:
                continue
            next_tick = now.monotonic + TICK_SECONDS
            if waiting:
                selector.register(marks_pipe.ours, selectors.EVENT_READ)
                waiting = False
            if flooding:
                log.drain(log_pipe.ours, FLOOD_BYTES)
            usage = child.tree.sample(now.monotonic)
            now = moment(usage.cpu_seconds)
            peak = max(peak, usage.resident_bytes)
            cancelled = stop.asked()
            crossed = watch(Look(now, stopwatch.elapsed(now), stopwatch.counting, usage, marks, log))
            order = stopwatch.order(now)
            if cancelled or crossed is not None or order is Order.KILL:
                break
            if order is Order.ASK:
                child.ask_to_stop()
    ended = moment()
    clean = child.end()
    cpu_seconds = child.tree.sample(time.monotonic()).cpu_seconds
    log.drain(log_pipe.ours, FLOOD_BYTES)
    while marks.drain(marks_pipe.ours, stopwatch.elapsed(ended)) is None:
        pass  # at most what a pipe holds
    stretch = stopwatch.finish(ended, cpu_seconds)
    flags = list(stretch.flags)
    if log.total_bytes > budget.log_mb * 1e6:
        flags.append("log_flood")
    if marks.flooded or marks.ignored > 100:
        flags.append("marks_ignored")
    return Training(
        stretch=stretch,
        exit_status=child.exit_status,
        crossed=crossed,
        cancelled=cancelled,
        survivors=not clean,
        log=log.text(),
        curve=marks.curve(),
        steps=None if marks.latest is None else marks.latest.step,
        tokens=None if marks.latest is None else marks.latest.tokens,
        cpu_seconds=cpu_seconds,
        peak_memory_bytes=peak,
        flags=tuple(flags),
    )
