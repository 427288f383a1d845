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
import subprocess
import sys
import time
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import mcp_server
from mcp_server.community.leases.known import holds
from mcp_server.community.pace import due_in
from mcp_server.community.settings import OFF, Places, read_last, read_settings
from mcp_server.ledger import Ledger
from mcp_server.nouns.errors import AutoresearchError, NotNow
from mcp_server.nouns.files import is_locked, try_lock
from mcp_server.repo.workspace import Workspace

log = logging.getLogger(__name__)

AGAIN_SECONDS = 4.0  # a process that was just started has no lock yet
LONGEST_SECONDS = 24 * 3600.0  # of one process: a lab whose runs never end gets a fresh one
LOG_BYTES = 256 * 1024
_started: dict[Path, float] = {}


def wake(state: Path, tree: Path) -> bool:
    """Start an exchange beside us, if the lab has joined and one is due. Never waits, never raises."""
    places = Places.of(state)
    try:
        if not places.settings.exists() or os.environ.get(OFF) == "off":
            return False
        if time.monotonic() - _started.get(state, -AGAIN_SECONDS) < AGAIN_SECONDS:
            return False
        settings = read_settings(places)
        if settings is None or settings.kind == "bundle":
            return False
        if due_in(read_last(places), settings.kind, time.time()) > 0 or is_locked(places.beside):
            return False
        _started[state] = time.monotonic()
        _launch(places, tree)
    except (AutoresearchError, OSError) as error:
        log.warning("the exchange with other labs could not be started: %s", error)
        return False
    return True


def _launch(places: Places, tree: Path) -> None:
    package = Path(mcp_server.__file__).resolve().parent.parent
    path = os.pathsep.join(filter(None, (str(package), os.environ.get("PYTHONPATH"))))
    env = {**os.environ, "PYTHONPATH": path, "PYTHONSAFEPATH": "1", "PYDANTIC_DISABLE_PLUGINS": "__all__"}
    with contextlib.suppress(FileNotFoundError):
        if places.log.stat().st_size > LOG_BYTES:
            places.log.unlink()
    with open(os.open(places.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600), "ab") as said:
        process = subprocess.Popen(
            [sys.executable, "-m", "mcp_server.community", str(tree)],
            cwd=places.folder,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=said,
            start_new_session=True,
        )
    process.returncode = 0  # its lock tells that it lives, and the one who starts the next one reaps it
    _children.append(process.pid)
    _reap()


_children: list[int] = []


def _reap() -> None:
    for pid in list(_children):
        with contextlib.suppress(ChildProcessError):
            if os.waitpid(pid, os.WNOHANG) == (0, 0):
                continue
        _children.remove(pid)


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
