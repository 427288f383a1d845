"""A process that kills itself just before its k-th effect on the world, so that every step of a verb is struck in turn.

Effects are what Python's audit hooks and SQLite's trace tell: a program started, a file renamed, removed, made or
opened for writing, a statement that changes the ledger. Between two of them nothing happens that outlives the process.
"""

from __future__ import annotations

import os
import pickle
import signal
import sqlite3
import sys
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

_ACTS = {"subprocess.Popen", "os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.link", "os.symlink", "os.truncate"}
_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT


@dataclass(frozen=True)
class Cut:
    """How it ended: `killed` before effect `at` (its name in `where`), or through with an answer or an error."""

    killed: bool
    where: str
    answer: Any = None


def cut_before(effect: int, function: Callable[[], Any]) -> Cut:
    """Do something in a process of its own that dies by SIGKILL before its effect number `effect` (1, 2, ...)."""
    ours, theirs = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(ours)
        os.setsid()
        _arm(effect, theirs)
        try:
            answer: Any = function()
        except Exception as error:
            answer = (
                error if type(error).__module__.startswith("mcp_server") else AssertionError(traceback.format_exc())
            )
        os.write(theirs, b"\0" + pickle.dumps(answer))
        os._exit(0)
    os.close(theirs)
    with os.fdopen(ours, "rb") as pipe:
        words, through, rest = pipe.read().partition(b"\0")
    _, status = os.waitpid(child, 0)
    if not through:
        assert os.WIFSIGNALED(status)
        return Cut(True, words.decode())
    return Cut(False, "", pickle.loads(rest))


def _arm(effect: int, pipe: int) -> None:
    left = effect

    def note(what: str) -> None:
        nonlocal left
        left -= 1
        if left == 0:
            os.write(pipe, what[:200].encode())
            os.kill(os.getpid(), signal.SIGKILL)

    def statement(sql: str) -> None:
        if not sql.lstrip().upper().startswith(("SELECT", "PRAGMA")):
            note("sql " + " ".join(sql.split())[:60])

    def hook(event: str, given: tuple[Any, ...]) -> None:
        if event in _ACTS:
            note(f"{event} {given[1] if event == 'subprocess.Popen' else given[0]}")
        elif event == "open" and isinstance(given[2], int) and given[2] & _WRITES:
            note(f"open {given[0]}")

    def connect(*given: Any, **named: Any) -> sqlite3.Connection:
        connection = plainly(*given, **named)
        connection.set_trace_callback(statement)
        return connection

    plainly, sqlite3.connect = sqlite3.connect, connect  # type: ignore[assignment]
    sys.addaudithook(hook)
