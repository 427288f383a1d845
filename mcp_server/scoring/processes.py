"""A process and all that descend from it, as the kernel lists them in /proc; without /proc only the process itself."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable
from pathlib import Path

from mcp_server.runner.tree import read_stat


def tree(root: int) -> set[int]:
    """`root` and its living descendants. Those in a PID namespace below it are among them."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").glob("[0-9]*"):
        stat = read_stat(int(entry.name))
        if stat is not None:
            children.setdefault(stat.parent, []).append(stat.pid)
    found, new = {root}, [root]
    while new:
        new = [child for parent in new for child in children.get(parent, ())]
        found.update(new)
    return found


def send(pids: Iterable[int], signal: int) -> None:
    """Signal each of `pids` that still lives."""
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal)


def stand_still(pids: Iterable[int]) -> bool:
    """Whether each of `pids` is stopped or over."""
    return all(stat is None or stat.state in "TtZX" for stat in map(read_stat, pids))
