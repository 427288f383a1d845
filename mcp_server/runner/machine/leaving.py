"""A process that a verb leaves beside a lab: started, never waited for, reaped by whoever starts the next one.

It is a process of its own, so that no verb waits for a network and what happens at night is seen although nobody looks.
Whether it lives is told by a lock that it holds, which is its own affair.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from pathlib import Path

import mcp_server

LOG_BYTES = 256 * 1024
_started: dict[tuple[str, Path], float] = {}
_children: list[int] = []


def leave(program: str, tree: Path, folder: Path, log: Path, again_seconds: float) -> bool:
    """Start `python -m program tree` in `folder`; whether it was: not within `again_seconds`, it has no lock yet.

    log: what it says on stderr is appended there; one that has grown long begins anew. Raises OSError.
    """
    if time.monotonic() - _started.get((program, folder), -again_seconds) < again_seconds:
        return False
    _started[program, folder] = time.monotonic()
    package = Path(mcp_server.__file__).resolve().parent.parent
    path = os.pathsep.join(filter(None, (str(package), os.environ.get("PYTHONPATH"))))
    env = {**os.environ, "PYTHONPATH": path, "PYTHONSAFEPATH": "1", "PYDANTIC_DISABLE_PLUGINS": "__all__"}
    with contextlib.suppress(FileNotFoundError):
        if log.stat().st_size > LOG_BYTES:
            log.unlink()
    with open(os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600), "ab") as said:
        process = subprocess.Popen(
            [sys.executable, "-m", program, str(tree)],
            cwd=folder,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=said,
            start_new_session=True,
        )
    process.returncode = 0  # its lock tells that it lives
    _reap()
    _children.append(process.pid)
    return True


def _reap() -> None:
    for pid in list(_children):
        with contextlib.suppress(ChildProcessError):
            if os.waitpid(pid, os.WNOHANG) == (0, 0):
                continue
        _children.remove(pid)
