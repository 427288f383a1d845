"""events.jsonl: one line for each event, appended, for programs that follow a file. Drawn from the ledger.

The file may be lost, cut or edited: what is missing at its end is appended, and a file whose end is no event of ours
is written anew.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

from mcp_server.ledger import Ledger
from mcp_server.nouns.files import write_atomically

TAIL = 16 * 1024  # bytes; a line has less
_whole: set[Path] = set()  # files that this process has compared with the ledger


def follow(ledger: Ledger, path: Path, new: bool) -> None:
    """Have the file end with the ledger's last event. Call with the lab's lock held. Raises OSError."""
    if not new and path in _whole and path.exists():
        return
    told = _last(path, ledger.lab)
    if told is None or told > ledger.last_event():
        lines = [one.line() for one in ledger.events()]
        if lines or path.exists():
            write_atomically(path, "".join(f"{line}\n" for line in lines).encode(), 0o600)
    elif missing := ledger.events(told):
        text = "".join(f"{one.line()}\n" for one in missing).encode()
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600), "ab") as file:
            file.write(text)
    _whole.add(path)


def _last(path: Path, lab: str) -> int | None:
    """The number of the last line; 0 for an empty file or none; None where the end is not an event of this lab."""
    try:
        with open(path, "rb") as file:
            end = file.seek(0, os.SEEK_END)
            file.seek(max(0, end - TAIL))
            tail = file.read()
    except FileNotFoundError:
        return 0
    if not tail:
        return 0
    if not tail.endswith(b"\n"):
        return None
    try:
        found = json.loads(tail[:-1].rpartition(b"\n")[2])
        return int(found["event"]) if found["lab"] == lab else None
    except (ValueError, TypeError, KeyError):
        return None
