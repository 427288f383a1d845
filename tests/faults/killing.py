"""Who is who among a lab's processes, and how they are killed: by pid, or with their whole group, as clients do."""

from __future__ import annotations

import contextlib
import os
import signal
from dataclasses import dataclass
from pathlib import Path

from mcp_server.nouns.paths import LabPaths
from mcp_server.nouns.records import RunProgress


@dataclass(frozen=True)
class Cast:
    """The processes of one run at one moment."""

    phase: str = ""
    supervisor: int | None = None
    below: tuple[tuple[int, str], ...] = ()  # what the supervisor started: (pid, command line), outermost first


def cast(paths: LabPaths) -> Cast:
    """The run that is under way, seen through its progress file; an empty cast when there is none."""
    newest = sorted(paths.state.glob("runs/*/*/*/progress.json"), key=lambda place: place.stat().st_mtime_ns)
    for place in reversed(newest):
        with contextlib.suppress(OSError, ValueError):
            progress: RunProgress = RunProgress.read(place)
            command = _command(progress.pid)
            if str(place.parent) in command and "mcp_server.runner" in command:
                return Cast(progress.phase, progress.pid, tuple(_below(progress.pid)))
    return Cast()


def _below(pid: int) -> list[tuple[int, str]]:
    found = []
    with contextlib.suppress(OSError):
        for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
            found.append((int(child), _command(int(child))))
            found += _below(int(child))
    return found


def _command(pid: int) -> str:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    return ""


def kill(pid: int, group: bool) -> bool:
    """SIGKILL to a process, or to its whole group; whether there was one."""
    try:
        # never our own group: a process that has not become its own leader yet is killed alone
        if group and os.getpgid(pid) != os.getpgid(0):
            os.killpg(os.getpgid(pid), signal.SIGKILL)
        else:
            os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return False
    return True
