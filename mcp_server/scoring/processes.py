"""A process and all that descend from it, as the kernel lists them in /proc; without /proc only the process itself."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable
from pathlib import Path

PROC = Path("/proc")
PARENT, USER_TICKS, SYSTEM_TICKS = 1, 11, 12  # fields of /proc/<pid>/stat behind the name, proc_pid_stat(5)


def tree(root: int) -> set[int]:
    """`root` and its living descendants. Those in a PID namespace below it are among them."""
    children: dict[int, list[int]] = {}
    for pid in (int(entry.name) for entry in PROC.glob("[0-9]*")):
        if fields := _stat(pid):
            children.setdefault(int(fields[PARENT]), []).append(pid)
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


def seconds(pids: Iterable[int]) -> float:
    """Processor seconds that `pids` have used together, ended and awaited children not counted."""
    ticks = sum(int(f[USER_TICKS]) + int(f[SYSTEM_TICKS]) for f in map(_stat, pids) if f)
    return ticks / os.sysconf("SC_CLK_TCK")


def _stat(pid: int) -> list[str]:
    """The fields of /proc/<pid>/stat from the state on; empty when the process is gone."""
    try:
        text = (PROC / str(pid) / "stat").read_text()
    except OSError:
        return []
    return text[text.rindex(")") + 2 :].split()
