"""One agent process: started fresh, heard through a bounded log, held to its time, ended with everything it started.

The processes of an agent are known by a variable that they inherit, whatever sessions they make and whoever adopts
them. Supervisors of the lab's runs inherit it too and are spared: a run outlives whoever asked for it. Without /proc
only the agent's process group is ended.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mcp_server.nouns.errors import NotNow
from mcp_server.runner.machine import proc
from mcp_server.runner.process.logs import BoundedLog, clean

MARK = "AUTORESEARCH_RALPH"  # its value is the lock of the loop: one for each work tree
PROMPT_WORD = "{prompt}"  # in the command it stands for the prompt; without it the prompt comes on stdin
SUPERVISOR = b"mcp_server.runner"
LOOK_SECONDS = 0.2
GRACE_SECONDS = 5.0  # to end by itself after SIGTERM: agents write their session down
READ_BYTES = 1 << 20


@dataclass(frozen=True)
class Ended:
    """How an agent process came to its end. `exit_status` is negative for a signal, as subprocess has it."""

    exit_status: int
    hung: bool
    seconds: float
    text: str  # all it printed, bounded and cleaned


def run(
    command: Sequence[str],
    prompt: str,
    tree: Path,
    mark: str,
    limit_seconds: float,
    variables: Mapping[str, str],
    heard: Callable[[str], None],
    grace_seconds: float = GRACE_SECONDS,
) -> Ended:
    """Start `command` in `tree`, wait for it, and leave nothing of it behind, whatever interrupts the wait.

    `heard` gets the last line it printed, a few times a second. Raises NotNow when the command cannot be started.
    """
    asked = [word.replace(PROMPT_WORD, prompt) for word in command]
    by_argument = any(PROMPT_WORD in word for word in command)
    log, began = BoundedLog(), time.monotonic()
    with tempfile.TemporaryFile() as stdin:
        stdin.write(b"" if by_argument else prompt.encode())
        stdin.seek(0)
        try:
            process = subprocess.Popen(
                asked,
                cwd=tree,
                env={**os.environ, **variables, MARK: mark},
                stdin=stdin,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # a Ctrl-C in our terminal is ours to pass on
            )
        except OSError as error:
            raise NotNow(f"`{command[0]}` cannot be started: {error.strerror}. Check the command after `--`.") from None
    assert process.stdout is not None
    pipe = process.stdout.fileno()
    os.set_blocking(pipe, False)
    hung, shown = False, began
    try:
        listening = True
        while process.poll() is None:
            if time.monotonic() - began >= limit_seconds:
                hung = True
                break
            ready, _, _ = select.select([pipe] if listening else [], [], [], LOOK_SECONDS)
            if ready:
                listening = log.drain(pipe, READ_BYTES)
            if time.monotonic() - shown >= LOOK_SECONDS:  # not for each word of an agent that prints many
                shown = time.monotonic()
                heard(last_line(log))
        if hung:
            end(mark, process, signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(grace_seconds)
    finally:
        end(mark, process, signal.SIGKILL)
        log.drain(pipe, READ_BYTES)
        process.stdout.close()
    return Ended(process.returncode, hung, time.monotonic() - began, log.text())


def end(mark: str, process: subprocess.Popen[bytes] | None, number: signal.Signals) -> int:
    """Signal everything that carries the mark; after SIGKILL return when nothing is left. How many there were."""
    found: set[int] = set()
    while True:
        pids = carriers(mark)
        found |= set(pids)
        if process is not None and process.poll() is None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, number)
        for pid in pids:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, number)
        if number is not signal.SIGKILL:
            return len(found)
        if not pids and (process is None or process.poll() is not None):
            return len(found)
        time.sleep(0.01)  # a killed process is gone a moment later; only its parent is sent an event


def carriers(mark: str) -> list[int]:
    """Living processes of an agent of this loop, its own supervisors of runs left out."""
    wanted, found = f"{MARK}={mark}".encode(), []
    for pid in proc.pids() - {os.getpid()}:
        if wanted in proc.words(pid, "environ") and SUPERVISOR not in proc.words(pid, "cmdline"):
            stat = proc.read_stat(pid)
            if stat is not None and stat.state != "Z":
                found.append(pid)
    return found


def last_line(log: BoundedLog) -> str:
    """The last line with something on it."""
    tail = log.raw_tail()[-2000:]
    text = clean(tail.decode(errors="replace")) if tail else log.text()
    lines = [line for line in text.splitlines() if line.strip()]
    return lines[-1].strip() if lines else ""
