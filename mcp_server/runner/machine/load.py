"""How busy and how fast this machine is beside the run: foreign load, a speed probe, and what taints a comparison."""

from __future__ import annotations

import os
import time

from mcp_server.runner.machine.proc import TICKS_PER_SECOND, busy_ticks

PROBE_SECONDS = 0.05
PROBE_OPERATIONS = 2_000  # per look at the clock
FOREIGN_CORES = 0.5  # on the wall clock more than this many foreign busy cores, or ...
FOREIGN_SHARE = 0.10  # ... this share of all cores, moves a score by more than the noise ...
FOREIGN_SHARE_GPU = 0.50  # ... of a run that computes elsewhere only when it starves the loader
CROWD = 16.0  # on the processor clock only a machine this many times over-booked is too much
SHORTEST_SECONDS = 0.08  # the kernel counts in ticks of 10 ms


def busy_seconds() -> float:
    """Processor seconds that all processes of the machine have used since boot; 0 where /proc does not tell."""
    return busy_ticks().get("cpu", 0) / TICKS_PER_SECOND


def own_seconds() -> float:
    """Processor seconds of this process and of every child that it has waited for."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


class LoadMeter:
    """Foreign busy cores: all processor time of the machine minus ours. Read it when no child of ours is running."""

    def __init__(self, now: float) -> None:
        self._begin = (now, busy_seconds(), own_seconds())

    def read(self, now: float, running: float = 0.0) -> float | None:
        """Average number of foreign busy cores since the meter was made; None when that was too short ago to tell.

        running: processor seconds of a child of ours that was started since and still runs.
        """
        begin, busy, own = self._begin
        if now - begin < SHORTEST_SECONDS:
            return None
        foreign = (busy_seconds() - busy) - (own_seconds() - own) - running
        return round(max(0.0, foreign / (now - begin)), 2)


def queue_per_core() -> float:
    """Processes that want a core, per core, averaged over the last minute."""
    return os.getloadavg()[0] / (os.cpu_count() or 1)


def speed() -> float:
    """Small fixed operations per processor second. It compares a machine with itself, never with another."""
    begin = time.process_time()
    done = 0
    while (spent := time.process_time() - begin) < PROBE_SECONDS:
        total = 0
        for number in range(PROBE_OPERATIONS):
            total += number * number & 0xFF
        done += PROBE_OPERATIONS
    return round(done / spent)


def taint(
    clock: str, on_gpu: bool, foreign_cores: float | None, crowd: float, foreign_programs: tuple[str, ...]
) -> str:
    """Why a run beside this load decides nothing, or ""."""
    if foreign_programs:
        return f"another program computed on the same GPU: {', '.join(foreign_programs[:3])}"
    if clock == "cpu":
        return f"the machine was over-booked {crowd:.0f} times" if crowd > CROWD else ""
    share = FOREIGN_SHARE_GPU if on_gpu else FOREIGN_SHARE
    if foreign_cores is not None and foreign_cores > max(FOREIGN_CORES, share * (os.cpu_count() or 1)):
        return f"other programs kept {foreign_cores:.1f} cores busy during the run"
    return ""
