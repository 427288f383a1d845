"""Whichever engine a run's own spec names; what a lab uses. Ray itself is loaded by none of this."""

from __future__ import annotations

import os
from collections.abc import Callable

from mcp_server.engines import Engine, local
from mcp_server.engines.local import LOCAL
from mcp_server.engines.ray.engine import hand_over, owed
from mcp_server.nouns.files import is_locked, private_folder, try_lock
from mcp_server.nouns.paths import RunPaths
from mcp_server.nouns.records import RunResult, RunSpec


class Chosen:
    """Supervisors on this machine, and runs on the nodes of a cluster, each as its folder says."""

    def launch(self, folder: RunPaths, lay_out: Callable[[], None]) -> None:
        if self.alive(folder):
            return
        private_folder(folder.folder)
        alive = try_lock(folder.alive)
        if alive is None:
            return  # a supervisor lives, or somebody lays it out
        try:
            lay_out()
            spec = RunSpec.read(folder.spec) if folder.spec.exists() else None
            if spec is not None and spec.engine is not None:
                hand_over(folder, spec, spec.engine)
            else:
                local.start(folder, alive)
        finally:
            os.close(alive)

    def alive(self, folder: RunPaths) -> bool:
        return is_locked(folder.alive) or self._abroad(folder)

    def cancel(self, folder: RunPaths) -> None:
        LOCAL.cancel(folder)
        self._abroad(folder)  # somebody must be there to hear of it

    def fetch(self, folder: RunPaths) -> RunResult | None:
        return LOCAL.fetch(folder)

    def _abroad(self, folder: RunPaths) -> bool:
        """Whether a cluster owes us this run; who asks it is started where nobody does."""
        if not folder.remote.exists():
            return False
        return owed(folder)


CHOSEN: Engine = Chosen()
