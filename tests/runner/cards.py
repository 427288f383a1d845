"""Make-believe GPUs: the few calls of NVIDIA's library that the lab makes, answered from plain data."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from mcp_server.runner.machine import nvidia

MIB = 1 << 20


class NVMLError(Exception):
    """As the library raises it: for what a card does not support, and for an event that did not come."""


@dataclass
class Card:
    """One card, or one instance of a divided one. None: it does not tell."""

    name: str = "NVIDIA H100"
    uuid: str = "GPU-1a2b"
    file: int | None = None  # the number of its file in /dev
    clock: int | None = 1980
    reasons: int | None = 0x4
    heat: int | None = 41
    busy: int | None = 37
    used_mb: float | None = 40_123.0
    programs: dict[int, str] = field(default_factory=dict)
    drawing: list[int] = field(default_factory=list)  # pids of a desktop
    errors: int | None = 0  # of its memory, not corrected
    rows: tuple[int, int, int, int] | None = (0, 0, 0, 0)
    instances: list[Card] | None = None
    xids: list[int] = field(default_factory=list)
    lost: bool = False  # it fell off the bus


def told(value: Any) -> Any:
    if value is None:
        raise NVMLError("not supported")
    return value


class Library:
    """Stands in for `pynvml`."""

    NVMLError, nvmlMemory_v2 = NVMLError, 2
    NVML_CLOCK_SM = NVML_TEMPERATURE_GPU = NVML_VOLATILE_ECC = 0
    NVML_MEMORY_ERROR_TYPE_UNCORRECTED = nvmlEventTypeXidCriticalError = 1

    def __init__(self, cards: list[Card]) -> None:
        self.cards, self.answers = cards, True

    def nvmlInit(self) -> None:
        if not self.answers:
            raise NVMLError("driver not loaded")

    def nvmlDeviceGetCount(self) -> int:
        return len(self.cards)

    def nvmlDeviceGetHandleByIndex(self, number: int) -> Card:
        return told(None if self.cards[number].lost else self.cards[number])

    def nvmlDeviceGetMigMode(self, card: Card) -> tuple[int, int]:
        return (1, 1) if card.instances is not None else (0, 0)

    def nvmlDeviceGetMaxMigDeviceCount(self, card: Card) -> int:
        return 7

    def nvmlDeviceGetMigDeviceHandleByIndex(self, card: Card, place: int) -> Card:
        instances = card.instances or []
        return told(instances[place] if place < len(instances) else None)

    nvmlDeviceGetName = staticmethod(lambda card: card.name)
    nvmlDeviceGetUUID = staticmethod(lambda card: card.uuid)
    nvmlDeviceGetMinorNumber = staticmethod(lambda card: told(card.file))
    nvmlSystemGetDriverVersion = staticmethod(lambda: "550.54")
    nvmlDeviceGetClockInfo = staticmethod(lambda card, kind: told(card.clock))
    nvmlDeviceGetCurrentClocksThrottleReasons = staticmethod(lambda card: told(card.reasons))
    nvmlDeviceGetTemperature = staticmethod(lambda card, kind: told(card.heat))
    nvmlDeviceGetUtilizationRates = staticmethod(lambda card: SimpleNamespace(gpu=told(card.busy)))
    nvmlDeviceGetTotalEccErrors = staticmethod(lambda card, kind, since: told(card.errors))
    nvmlDeviceGetRemappedRows = staticmethod(lambda card: told(card.rows))

    def nvmlDeviceGetMemoryInfo(self, card: Card, version: int) -> Any:
        return SimpleNamespace(used=told(card.used_mb) * MIB)

    def nvmlDeviceGetComputeRunningProcesses(self, card: Card) -> list[Any]:
        return [SimpleNamespace(pid=pid) for pid in card.programs]

    nvmlDeviceGetGraphicsRunningProcesses = staticmethod(lambda card: card.drawing)

    def nvmlSystemGetProcessName(self, pid: int) -> str:
        return told(next((card.programs[pid] for card in self.cards if card.programs.get(pid)), None))

    def nvmlEventSetCreate(self) -> list[Card]:
        return []

    def nvmlDeviceRegisterEvents(self, card: Card, kinds: int, events: list[Card]) -> None:
        card.xids.clear()  # only what comes from now on is told
        events.append(card)

    def nvmlEventSetWait_v2(self, events: list[Card], milliseconds: int) -> Any:
        heard = next((card for card in events if card.xids), None)
        return SimpleNamespace(eventData=told(heard).xids.pop(0))


def forget() -> None:
    for thread in threading.enumerate():  # what a machine answers late would be taken for the next one's
        if thread.name == nvidia.ASKING:
            thread.join(5)
    for known in (nvidia._nvml, nvidia._cards, nvidia._model):
        known.cache_clear()


@contextmanager
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *cards: Card) -> Iterator[Library]:
    """A machine with these cards, for this process."""
    driver, library = tmp_path / "nvidiactl", Library(list(cards))
    driver.touch()
    monkeypatch.setattr(nvidia, "DRIVERS", (str(driver),))
    monkeypatch.setitem(sys.modules, "pynvml", library)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    forget()
    yield library
    forget()
