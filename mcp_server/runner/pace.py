"""How trainers share the machine: alone on its cores, side by side with the cores exchanged, or in turns on one core.

What disturbs the machine disturbs both halves of a pair alike if both train at the same moment and each has every core
half of the time. On the processor clock neither begins before both can: whoever comes to its start mark first waits
there for the other, and no clock counts the wait.
"""

from __future__ import annotations

from collections.abc import Sequence

from mcp_server.runner.trainer import Trainer

EXCHANGE_SECONDS = 0.1
SLICE_SECONDS = 0.2
HOLD_SECONDS = 0.5  # between two looks at a run that has its cores to itself


class Alone:
    """One trainer on its own cores, or on all of them; also for those that have a device each."""

    def __init__(self, cores: Sequence[int] = ()) -> None:
        self._cores, self._since = cores, float("-inf")

    def keep(self, trainers: Sequence[Trainer], now: float) -> None:
        if self._cores and now - self._since >= HOLD_SECONDS:
            self._since = now
            for trainer in trainers:
                trainer.bind(self._cores)


class SideBySide:
    """Two trainers at the same time, each on as many cores; the cores are exchanged ten times a second."""

    def __init__(self, cores: Sequence[Sequence[int]], together: bool) -> None:
        """`cores` of each half at the start. `together`: they begin at the same moment."""
        self._cores, self._together = list(cores), together
        self._since: float | None = None

    def keep(self, trainers: Sequence[Trainer], now: float) -> None:
        if self._together:
            self._together = not begun(trainers)
        if self._since is not None and now - self._since < EXCHANGE_SECONDS:
            return
        if self._since is not None:
            self._cores.reverse()
        self._since = now
        for trainer, cores in zip(trainers, self._cores, strict=False):
            if cores:
                trainer.bind(cores)


class InTurns:
    """Two trainers on the same cores, one stopped while the other goes on. Takes twice as long as one."""

    def __init__(self, cores: Sequence[int]) -> None:
        self._alone, self._begun = Alone(cores), False
        self._turn, self._since = 0, 0.0

    def keep(self, trainers: Sequence[Trainer], now: float) -> None:
        self._alone.keep(trainers, now)
        if not self._begun:
            self._begun = begun(trainers)
        elif len(trainers) < 2:
            for trainer in trainers:
                trainer.go_on()
        else:
            if now - self._since >= SLICE_SECONDS:
                self._turn, self._since = 1 - self._turn, now
            trainers[1 - self._turn].hold()
            trainers[self._turn].go_on()


def begun(trainers: Sequence[Trainer]) -> bool:
    """Whether training may begin: all have come to their start mark. Those that are early are made to wait."""
    if all(trainer.counting for trainer in trainers):
        for trainer in trainers:
            trainer.go_on()
        return True
    for trainer in trainers:
        if trainer.counting:
            trainer.hold()
    return False
