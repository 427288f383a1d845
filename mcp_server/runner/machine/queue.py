"""The lab's queue for devices: one file per waiting supervisor, locked by it, served fairly among those who propose.

Whoever has the fewest runs at work or before it in the queue is served first, and among equals the lower number: an
agent that proposes twenty at once delays another's first by no more than one of its own. What an owner's decisions wait
for (repeats) goes before its new ideas. A ticket whose lock is free belongs to a dead supervisor and is thrown away. A
ticket has no say about devices that it does not want.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from mcp_server.nouns.files import try_lock


@dataclass(frozen=True)
class Wish:
    """What one ticket says. owner: whoever proposed it, "" where nobody said; urgent: a decision waits for it."""

    number: int
    devices: tuple[str, ...]
    owner: str = ""
    urgent: bool = False

    def text(self) -> bytes:
        return json.dumps({"devices": self.devices, "owner": self.owner, "urgent": self.urgent}).encode()

    @classmethod
    def read(cls, number: int, text: str) -> Wish:
        """Raises ValueError. An older version wrote the devices alone."""
        said = json.loads(text)
        if isinstance(said, list):
            return cls(number, tuple(map(str, said)))
        try:
            return cls(number, tuple(map(str, said["devices"])), str(said["owner"]), bool(said["urgent"]))
        except (KeyError, TypeError) as error:
            raise ValueError(f"no ticket: {error}") from None


def hold(queue: Path, campaign: str) -> Path:
    """Where a person's pause of a campaign is told to its supervisors in the queue: until a moment, or for good."""
    return queue.parent / "paused" / campaign


def is_held(queue: Path, campaign: str) -> bool:
    """Whether a campaign's runs are to leave the queue, and to wait."""
    try:
        said = hold(queue, campaign).read_text()
    except OSError:
        return False
    return not said or time.time() < float(said)


def in_turn(wishes: list[Wish], at_work: Mapping[str, int]) -> list[Wish]:
    """Tickets in the order in which they are served. at_work: runs of each owner that have a device. Pure."""
    before = Counter(at_work)
    turns = []
    for wish in sorted(wishes, key=lambda one: (not one.urgent, one.number)):
        turns.append((before[wish.owner], wish.number, wish))
        before[wish.owner] += 1
    return [wish for *_, wish in sorted(turns, key=lambda one: one[:2])]


class Ticket:
    """A place in the queue, held open. Close it when a device is leased or nobody wants it any more."""

    def __init__(
        self, queue: Path, number: int, devices: tuple[str, ...], owner: str = "", urgent: bool = False
    ) -> None:
        """Take place `number`. Raises OSError."""
        self.queue, self.number, self.devices = queue, number, devices
        self._wish = Wish(number, devices, owner, urgent)
        queue.mkdir(parents=True, exist_ok=True)
        # Locked before it gets its name, so that nobody ever sees a living ticket with a free lock.
        # One supervisor per number, so one name will do, and what a killed one left is used again.
        temporary = queue / f".new-{number}"
        self._fd = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX)
            os.write(self._fd, self._wish.text())
            self.path = queue / str(number)
            os.replace(temporary, self.path)
        except BaseException:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(temporary)
            os.close(self._fd)
            raise

    def close(self) -> None:
        """Leave the queue. Harmless to repeat."""
        if self._fd >= 0:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self.path)
            os.close(self._fd)
            self._fd = -1

    def free_to_take(self, at_work: Mapping[str, int] | None = None) -> tuple[str, ...]:
        """The devices that nobody alive whose turn is before ours wants. at_work: runs of each owner with a device."""
        others = (_wish(self.queue / str(number)) for number in _numbers(self.queue) if number != self.number)
        wanted: set[str] = set()
        for wish in in_turn([self._wish, *(one for one in others if one is not None)], at_work or {}):
            if wish.number == self.number:
                break
            wanted.update(wish.devices)
        return tuple(device for device in self.devices if device not in wanted)


def _numbers(queue: Path) -> list[int]:
    return [int(name) for name in os.listdir(queue) if name.isdigit()]


def _wish(path: Path) -> Wish | None:
    """What a living supervisor's ticket says; a dead one's is removed and says nothing."""
    if not path.exists():
        return None
    fd = try_lock(path)
    if fd is None:
        with contextlib.suppress(OSError, ValueError):
            return Wish.read(int(path.name), path.read_text())
        return None  # it left the queue just now
    try:
        # only the file we hold the lock of: a new owner may have replaced it in the meantime
        with contextlib.suppress(FileNotFoundError):
            if os.fstat(fd).st_ino == os.stat(path).st_ino:
                os.unlink(path)
    finally:
        os.close(fd)
    return None
