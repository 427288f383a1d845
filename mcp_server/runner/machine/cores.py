"""The processor cores that a run is bound to: chosen among the least busy, leased like a device, held to by force.

A trainer with one thread is two in truth (autograd's backward has a thread of its own), and a free scheduler sends them
to and fro: bound to one core the same processor seconds buy a fifth more steps on a quiet machine, and two equal runs
differ a fifth as much on a busy one (docs/pairing.md has the measurements). Affinity is set from outside by the
supervisor and set again while the run goes on, so that what the run starts or asks for itself does not get round it.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mcp_server.nouns.files import private_folder, try_lock
from mcp_server.runner.machine import cgroup
from mcp_server.runner.machine.proc import busy_ticks, threads

MOMENT_SECONDS = 0.1  # over which it is seen how busy each core is
TOPOLOGY = Path("/sys/devices/system/cpu")


def allowed() -> tuple[int, ...]:
    """The cores that this process may use, in order; () where the system has no affinity calls."""
    return tuple(sorted(os.sched_getaffinity(0))) if hasattr(os, "sched_setaffinity") else ()


def usable() -> int:
    """How many cores this process may keep busy: its affinity, or a control group's share where that is less."""
    count = len(allowed()) or os.cpu_count() or 1
    share = cgroup.processors()
    return count if share is None else max(1, min(count, int(share)))


def worked() -> dict[int, int]:
    """Clock ticks of each core that nobody else can have any more; empty where /proc does not tell."""
    return {int(name[3:]): ticks for name, ticks in busy_ticks(stolen=True).items() if name != "cpu"}


class Meter:
    """How busy each core is, from when the meter was made."""

    def __init__(self) -> None:
        self._begin, self._ticks = time.monotonic(), worked()

    def read(self) -> dict[int, int]:
        """Ticks that each core worked meanwhile; waits until a short moment has passed."""
        time.sleep(max(0.0, self._begin + MOMENT_SECONDS - time.monotonic()))
        return {core: ticks - self._ticks.get(core, 0) for core, ticks in worked().items()}


def least_busy(
    candidates: Collection[int], work: Mapping[int, int], siblings: Mapping[int, Collection[int]]
) -> list[int]:
    """The cores in the order in which to take them: idle ones first, and each physical one before its second thread.

    work: ticks of each core during a moment. siblings: the logical cores that share a physical one.
    """
    left, order = sorted(candidates), list[int]()
    while left:
        best = min(left, key=lambda core: (_crowded(core, order, siblings), work.get(core, 0), core))
        order.append(best)
        left.remove(best)
    return order


def _crowded(core: int, taken: Collection[int], siblings: Mapping[int, Collection[int]]) -> bool:
    """Whether another logical core of the same physical one is taken."""
    return bool(set(siblings.get(core, ())) & set(taken) - {core})


def siblings_of(cores: Collection[int]) -> dict[int, tuple[int, ...]]:
    """The logical cores on each core's physical one, where the system tells."""
    found = {}
    for core in cores:
        with contextlib.suppress(OSError, ValueError):
            text = (TOPOLOGY / f"cpu{core}" / "topology" / "thread_siblings_list").read_text()
            found[core] = tuple(_listed(text.strip()))
    return found


def _listed(text: str) -> list[int]:
    """[0, 1, 2, 5] of "0-2,5"."""
    found: list[int] = []
    for part in text.split(","):
        first, _, last = part.partition("-")
        found += range(int(first), int(last or first) + 1)
    return found


@dataclass
class Leased:
    """Cores that are ours until they are let go, at the latest by our death."""

    cores: tuple[int, ...]
    _fds: list[int]

    def release(self) -> None:
        """Let them go. Harmless to repeat."""
        while self._fds:
            os.close(self._fds.pop())


def lock_path(folder: Path, core: int) -> Path:
    return folder / f"core-{core}.lock"


def lease(folder: Path, order: Sequence[int], count: int) -> Leased:
    """The first `count` cores of `order` that no other run holds; fewer where there are not so many. Raises OSError."""
    private_folder(folder)
    leased = Leased((), [])
    for core in order:
        if len(leased.cores) == count:
            break
        fd = try_lock(lock_path(folder, core))
        if fd is not None:
            leased.cores += (core,)
            leased._fds.append(fd)
    return leased


def bind(pids: Collection[int], cores: Collection[int]) -> bool:
    """Bind every thread of these processes to `cores`; what they start later inherits it. False if one refused."""
    done = True
    for pid in pids:
        for thread in threads(pid):
            try:
                os.sched_setaffinity(thread, cores)
            except ProcessLookupError:
                continue  # it ended meanwhile
            except OSError:
                done = False
    return done
