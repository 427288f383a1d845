"""The engine of this machine: supervisors that outlive whoever launched them.

Liveness is the lock of the run, taken before its folder is laid out and handed over at the start; a pid can be reused.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import mcp_server
from mcp_server.engines import Engine
from mcp_server.nouns.files import is_locked, private_folder, try_lock
from mcp_server.nouns.paths import RunPaths
from mcp_server.nouns.records import RunResult

ALIVE_FD, KEEPER_FD = "AUTORESEARCH_ALIVE_FD", "AUTORESEARCH_KEEPER_FD"

# An ended supervisor is reaped by the next launch, so that a long-lived server does not collect zombies.
_launched: set[int] = set()


def start(paths: RunPaths, alive_fd: int, keeper_fd: int | None = None) -> int:
    """Start the run's supervisor and hand it the locked descriptor; its pid. Close yours after. Raises OSError.

    keeper_fd: a pipe whose end ends the run; without one it outlives whoever launched it.
    """
    _reap()
    # this very package first, and nothing of the working folder's instead of it
    package = Path(mcp_server.__file__).resolve().parent.parent
    path = os.pathsep.join(filter(None, (str(package), os.environ.get("PYTHONPATH"))))
    env = {**os.environ, ALIVE_FD: str(alive_fd), "PYTHONPATH": path, "PYTHONSAFEPATH": "1"}
    if keeper_fd is not None:
        env[KEEPER_FD] = str(keeper_fd)
    env["PYDANTIC_DISABLE_PLUGINS"] = "__all__"  # looking for them takes a tenth of the supervisor's start
    with open(paths.supervisor_log, "ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "mcp_server.runner", str(paths.folder)],
            cwd=paths.folder,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=log,
            pass_fds=(alive_fd,) if keeper_fd is None else (alive_fd, keeper_fd),
            start_new_session=True,  # a client that kills its whole process group does not reach it
        )
    _launched.add(process.pid)
    process.returncode = 0  # or its object warns when it goes: nobody waits for it, its lock tells its end
    return process.pid


def _reap() -> None:
    for pid in list(_launched):
        try:
            ended, _ = os.waitpid(pid, os.WNOHANG)
        except ChildProcessError:
            ended = pid
        if ended:
            _launched.discard(pid)


class Local:
    """Supervisors as processes of this machine."""

    def launch(self, folder: RunPaths, lay_out: Callable[[], None]) -> None:
        private_folder(folder.folder)
        alive = try_lock(folder.alive)
        if alive is None:
            return  # a supervisor lives
        try:
            lay_out()
            start(folder, alive)
        finally:
            os.close(alive)

    def alive(self, folder: RunPaths) -> bool:
        return is_locked(folder.alive)

    def cancel(self, folder: RunPaths) -> None:
        folder.cancel.touch()

    def fetch(self, folder: RunPaths) -> RunResult | None:
        return RunResult.read(folder.result) if folder.result.exists() else None


LOCAL: Engine = Local()
