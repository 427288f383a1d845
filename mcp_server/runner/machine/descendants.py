"""A process and all that descend from it, as the kernel lists them in /proc; without /proc only the process itself."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable

from mcp_server.runner.machine.proc import counts, pids, read_stat


def tree(root: int) -> set[int]:
    """`root` and its living descendants. Those in a PID namespace below it are among them."""
    children: dict[int, list[int]] = {}
    for stat in map(read_stat, pids()):
        if stat is not None:
            children.setdefault(stat.parent, []).append(stat.pid)
    found, new = {root}, [root]
    while new:
        new = [child for parent in new for child in children.get(parent, ())]
        found.update(new)
    return found


class Meter:
    """Processor seconds of a process and all that descends from it; they never go down.

    Looked at from outside, so it misses what a child used that nobody waited for and that lived between two looks.
    """

    def __init__(self, root: int) -> None:
        self._root = root
        self._own: dict[tuple[int, int], float] = {}  # of each process ever seen, ended ones included
        self._seconds = 0.0

    def read(self) -> float:
        """So far."""
        stats = [stat for stat in map(read_stat, tree(self._root)) if stat is not None]
        self._own.update({(stat.pid, stat.started): stat.own_seconds for stat in stats})
        waited = sum(stat.own_seconds + stat.waited_seconds for stat in stats)
        self._seconds = max(self._seconds, waited, sum(self._own.values()))
        return self._seconds


def read_bytes(root: int) -> int:
    """What a process and its living descendants have had read from the disk; 0 where the kernel does not tell."""
    return sum(counts(f"/proc/{pid}/io").get("read_bytes", 0) for pid in tree(root))


def send(processes: Iterable[int], signal: int) -> None:
    """Signal each of them that still lives."""
    for pid in processes:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal)


def stand_still(processes: Iterable[int]) -> bool:
    """Whether each of them is stopped or over."""
    return all(stat is None or stat.state in "TtZX" for stat in map(read_stat, processes))
