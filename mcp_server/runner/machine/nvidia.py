"""What NVIDIA's management library tells about GPUs. Asks only; never resets a card or changes a setting.

A card that MIG divides counts as its instances, each a device of its own: `0.1` is instance 1 of card 0. The cards are
numbered as on the bus, and CUDA_VISIBLE_DEVICES of whoever started us says which of them are ours. The library is
imported where there is a driver, when somebody asks: no server starts with it. Where there is none, answers are empty.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any, TypeVar

DRIVERS = ("/dev/nvidiactl", "/dev/dxg")  # the second is Windows' own, below WSL
SECONDS = 10.0  # the driver can hang on a card that fell off the bus
ASKING = "the driver is asked"  # a thread's name
FIRST_SECONDS = 60.0  # without persistence mode it wakes every card for whoever asks first: some seconds each
HELD_MB = 512.0  # more memory in use than before with no process listed: a dead run's, not the driver's own
MIB = 1 << 20
# Bits of what slows a clock down (nvml.h, nvmlClocksEventReasons); idle and a clock that somebody set are none.
SLOWING = {
    0x04: "power cap",
    0x08: "hardware slowdown",
    0x10: "sync boost",
    0x20: "software thermal",
    0x40: "hardware thermal",
    0x80: "power brake",
}
# Xid errors that are a program's own doing, as NVIDIA's device plugin for Kubernetes has them; others are the card's.
OF_PROGRAMS = frozenset({13, 31, 43, 45, 68, 109})
Answer = TypeVar("Answer")


@cache
def _nvml() -> Any:
    """The library, ready. Raises its NVMLError."""
    found = importlib.import_module("pynvml")
    found.nvmlInit()
    return found


def _ask(question: Callable[[Any], Answer], otherwise: Answer, in_time: bool = False) -> Answer:
    """An answer of the driver; what it refuses, or takes too long about, is `otherwise`.

    in_time: raises TimeoutError where it takes too long.
    """
    found: list[Answer] = []

    def asks() -> None:
        with contextlib.suppress(Exception):  # of the library, where it is not there, or too old for the question
            found.append(question(_nvml()))

    if any(map(os.path.exists, DRIVERS)):
        asking = threading.Thread(target=asks, name=ASKING, daemon=True)
        asking.start()
        asking.join(SECONDS if _nvml.cache_info().currsize else FIRST_SECONDS)
        if in_time and asking.is_alive():
            raise TimeoutError
    return found[0] if found else otherwise


def _told(ask: Callable[..., Answer], *arguments: Any) -> Answer | None:
    """One figure; None where the card does not tell it."""
    with contextlib.suppress(Exception):
        return ask(*arguments)
    return None


def _handle(nvml: Any, name: str) -> Any:
    number, _, instance = name.partition(".")
    card = nvml.nvmlDeviceGetHandleByIndex(int(number))
    return nvml.nvmlDeviceGetMigDeviceHandleByIndex(card, int(instance)) if instance else card


def _all(nvml: Any) -> Iterator[tuple[str, str]]:
    """(name, uuid) of every card or, where a card is divided, of its instances."""
    for number in range(nvml.nvmlDeviceGetCount()):
        card = _told(nvml.nvmlDeviceGetHandleByIndex, number)
        if card is None:
            continue  # it fell off the bus
        divided = (_told(nvml.nvmlDeviceGetMigMode, card) or (0, 0))[0]
        if not divided:
            yield str(number), str(_told(nvml.nvmlDeviceGetUUID, card))
            continue
        for place in range(nvml.nvmlDeviceGetMaxMigDeviceCount(card)):
            instance = _told(nvml.nvmlDeviceGetMigDeviceHandleByIndex, card, place)
            if instance is not None:
                yield f"{number}.{place}", str(_told(nvml.nvmlDeviceGetUUID, instance))


def visible(found: list[tuple[str, str]], wanted: str | None) -> tuple[str, ...]:
    """Names of those (name, uuid) that CUDA_VISIBLE_DEVICES leaves: by number, or by the beginning of a uuid.

    As CUDA does, what stands behind an entry that is none does not count.
    """
    if wanted is None:
        return tuple(name for name, _ in found)
    ours: list[str] = []
    for word in map(str.strip, wanted.split(",")):
        meant = [
            name
            for name, uuid in found
            if word and (word in (name, name.partition(".")[0]) or (not word.isdigit() and uuid.startswith(word)))
        ]
        if not meant:
            break
        ours += [name for name in meant if name not in ours]
    return tuple(ours)


@cache
def _cards() -> tuple[str, ...]:
    wanted = os.environ.get("CUDA_VISIBLE_DEVICES")
    return _ask(lambda nvml: visible(list(_all(nvml)), wanted), (), in_time=True)


def cards() -> tuple[str, ...]:
    """Names of the GPUs that are ours to use, in the order of the bus or of CUDA_VISIBLE_DEVICES.

    Asked for once; but a driver that did not answer in time is asked again.
    """
    try:
        return _cards()
    except TimeoutError:
        return ()


def shown_as(name: str) -> str:
    """What CUDA_VISIBLE_DEVICES has to be for a program that gets this card: its uuid, as far as it is told.

    CUDA counts numbers among the cards whose files a program sees, and in a sandbox that is this one alone.
    """
    return _ask(lambda nvml: str(nvml.nvmlDeviceGetUUID(_handle(nvml, name))), "" if "." in name else name)


def file_number(name: str) -> int:
    """N of the card's /dev/nvidiaN, which need not be its place on the bus: containers and some machines differ."""
    card = name.partition(".")[0]
    return _ask(lambda nvml: int(nvml.nvmlDeviceGetMinorNumber(_handle(nvml, card))), int(card))


@dataclass(frozen=True)
class Card:
    """A GPU's state at one moment; None for what it does not tell."""

    identity: str
    driver: str | None
    clock_mhz: float | None
    slowed: tuple[str, ...] | None  # by what
    temperature_c: float | None
    utilisation: float | None  # 0..1
    memory_used_mb: float | None


def card(name: str) -> Card | None:
    """The state of one card, or None if the driver does not answer. Of an instance clock and heat are its card's."""

    def state(nvml: Any) -> Card:
        here, whole = _handle(nvml, name), _handle(nvml, name.partition(".")[0])
        reasons = _told(nvml.nvmlDeviceGetCurrentClocksThrottleReasons, whole)
        busy = _told(nvml.nvmlDeviceGetUtilizationRates, here)
        # the second version leaves out what the driver keeps for itself
        memory = _told(nvml.nvmlDeviceGetMemoryInfo, here, nvml.nvmlMemory_v2)
        return Card(
            identity=f"{nvml.nvmlDeviceGetName(here)} {nvml.nvmlDeviceGetUUID(here)}",
            driver=_told(nvml.nvmlSystemGetDriverVersion),
            clock_mhz=_told(nvml.nvmlDeviceGetClockInfo, whole, nvml.NVML_CLOCK_SM),
            slowed=None if reasons is None else tuple(words for bit, words in SLOWING.items() if reasons & bit),
            temperature_c=_told(nvml.nvmlDeviceGetTemperature, whole, nvml.NVML_TEMPERATURE_GPU),
            utilisation=None if busy is None else busy.gpu / 100,
            memory_used_mb=None if memory is None else memory.used / MIB,
        )

    return _ask(state, None)


@cache
def _model(name: str) -> str:
    return _ask(lambda nvml: str(nvml.nvmlDeviceGetName(_handle(nvml, name))), "", in_time=True)


def model(name: str) -> str:
    """The name of a card's model, asked for once; "" while the driver does not answer. Cards of one model can be
    compared."""
    try:
        return _model(name)
    except TimeoutError:
        return ""


def compute_processes(name: str) -> tuple[str, ...]:
    """Names of the programs that compute on the card now."""

    def running(nvml: Any) -> tuple[str, ...]:
        pids = [process.pid for process in nvml.nvmlDeviceGetComputeRunningProcesses(_handle(nvml, name))]
        return tuple(f"{_told(nvml.nvmlSystemGetProcessName, pid) or 'a program'} ({pid})" for pid in pids)

    return _ask(running, ())


def memory_held(name: str, before: float = 0.0) -> float | None:
    """MB in use although no process is on the card; None when it is free or the driver does not tell.

    before: MB that were in use before ours came. A desktop draws on the card, and to a container the driver does not
    name the programs of others.
    """
    state = card(name)
    held = 0.0 if state is None or state.memory_used_mb is None else state.memory_used_mb - before
    if held < HELD_MB or compute_processes(name):
        return None
    drawing = _ask(lambda nvml: len(nvml.nvmlDeviceGetGraphicsRunningProcesses(_handle(nvml, name))), 0)
    return None if drawing else held


def trouble(name: str) -> str:
    """What is wrong with the card's memory until somebody resets it; "" when nothing is, or it does not tell."""

    def found(nvml: Any) -> str:
        whole = _handle(nvml, name.partition(".")[0])
        kind, since = nvml.NVML_MEMORY_ERROR_TYPE_UNCORRECTED, nvml.NVML_VOLATILE_ECC
        errors = _told(nvml.nvmlDeviceGetTotalEccErrors, whole, kind, since)
        if errors:
            return f"Its memory had {errors} errors that could not be corrected since the driver was loaded."
        _, _, pending, failed = _told(nvml.nvmlDeviceGetRemappedRows, whole) or (0, 0, 0, 0)
        return "Bad rows of its memory wait for a reset of the card." if pending or failed else ""

    return _ask(found, "")


class Faults:
    """The errors (Xid) that the driver reports of a card from now on, without those that programs cause."""

    def __init__(self, name: str) -> None:
        def registered(nvml: Any) -> Any:
            events = nvml.nvmlEventSetCreate()
            whole = _handle(nvml, name.partition(".")[0])
            nvml.nvmlDeviceRegisterEvents(whole, nvml.nvmlEventTypeXidCriticalError, events)
            return events

        self._events = _ask(registered, None)

    def read(self) -> list[int]:
        """What has come since the last look."""
        found: list[int] = []

        def heard(nvml: Any) -> None:
            while True:  # ends with the library's error for "nothing came"
                found.append(int(nvml.nvmlEventSetWait_v2(self._events, 0).eventData))

        if self._events is not None:
            _ask(heard, None)
        return [number for number in found if number not in OF_PROGRAMS]
