"""The state of the leased device around a run, as it goes into the record."""

from __future__ import annotations

import contextlib
import os
import platform
import time

from mcp_server.nouns.records import DeviceReading
from mcp_server.runner.machine import load, nvidia, proc
from mcp_server.runner.machine.devices import Lease

RELEASE_SECONDS = 5.0  # a driver frees the memory of a killed process within moments


def read(lease: Lease, meter: load.LoadMeter) -> DeviceReading:
    """Identity and state before the run; takes the speed probe, 50 ms, and the foreign load since `meter` was made."""
    speed = load.speed()
    load_before = meter.read(time.monotonic())
    if lease.card is not None:
        card = nvidia.card(lease.card)
        if card is None:
            return DeviceReading(name=lease.device, identity="unknown", load_before=load_before, speed=speed)
        return DeviceReading(
            name=lease.device,
            identity=card.identity,
            driver=card.driver,
            clock_mhz=card.clock_mhz,
            throttled=None if card.slowed is None else bool(card.slowed),
            slowed=", ".join(card.slowed or ()),
            temperature_c=card.temperature_c,
            load_before=card.utilisation,
            speed=speed,
        )
    model, clock_mhz = _processor()
    return DeviceReading(
        name=lease.device,
        identity=f"{model} x {os.cpu_count()}",
        clock_mhz=clock_mhz,
        load_before=load_before,
        speed=speed,
    )


def read_again(before: DeviceReading, lease: Lease, load_after: float | None) -> DeviceReading:
    """The same reading with what is known after training: load, heat and whether the card slowed itself down."""
    if lease.card is None:
        return before.model_copy(update={"load_after": load_after})
    card = nvidia.card(lease.card)
    if card is None:
        return before
    return before.model_copy(
        update={
            "load_after": card.utilisation,
            "clock_mhz": card.clock_mhz,
            "throttled": None if card.slowed is None else bool(card.slowed),
            "slowed": ", ".join(card.slowed or ()),
            "temperature_c": card.temperature_c,
        }
    )


def memory_in_use(lease: Lease) -> float:
    """MB that others hold of a card that is ours to use, before we do; 0 where nobody tells."""
    state = None if lease.card is None else nvidia.card(lease.card)
    return (state and state.memory_used_mb) or 0.0


def unreleased_memory(lease: Lease, before: float) -> float | None:
    """MB that a card holds beyond those before some seconds after everything of ours on it was killed, or None."""
    if lease.card is None:
        return None
    deadline = time.monotonic() + RELEASE_SECONDS
    while (held := nvidia.memory_held(lease.card, before)) is not None and time.monotonic() < deadline:
        time.sleep(0.25)
    return held


def faults(lease: Lease, heard: nvidia.Faults) -> str:
    """What the card reported of itself while a run was on it, after which nothing computed there can be trusted."""
    numbers = heard.read()
    told = f"The card reported Xid {', '.join(map(str, numbers))}." if numbers else ""
    return told or ("" if lease.card is None else nvidia.trouble(lease.card))


def _processor() -> tuple[str, float | None]:
    """(model, MHz of the first core now)."""
    told = proc.fields("/proc/cpuinfo")
    with contextlib.suppress(KeyError, ValueError):
        return told["model name"], float(told["cpu MHz"])
    return told.get("model name") or platform.processor() or platform.machine(), None
