"""The first lines of a client, read while the server is still being imported. Standard library only.

A client of the newer protocol asks `server/discover` and falls back to `initialize` when no answer comes for some
seconds. The import takes longer than that on a busy machine, and the SDK, finding both, serves the newer protocol and
refuses the second: the client goes on without tools (seen with Copilot CLI 1.0.102). So a `server/discover` that would
have to wait is answered here, at once, with what lets a client fall back; all else is left for the server as it came.
"""

from __future__ import annotations

import fcntl
import io
import json
import os
import select
import threading
import time
from collections.abc import Sequence
from typing import Any

PATIENCE_SECONDS = 2.5  # Copilot CLI waits for about 5; on a machine at rest the import takes one
METHOD_NOT_FOUND = -32601
CHUNK = 65536


def method_of(line: bytes) -> tuple[str, Any]:
    """(method, id) of a request; two empty values for anything else."""
    try:
        message = json.loads(line)
        return str(message["method"]), message["id"]
    except (ValueError, LookupError, TypeError):
        return "", None


def settled(lines: Sequence[bytes], waited: float) -> bool | None:
    """Whether the opening needs no answer of ours: True. False: its first line is to be refused. None: not told yet."""
    if not lines:
        return None
    if method_of(lines[0])[0] != "server/discover":
        return True
    given_up = any(method_of(line)[0] == "initialize" for line in lines[1:])
    return False if given_up or waited > PATIENCE_SECONDS else None


class Opening:
    """Listens on a descriptor until `end`, in a thread of its own."""

    def __init__(self, incoming: int, outgoing: int = 1) -> None:
        self._incoming, self._outgoing = incoming, outgoing
        self._read = b""
        self._wake, self._woken = os.pipe()
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()

    def end(self) -> io.BufferedReader:
        """Stop listening: all that came, without what was answered, and all that will come."""
        os.close(self._woken)
        self._thread.join()
        os.close(self._wake)
        return io.BufferedReader(_Resumed(self._read, self._incoming))

    def _listen(self) -> None:
        began = 0.0
        while True:
            lines = self._read.splitlines(keepends=True)
            whole = [line for line in lines if line.endswith(b"\n")]
            began = began or (time.monotonic() if whole else 0.0)
            done = settled(whole, time.monotonic() - began)
            if done is False:
                self._refuse(whole[0])
            if done is not None:
                return
            ready, _, _ = select.select([self._incoming, self._wake], [], [], 0.1 if whole else None)
            # what has come counts also when the import has ended meanwhile
            came = os.read(self._incoming, CHUNK) if self._incoming in ready else b""
            self._read += came
            if (self._incoming in ready and not came) or (self._wake in ready and not came):
                return

    def _refuse(self, line: bytes) -> None:
        error = {"code": METHOD_NOT_FOUND, "message": "the server is starting"}
        said = json.dumps({"jsonrpc": "2.0", "id": method_of(line)[1], "error": error}).encode() + b"\n"
        while said:
            said = said[os.write(self._outgoing, said) :]
        self._read = self._read[len(line) :]


class _Resumed(io.RawIOBase):
    """A descriptor, after what was read of it already."""

    def __init__(self, first: bytes, descriptor: int) -> None:
        self._first, self._descriptor = first, descriptor

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        came, self._first = self._first[: len(buffer)], self._first[len(buffer) :]
        came = came or os.read(self._descriptor, len(buffer))
        buffer[: len(came)] = came
        return len(came)


def take_stdin() -> int:
    """A private descriptor of the standard input, which becomes empty: no child may read what a client says."""
    private = fcntl.fcntl(0, fcntl.F_DUPFD_CLOEXEC, 3)
    empty = os.open(os.devnull, os.O_RDONLY)
    os.dup2(empty, 0)
    os.close(empty)
    return private
