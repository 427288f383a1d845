"""The lab's queue for devices: one file per waiting supervisor, locked by it, served in order of their numbers.

A ticket whose lock is free belongs to a dead supervisor and is thrown away. A ticket has no say about devices that it
does not want.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
from pathlib import Path

from mcp_server.nouns.files import try_lock


class Ticket:
    """A place in the queue, held open. Close it when a device is leased or nobody wants it any more."""

    def __init__(self, queue: Path, number: int, devices: tuple[str, ...]) -> None:
        """Take place `number`. Raises OSError."""
        self.queue, self.number, self.devices = queue, number, devices
        queue.mkdir(parents=True, exist_ok=True)
        # Locked before it gets its name, so that nobody ever sees a living ticket with a free lock.
        # One supervisor per number, so one name will do, and what a killed one left is used again.
        temporary = queue / f".new-{number}"
        self._fd = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX)
            os.write(self._fd, json.dumps(list(devices)).encode())
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

    def free_to_take(self) -> tuple[str, ...]:
        """The devices that nobody alive before us in the queue wants."""
        wanted: set[str] = set()
        for number in sorted(_numbers(self.queue)):
            if number >= self.number or wanted.issuperset(self.devices):
                break
            wanted |= _wanted(self.queue / str(number))
        return tuple(device for device in self.devices if device not in wanted)


def _numbers(queue: Path) -> list[int]:
    return [int(name) for name in os.listdir(queue) if name.isdigit()]


def _wanted(path: Path) -> set[str]:
    """What a ticket's living owner wants; a dead owner's ticket is removed and wants nothing."""
    if not path.exists():
        return set()
    fd = try_lock(path)
    if fd is None:
        with contextlib.suppress(OSError, ValueError):
            return set(json.loads(path.read_text()))
        return set()  # it left the queue just now
    try:
        # only the file we hold the lock of: a new owner may have replaced it in the meantime
        with contextlib.suppress(FileNotFoundError):
            if os.fstat(fd).st_ino == os.stat(path).st_ino:
                os.unlink(path)
    finally:
        os.close(fd)
    return set()
