"""What a run prints: the beginning and the end of it, cleaned, whatever it prints and however much.

Bounded in memory and on disk; the middle is dropped and the cut is marked. Text from a run is data for people and
models to read: escape sequences, control characters and direction overrides are taken out.
"""

from __future__ import annotations

import os
import re
from collections import deque
from pathlib import Path

from mcp_server.nouns.files import remove

HEAD_BYTES = 64 * 1024
TAIL_BYTES = 256 * 1024
READ_BYTES = 64 * 1024
HANDED_OVER = "printed.txt"  # what scoring.printed reads

# CSI, OSC (ended by BEL or ST, or cut off), other strings (DCS, SOS, PM, APC), two-character sequences
ESCAPES = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]?"
    r"|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)?"
    r"|\x1b[PX^_][^\x1b]*(?:\x1b\\)?"
    r"|\x1b[ -/]*[0-~]?"
)
# C0 and C1 but for tab and newline; zero-width and direction characters; line separators that are no newlines; halves
# of characters, which no encoding has
CONTROLS = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ud800-\udfff\ufeff\ufff9-\ufffb]"
)


def clean(text: str) -> str:
    """Printable text: of a line redrawn with carriage returns only the last drawing stays."""
    text = ESCAPES.sub("", text)
    lines = []
    for line in text.split("\n"):
        if "\r" in line:
            line = next((drawing for drawing in reversed(line.split("\r")) if drawing.strip()), "")
        lines.append(CONTROLS.sub("", line))
    return "\n".join(lines)


def excerpt(text: str, limit: int = 4096) -> str:
    """The last `limit` bytes of clean text, cut at a line where there is one."""
    raw = text.encode()
    if len(raw) <= limit:
        return text
    cut = raw[-limit:].decode(errors="ignore")
    _, newline, rest = cut.partition("\n")
    return rest if newline and rest.strip() else cut


def hand_over(log: str, folder: Path) -> None:
    """Lay what a run printed into its output, for a scorer that takes the run's word. Raises OSError.

    Whatever the run left under that name is taken away: it could be a link that leads elsewhere.
    """
    place = folder / HANDED_OVER
    folder.chmod(0o700)
    if place.is_dir() and not place.is_symlink():
        remove(place)
    place.unlink(missing_ok=True)
    fd = os.open(place, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    with os.fdopen(fd, "w", encoding="utf-8", errors="replace") as file:
        file.write(log)


class BoundedLog:
    """Takes what a descriptor gives without ever waiting for it, and remembers its head and tail."""

    def __init__(self, head_bytes: int = HEAD_BYTES, tail_bytes: int = TAIL_BYTES) -> None:
        self.total_bytes = 0
        self._head_bytes, self._tail_bytes = head_bytes, tail_bytes
        self._head = bytearray()
        self._tail: deque[bytes] = deque()
        self._tail_held = 0

    def feed(self, chunk: bytes) -> None:
        """Add what was read."""
        self.total_bytes += len(chunk)
        room = self._head_bytes - len(self._head)
        if room > 0:
            self._head += chunk[:room]
            chunk = chunk[room:]
        if chunk:
            self._tail.append(chunk)
            self._tail_held += len(chunk)
            while self._tail_held - len(self._tail[0]) >= self._tail_bytes:
                self._tail_held -= len(self._tail.popleft())

    def drain(self, fd: int, most: int) -> bool:
        """Read what is there, up to `most` bytes; False at the end of the stream. The descriptor must not block."""
        while most > 0:
            try:
                chunk = os.read(fd, READ_BYTES)
            except BlockingIOError:
                return True
            except OSError:
                return False
            if not chunk:
                return False
            self.feed(chunk)
            most -= len(chunk)
        return True

    def raw_tail(self) -> bytes:
        """The end of the stream as it came, without what is in the head."""
        return b"".join(self._tail)[-self._tail_bytes :]

    def text(self) -> str:
        """Clean text, with a line where something was left out."""
        tail = self.raw_tail()
        dropped = self.total_bytes - len(self._head) - len(tail)
        if dropped == 0:
            return clean((self._head + tail).decode(errors="replace"))
        head = clean(self._head.decode(errors="replace"))
        return f"{head}\n[... {dropped} bytes left out ...]\n{clean(tail.decode(errors='replace'))}"
