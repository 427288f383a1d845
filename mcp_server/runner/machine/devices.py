"""The devices of this machine and the lease of one: a lock that lasts exactly as long as the supervisor lives.

Machine-wide: two labs on one machine never share a device. A GPU whose memory a dead run still holds, or that reported
an error of its own, is drained: a marker beside the lock refuses it until that is over. Devices are never reset and
their settings never changed.
"""

from __future__ import annotations

import json
import os
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TypeVar

from mcp_server.nouns.files import is_locked, private_folder, try_lock, write_atomically
from mcp_server.runner.machine import nvidia, proc
from mcp_server.runner.machine.queue import Ticket


def available() -> tuple[str, ...]:
    """Every GPU of this machine, else its processor."""
    cards = nvidia.cards()
    if cards:
        return tuple(f"cuda:{card}" for card in cards)
    return ("cpu",)


def card_of(device: str) -> str | None:
    """The name of a GPU: "1" for "cuda:1", "0.1" for an instance of a divided one, None for anything else."""
    match = re.fullmatch(r"cuda:(\d+(?:\.\d+)?)", device)
    return match[1] if match else None


def gpus_of(device: str) -> tuple[int, ...]:
    """Numbers of the files in /dev of the cards that a command on this device has to see."""
    card = card_of(device)
    return () if card is None else (nvidia.file_number(card),)


@dataclass(frozen=True)
class Lease:
    """One device, ours until `fd` is closed, at the latest by our death."""

    device: str
    fd: int

    @property
    def card(self) -> str | None:
        return card_of(self.device)


@dataclass(frozen=True)
class Holder:
    """Who has a device, as its supervisor wrote into the lock: data of another lab, and no more than an estimate."""

    lab: str
    run: str
    ends_at: float  # unix time at which the budget should be over
    owner: str = ""  # who proposed the run, for a fair queue


def sign(lease: Lease, holder: Holder) -> None:
    """Say in the lock who holds it, for whoever waits."""
    text = json.dumps(asdict(holder)).encode()
    os.ftruncate(lease.fd, 0)
    os.pwrite(lease.fd, text, 0)


def holder(folder: Path, device: str) -> Holder | None:
    """Who holds the device now; None when it is free or nobody signed."""
    place = lock_path(folder, device)
    try:
        if not is_locked(place):
            return None
        said = json.loads(place.read_text(errors="replace"))
        owner = str(said.get("owner", ""))[:500]
        return Holder(str(said["lab"])[:200], str(said["run"])[:100], float(said["ends_at"]), owner)
    except (OSError, ValueError, TypeError, KeyError):
        return None


def lock_path(folder: Path, device: str) -> Path:
    """The lock of a device. Raises ValueError for a name that is none."""
    if not re.fullmatch(r"[a-z]+(:\d+(\.\d+)?)?", device):
        raise ValueError(f"{device!r} is no device")
    return folder / f"{device.replace(':', '-')}.lock"


def drain_path(folder: Path, device: str) -> Path:
    """Exists while a device must not be used; its text says why."""
    return lock_path(folder, device).with_suffix(".drained")


def drain(folder: Path, device: str, reason: str, *, until_restart: bool = False, before: float = 0.0) -> None:
    """Refuse this device until its memory is free and in order again, or until the machine is restarted.

    before: MB of it that others had before our run.
    """
    text = f"{reason}\n{proc.boot() if until_restart else ''}\n{before:g}"
    write_atomically(drain_path(folder, device), text.encode())


def drained(folder: Path, device: str) -> str:
    """Why the device is refused, or "". A marker whose cause is gone is removed."""
    marker, card = drain_path(folder, device), card_of(device)
    wrong = "" if card is None else nvidia.trouble(card)
    try:
        reason, boot, before, *_ = [*marker.read_text().split("\n"), "", ""]
    except FileNotFoundError:
        return wrong
    held = None if card is None else nvidia.memory_held(card, float(before or 0))
    if wrong or (boot and boot == proc.boot()) or held is not None:
        return reason or wrong or "drained"
    marker.unlink(missing_ok=True)
    return ""


def try_lease(folder: Path, devices: tuple[str, ...]) -> Lease | None:
    """The first of `devices` that is free and not drained, or None."""
    private_folder(folder)
    for device in devices:
        fd = try_lock(lock_path(folder, device))
        if fd is None:
            continue
        if not drained(folder, device):
            return Lease(device, fd)
        os.close(fd)
    return None


def at_work(folder: Path, devices: tuple[str, ...], lab: str) -> Counter[str]:
    """How many runs of a lab have a device now, by who proposed them; a pair on two cards is one."""
    held = {holder(folder, device) for device in devices}
    return Counter(owner for owner, _ in {(one.owner, one.run) for one in held if one is not None and one.lab == lab})


def lease(
    folder: Path, ticket: Ticket, pause: Callable[[], bool], lab: str = "", told: Holder | None = None
) -> Lease | None:
    """Wait for our turn and a device. `pause` sleeps a moment; when it answers False the wait is given up: None.

    told: what is signed into the lock before we leave the queue, so that nobody counts us twice or not at all.
    """

    def attempt() -> Lease | None:
        found = try_lease(folder, _ours(folder, ticket, lab))
        if found is not None and told is not None:
            sign(found, told)
        return found

    return _wait(ticket, pause, attempt)


def lease_two(
    folder: Path, ticket: Ticket, pause: Callable[[], bool], lab: str = "", told: Holder | None = None
) -> tuple[Lease, Lease] | None:
    """The same for two equal cards; never waits for a second while it holds a first."""

    def attempt() -> tuple[Lease, Lease] | None:
        found = _try_lease_two(folder, _ours(folder, ticket, lab))
        if told is not None:
            for one in found or ():
                sign(one, told)
        return found

    return _wait(ticket, pause, attempt)


def _ours(folder: Path, ticket: Ticket, lab: str) -> tuple[str, ...]:
    """The devices whose turn is ours."""
    return ticket.free_to_take(at_work(folder, ticket.devices, lab) if lab else None)


def equal_cards(devices: tuple[str, ...], model: Callable[[str], str] = nvidia.model) -> list[tuple[str, ...]]:
    """The cards among `devices` by model, where there are at least two of one."""
    by_model: dict[str, list[str]] = {}
    for device in devices:
        card = card_of(device)
        if card is not None and (name := model(card)):
            by_model.setdefault(name, []).append(device)
    return [tuple(cards) for cards in by_model.values() if len(cards) > 1]


def _try_lease_two(folder: Path, devices: tuple[str, ...]) -> tuple[Lease, Lease] | None:
    for cards in equal_cards(devices):
        first = try_lease(folder, cards)
        if first is not None:
            second = try_lease(folder, tuple(card for card in cards if card != first.device))
            if second is not None:
                return first, second
            os.close(first.fd)
    return None


Found = TypeVar("Found")


def _wait(ticket: Ticket, pause: Callable[[], bool], attempt: Callable[[], Found | None]) -> Found | None:
    while True:
        found = attempt()
        if found is not None or not pause():
            ticket.close()
            return found
