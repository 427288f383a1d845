"""What control groups (version 2) leave this process of the machine: a container's limits, a Slurm job's, a service's.

A limit may stand on any group above ours, so the least of them counts. In a container the topmost group that can be
seen is the container's own, whatever name the kernel gives for it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from mcp_server.runner.machine.proc import counts, fields

GROUPS, OWN = Path("/sys/fs/cgroup"), "/proc/self/cgroup"
# of what a group is charged for, the kernel takes back before it kills: files in memory, and what it remembers of them
GIVEN_BACK = ("active_file", "inactive_file", "slab_reclaimable")


def processors() -> float | None:
    """Cores' worth of time; None where nothing limits it."""
    found = []
    for folder in _groups():
        with contextlib.suppress(OSError, ValueError):
            quota, period = (folder / "cpu.max").read_text().split()
            if quota != "max":
                found.append(int(quota) / int(period))
    return min(found, default=None)


def memory_bytes() -> float:
    """The most that may be held; infinite where nothing limits it."""
    return min((most for _, most in _limits()), default=float("inf"))


def free_memory() -> float:
    """Bytes that can still be had before somebody is killed for them; infinite where nothing limits it."""
    free = []
    for folder, most in _limits():
        with contextlib.suppress(OSError, ValueError):
            told = counts(str(folder / "memory.stat"))
            held = int((folder / "memory.current").read_text()) - sum(told.get(name, 0) for name in GIVEN_BACK)
            free.append(max(0.0, most - max(0, held)))
    return min(free, default=float("inf"))


def _limits() -> Iterator[tuple[Path, float]]:
    """Each group above us whose memory is limited, with its most."""
    for folder in _groups():
        with contextlib.suppress(OSError, ValueError):
            yield folder, float(int((folder / "memory.max").read_text()))


def _groups() -> Iterator[Path]:
    """Our group and those above it, as far as they can be seen."""
    named = fields(OWN).get("0", "").lstrip(":").strip("/")
    inside = Path(*(part for part in named.split("/") if part != ".."))
    for place in (inside, *inside.parents):
        yield GROUPS / place
