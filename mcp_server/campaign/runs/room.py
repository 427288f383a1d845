"""How many runs the devices hold at once, and how many attempts are wanted ahead so that none of them waits. Pure but
for what it asks of the machine.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Literal

from mcp_server.runner.machine import cgroup, cores, devices

SPARE = 8  # one core in so many is for supervisors, scorers and the server
BYTES_A_PLACE = 5e9  # two trainers, before one was seen (judging.pairing)
MOST_MEMORY = 0.75  # of the machine's
AHEAD = 2  # one attempt waits for so many places, so that the next is there when one is free


def places_on_processor(usable: int, threads: int, memory_bytes: float) -> int:
    """How many attempts a processor trains at once without one spoiling another, each beside its incumbent.

    Every trainer has cores of its own, so a place is as many cores as two trainers have threads. Clocks, caches and
    memory are shared: what they move, they move for both halves of a pair.
    """
    free = usable - max(1, usable // SPARE) if usable > 2 * threads else usable
    return max(1, min(free // (2 * threads), int(MOST_MEMORY * memory_bytes // BYTES_A_PLACE)))


def on_processor(clock: Literal["auto", "wall", "cpu"], threads: int | Literal["auto"]) -> tuple[str, ...]:
    """The places of this machine's processor. One where the wall's clock runs: a neighbour would slow a run down."""
    count = 1
    if clock != "wall":
        memory = min(float(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")), cgroup.memory_bytes())
        count = places_on_processor(cores.usable(), 1 if threads == "auto" else threads, memory)
    return ("cpu",) if count == 1 else tuple(f"cpu:{number}" for number in range(count))


def places(usable: Sequence[str], paired: bool) -> int:
    """Attempts that run at once. paired: on cards, each has two equal ones."""
    equal = devices.equal_cards(tuple(usable)) if paired else []
    return sum(len(cards) // 2 for cards in equal) or len(usable)


def wanted(places: int, open_runs: int) -> int:
    """How many more attempts to propose now. One device is kept busy by whoever proposes when it has decided."""
    return max(0, places + places // AHEAD - open_runs) if places > 1 else 0
