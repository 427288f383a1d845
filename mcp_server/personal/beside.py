"""Starts the process that sends news beside a lab, where the user's file asks for any. It never touches a run.

It is a process of its own, so that no verb waits for a network and a crash at night is told although nobody looks.
"""

from __future__ import annotations

import contextlib
import logging
import os
import subprocess
import sys
import time
from pathlib import Path

import mcp_server
from mcp_server.nouns.files import is_locked
from mcp_server.personal.file import personal_file

log = logging.getLogger(__name__)

PROGRAM = "mcp_server.faces.notifying"
AGAIN_SECONDS = 2.0  # a process that was just started has no lock yet
LOG_BYTES = 256 * 1024
_started: dict[Path, float] = {}
_children: list[int] = []


def lock_of(state: Path) -> Path:
    """Held by the process that sends news of the lab."""
    return state / "notify.lock"


def wake(state: Path, tree: Path) -> bool:
    """Start the sender, unless there is nothing to send to or it is there already. Never waits, never raises."""
    try:
        if not personal_file().exists() or not state.exists() or is_locked(lock_of(state)):
            return False
        if time.monotonic() - _started.get(state, -AGAIN_SECONDS) < AGAIN_SECONDS:
            return False
        _started[state] = time.monotonic()
        _launch(state, tree)
    except OSError as error:
        log.warning("the news of this lab cannot be sent: %s", error)
        return False
    return True


def _launch(state: Path, tree: Path) -> None:
    package = Path(mcp_server.__file__).resolve().parent.parent
    path = os.pathsep.join(filter(None, (str(package), os.environ.get("PYTHONPATH"))))
    env = {**os.environ, "PYTHONPATH": path, "PYTHONSAFEPATH": "1", "PYDANTIC_DISABLE_PLUGINS": "__all__"}
    said = state / "notify.log"
    with contextlib.suppress(FileNotFoundError):
        if said.stat().st_size > LOG_BYTES:
            said.unlink()
    with open(os.open(said, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600), "ab") as file:
        process = subprocess.Popen(
            [sys.executable, "-m", PROGRAM, str(tree)],
            cwd=state,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=file,
            start_new_session=True,
        )
    process.returncode = 0  # its lock tells that it lives, and the one who starts the next one reaps it
    _children.append(process.pid)
    for pid in list(_children):
        with contextlib.suppress(ChildProcessError):
            if os.waitpid(pid, os.WNOHANG) == (0, 0):
                continue
        _children.remove(pid)
