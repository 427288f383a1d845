"""The engine of this machine: supervisors that outlive whoever launched them.

Liveness is the lock of the run, taken before its folder is laid out and handed over at the start; a pid can be reused.
"""

from __future__ import annotations

import os
from collections.abc import Callable

from mcp_server.engines import Engine
from mcp_server.nouns.files import is_locked, private_folder, try_lock
from mcp_server.nouns.paths import RunPaths
from mcp_server.nouns.records import RunResult
from mcp_server.runner.machine import leaving

ALIVE_FD, KEEPER_FD = "AUTORESEARCH_ALIVE_FD", "AUTORESEARCH_KEEPER_FD"


def start(paths: RunPaths, alive_fd: int, keeper_fd: int | None = None) -> int:
    """Start the run's supervisor and hand it the locked descriptor; its pid. Close yours after. Raises OSError.

    keeper_fd: a pipe whose end ends the run; without one it outlives whoever launched it.
    """
    handed = {ALIVE_FD: alive_fd} | ({} if keeper_fd is None else {KEEPER_FD: keeper_fd})
    with open(paths.supervisor_log, "ab") as log:
        return leaving.start("mcp_server.runner", str(paths.folder), folder=paths.folder, said=log, descriptors=handed)


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
