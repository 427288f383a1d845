"""The hearing out of a command that has no budget, only a deadline: a check or a scorer."""

from __future__ import annotations

import selectors
import time
from typing import Literal

from mcp_server.runner.child import Child
from mcp_server.runner.limits import Crossed, Limits, crossed
from mcp_server.runner.logs import BoundedLog
from mcp_server.runner.stop import Stop

TICK_SECONDS = 0.1
READ_BYTES = 1 << 20

Ending = Crossed | Literal["over", "late", "cancelled"]


def listen(child: Child, logs: dict[int, BoundedLog], deadline: float, limits: Limits, stop: Stop) -> Ending:
    """Drain a command's output until it ends, the deadline passes, it crosses a limit, or somebody wants it to stop.

    Nothing of it is left alive on return. `deadline` is CLOCK_MONOTONIC.
    """
    next_tick = 0.0
    ending: Ending | None = None
    with selectors.DefaultSelector() as selector:
        for fd in (*logs, child.exit_fd, stop.fd):
            selector.register(fd, selectors.EVENT_READ)
        while ending is None:
            ready = {key.fd for key, _ in selector.select(TICK_SECONDS)}
            for fd in ready & logs.keys():
                if not logs[fd].drain(fd, READ_BYTES):
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
                ending = crossed(limits, child.tree.sample(now), child.tree, None)
    child.end()
    for fd, log in logs.items():
        log.drain(fd, READ_BYTES)
    return ending
