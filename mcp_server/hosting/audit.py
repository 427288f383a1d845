"""The audit log: who did what, a line of JSON each, written through before what it tells of is done.

A line of an acceptance may therefore be without its effect after a kill, and never the other way round. What was
refused to somebody with a token is told as well; strangers without one are counted by the metrics alone.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from mcp_server.nouns.text import object_in

FILE_BYTES = 16 * 2**20  # after which a new file is begun; the old ones stay
TAIL_BYTES = 256 * 1024  # that are read of it for who asks


class Audit:
    """The log of one folder. Several servers append to one file: each line is one write."""

    def __init__(self, path: Path, now: Callable[[], datetime]) -> None:
        self._path, self._now = path, now
        self._writing = threading.Lock()

    def tell(self, what: str, **about: object) -> None:
        """Write one line through. Raises OSError; then what it tells of must not be done."""
        line = json.dumps({"at": self._now().isoformat(timespec="milliseconds"), "what": what, **about}) + "\n"
        with self._writing:
            self._begin_anew()
            fd = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
            try:
                os.write(fd, line.encode())
                os.fsync(fd)
            finally:
                os.close(fd)

    def _begin_anew(self) -> None:
        try:
            large = self._path.stat().st_size > FILE_BYTES
        except FileNotFoundError:
            return
        if large:
            self._path.rename(self._path.with_name(f"audit-{self._now():%Y%m%dT%H%M%S.%f}.jsonl"))

    def tail(self, most: int) -> list[dict[str, object]]:
        """The newest lines, oldest first; one that was cut by a kill is left out."""
        try:
            with self._path.open("rb") as file:
                file.seek(max(0, file.seek(0, os.SEEK_END) - TAIL_BYTES))
                lines = file.read().split(b"\n")
        except FileNotFoundError:
            return []
        found = [told for line in lines[-most - 1 :] if (told := object_in(line)) is not None]
        return found[-most:]
