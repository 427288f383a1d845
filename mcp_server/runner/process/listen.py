"""The hearing out of a command that has no budget, only a deadline: a check or a scorer."""

from __future__ import annotations

import selectors
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Literal

from mcp_server.nouns.records import Tier
from mcp_server.runner.process import child as children
from mcp_server.runner.process.child import Child
from mcp_server.runner.process.limits import Crossed, Limits, crossed
from mcp_server.runner.process.logs import BoundedLog
from mcp_server.runner.process.stop import Stop
from mcp_server.runner.sandbox import Confinement

TICK_SECONDS = 0.1
READ_BYTES = 1 << 20

Ear = Callable[[int, int], bool]  # (descriptor, most bytes) -> whether there may be more; see BoundedLog.drain
Ending = Crossed | Literal["over", "late", "cancelled"]


def hear(
    command: Sequence[str],
    confinement: Confinement,
    tier: Tier,
    seconds: float,
    limits: Limits,
    stop: Stop,
    also: Callable[[Child], Crossed | None] = lambda child: None,
) -> tuple[Ending, int, str]:
    """Run a command that only prints: how it ended, its exit status, its words. Raises OSError."""
    pipe, log = children.listening_pipe(), BoundedLog()
    try:
        try:
            one, most = pipe.theirs, int(limits.output_bytes)
            child = children.start(command, confinement, tier, stdout=one, stderr=one, largest_file_bytes=most)
        finally:
            pipe.close_theirs()
        deadline = time.monotonic() + seconds
        ending = listen(child, {pipe.ours: log.drain}, deadline, limits, stop, lambda: also(child))
    finally:
        pipe.close_ours()
    return ending, child.exit_status, log.text()


def listen(
    child: Child,
    ears: Mapping[int, Ear],
    deadline: float,
    limits: Limits,
    stop: Stop,
    also: Callable[[], Crossed | None] = lambda: None,
) -> Ending:
    """Hear a command out until it ends, the deadline passes, it crosses a limit, or somebody wants it to stop.

    Nothing of it is left alive on return. `deadline` is CLOCK_MONOTONIC; `ears` drain our ends of its pipes; `also` is
    a further limit, looked at as often as the others.
    """
    try:
        ending = _listen(child, ears, deadline, limits, stop, also)
    finally:
        child.end()
    for fd, ear in ears.items():
        ear(fd, READ_BYTES)
    return ending


def _listen(
    child: Child,
    ears: Mapping[int, Ear],
    deadline: float,
    limits: Limits,
    stop: Stop,
    also: Callable[[], Crossed | None],
) -> Ending:
    next_tick = 0.0
    ending: Ending | None = None
    with selectors.DefaultSelector() as selector:
        for fd in (*ears, child.exit_fd, stop.fd):
            selector.register(fd, selectors.EVENT_READ)
        while ending is None:
            ready = {key.fd for key, _ in selector.select(TICK_SECONDS)}
            for fd in ready & ears.keys():
                if not ears[fd](fd, READ_BYTES):
                    selector.unregister(fd)
            now = time.monotonic()
            if child.exit_fd in ready:
                ending = "over"
            elif stop.asked():
                ending = "cancelled"
            elif now >= deadline:
                ending = "late"
            elif now >= next_tick:
                next_tick = now + TICK_SECONDS
                ending = crossed(limits, child.tree.sample(now), child.tree, None) or also()
    return ending
