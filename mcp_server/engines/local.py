"""Where a supervisor runs: on this machine, detached, so that it outlives whoever launched it.

Three verbs, the same on every engine. Liveness is the lock of the run, handed over at launch; a pid can be reused.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import mcp_server
from mcp_server.nouns.files import is_locked
from mcp_server.nouns.paths import RunPaths

ALIVE_FD = "AUTORESEARCH_ALIVE_FD"

# An ended supervisor is reaped by the next launch, so that a long-lived server does not collect zombies.
_launched: set[int] = set()


def launch(paths: RunPaths, alive_fd: int) -> int:
    """Start the run's supervisor and hand it the locked descriptor; its pid. Close yours after. Raises OSError."""
    _reap()
    # this very package first, and nothing of the working folder's instead of it
    package = Path(mcp_server.__file__).resolve().parent.parent
    path = os.pathsep.join(filter(None, (str(package), os.environ.get("PYTHONPATH"))))
    env = {**os.environ, ALIVE_FD: str(alive_fd), "PYTHONPATH": path, "PYTHONSAFEPATH": "1"}
    env["PYDANTIC_DISABLE_PLUGINS"] = "__all__"  # looking for them takes a tenth of the supervisor's start
    with open(paths.supervisor_log, "ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "mcp_server.runner", str(paths.folder)],
            cwd=paths.folder,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=log,
            pass_fds=(alive_fd,),
            start_new_session=True,  # a client that kills its whole process group does not reach it
        )
    _launched.add(process.pid)
    process.returncode = 0  # from here on it is nobody's child to wait for; its end is told by its lock
    return process.pid


def _reap() -> None:
    for pid in list(_launched):
        try:
            ended, _ = os.waitpid(pid, os.WNOHANG)
        except ChildProcessError:
            ended = pid
        if ended:
            _launched.discard(pid)


def is_alive(paths: RunPaths) -> bool:
    """Whether the run has a living supervisor."""
    return is_locked(paths.alive)


def cancel(paths: RunPaths) -> None:
    """Ask the supervisor to stop the run; it does so within a tick. Harmless to repeat. Raises OSError."""
    paths.cancel.touch()
