"""Mirrors a lab into the user's trackers: `python -m mcp_server.faces.tracking TREE` brings them what is there now.

The process that sends news starts it whenever something has changed. It is one of its own, so that a tracker that hangs
or a library that fails delays no news and touches no run; what it could not bring, the next one brings.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import subprocess
import sys
import time
from pathlib import Path

from mcp_server.exporting.gathering import sent
from mcp_server.exporting.tracking import trackers_of
from mcp_server.lab import Lab
from mcp_server.ledger import Ledger
from mcp_server.nouns.errors import AutoresearchError
from mcp_server.nouns.files import text_of, write_atomically
from mcp_server.runner.machine.leaving import beside

log = logging.getLogger("mcp_server.exporting")

PROGRAM = "mcp_server.faces.tracking"
MOST_SECONDS = 600.0  # of one mirroring; a tracker that hangs longer is given up until the next change


class Mirror:
    """Starts the mirroring of one lab when something has changed, one at a time."""

    def __init__(self, state: Path, tree: Path, repository: Path) -> None:
        self._note, self._tree, self._repository = state / "tracked", tree, repository
        self._process: subprocess.Popen[bytes] | None = None
        self._ends, self._asked = 0.0, ""

    def look(self, ledger: Ledger) -> bool:
        """Start what is due; whether one is under way. A file that cannot be used is logged once a change."""
        if self._process is not None:
            if self._process.poll() is None and time.monotonic() < self._ends:
                return True
            self.stop()
        now = f"{ledger.last_event()} {[(run.ticket, str(run.state)) for run in ledger.open_runs()]}"
        try:
            trackers = trackers_of(self._tree, self._repository)
        except AutoresearchError as error:
            trackers, now = [], f"{now} {error}"
            if now != self._asked:
                log.warning("%s", error)
        mark = hashlib.sha256(f"{now} {trackers}".encode()).hexdigest()
        if trackers and mark not in (self._asked, text_of(self._note)):
            self._ends = time.monotonic() + MOST_SECONDS
            command = [sys.executable, "-m", PROGRAM, str(self._tree), mark]
            self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        self._asked = mark if trackers else now
        return self._process is not None

    def stop(self) -> None:
        if self._process is not None:
            if self._process.poll() is None:
                log.warning("mirroring took longer than %.0f s and was stopped", MOST_SECONDS)
                self._process.kill()
            self._process.wait()
            self._process = None


def mirror(tree: Path) -> None:
    """Bring every tracker what the lab has, then note what was asked for; one that fails stops no other."""
    with contextlib.closing(Lab(tree)) as lab:
        whole = True
        for one in trackers_of(lab.paths.tree, lab.paths.common):
            os.environ["WANDB_MODE"] = one.mode  # the user's file says it, not whoever started this
            try:
                sent(lab, one.target, one.where, one.project, every=True)
            except Exception as error:  # a library's own failure is nobody's else
                whole = False
                log.warning("%s %s: %s", one.target, one.where, error)
        if not whole:
            sys.exit(1)
        if len(sys.argv) > 2:
            write_atomically(lab.paths.state / "tracked", sys.argv[2].encode(), 0o600)


if __name__ == "__main__":
    sys.exit(beside("mcp_server.exporting", mirror))
