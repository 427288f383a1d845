"""The exchange that happens by itself beside running experiments: who starts it, and how long it goes on.

A verb that ends looks whether an exchange is due, which costs two small reads, and starts a process that no verb waits
for. It exchanges, sleeps as long as the number of labs and the host ask for, and ends once nothing runs
and no lease is left to let go.
"""

from __future__ import annotations

import contextlib
import logging
import os
import random
import time
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

from mcp_server.community.leases.known import holds
from mcp_server.community.pace import due_in
from mcp_server.community.settings import OFF, Places, read_last, read_settings
from mcp_server.ledger import Ledger
from mcp_server.nouns.errors import AutoresearchError, NotNow
from mcp_server.nouns.files import is_locked, try_lock
from mcp_server.repo.workspace import Workspace
from mcp_server.runner.machine.leaving import leave

log = logging.getLogger(__name__)

PROGRAM = "mcp_server.community"
AGAIN_SECONDS = 4.0  # a process that was just started has no lock yet
LONGEST_SECONDS = 24 * 3600.0  # of one process: a lab whose runs never end gets a fresh one


def wake(state: Path, tree: Path) -> bool:
    """Start an exchange beside us, if the lab has joined and one is due. Never waits, never raises."""
    places = Places.of(state)
    try:
        if not places.settings.exists() or os.environ.get(OFF) == "off":
            return False
        settings = read_settings(places)
        if settings is None or settings.kind == "bundle":
            return False
        if due_in(read_last(places), settings.kind, time.time()) > 0 or is_locked(places.beside):
            return False
        return leave(PROGRAM, tree, places.folder, places.log, AGAIN_SECONDS)
    except (AutoresearchError, OSError) as error:
        log.warning("the exchange with other labs could not be started: %s", error)
        return False


def stay(tree: Path) -> None:
    """Exchange, and again while runs are open. What the process beside a lab does."""
    from mcp_server.community.exchange import Exchange  # not for those who only look whether one is due

    workspace = Workspace(tree)
    places = Places.of(workspace.paths.state)
    alive = try_lock(places.beside)
    if alive is None:
        return
    with contextlib.suppress(OSError):
        os.nice(10)
    ends = time.monotonic() + LONGEST_SECONDS
    try:
        while time.monotonic() < ends:
            settings = read_settings(places)
            if settings is None:
                return
            wait = due_in(read_last(places), settings.kind, time.time(), random.random())
            if wait <= 0:
                try:
                    with Exchange(workspace, lambda: datetime.now(UTC)) as exchange:
                        exchange.run()
                except NotNow:
                    wait = 1.0
            if not (_running(workspace) or holds(places, time.time())):
                return
            time.sleep(min(max(wait, 1.0), 30.0))
    finally:
        os.close(alive)


def _running(workspace: Workspace) -> bool:
    if not workspace.paths.ledger.exists():
        return False
    with closing(Ledger(workspace.paths.ledger)) as ledger:
        return bool(ledger.open_runs())
