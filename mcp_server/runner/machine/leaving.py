"""Processes of ours that outlive whoever starts them: never waited for, reaped by whoever starts the next one.

Each is a process of its own, so that no verb waits for a network or a run and what happens at night is seen although
nobody looks. Whether it lives is told by a lock that it holds, which is its own affair.
"""

from __future__ import annotations

import contextlib
import logging
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO

import mcp_server
from mcp_server.nouns.errors import AutoresearchError

LOG_BYTES = 256 * 1024
_started: dict[tuple[str, Path], float] = {}
children: set[int] = set()  # so that a long-lived server does not collect zombies


def with_own_package(env: Mapping[str, str]) -> dict[str, str]:
    """Lets `-m mcp_server...` find this very package and nothing of the working folder's instead of it.

    A relative folder in PYTHONPATH is the working folder's too: a scorer of ours stands among the lab's own files.
    """
    package = Path(mcp_server.__file__).resolve().parent.parent
    further = filter(os.path.isabs, os.environ.get("PYTHONPATH", "").split(os.pathsep))
    return {**env, "PYTHONPATH": os.pathsep.join((str(package), *further)), "PYTHONSAFEPATH": "1"}


def start(
    program: str, *arguments: str, folder: Path, said: IO[bytes], descriptors: Mapping[str, int] | None = None
) -> int:
    """Start `python -m program` in `folder`; its pid. Raises OSError.

    descriptors: open files that it gets, each by the variable of its environment that tells the number.
    """
    _reap()
    handed = descriptors or {}
    # looking for plugins takes a tenth of a supervisor's start
    more = {"PYDANTIC_DISABLE_PLUGINS": "__all__"} | {name: str(number) for name, number in handed.items()}
    process = subprocess.Popen(
        [sys.executable, "-m", program, *arguments],
        cwd=folder,
        env=with_own_package({**os.environ, **more}),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=said,
        pass_fds=tuple(handed.values()),
        start_new_session=True,  # a client that kills its whole process group does not reach it
    )
    children.add(process.pid)
    process.returncode = 0  # or its object warns when it goes: nobody waits for it
    return process.pid


def leave(program: str, tree: Path, folder: Path, log: Path, again_seconds: float) -> bool:
    """Leave `python -m program tree` beside a lab; whether it was started.

    again_seconds: not again within them, for it has no lock yet. log: what it says on stderr is appended there; one
    that has grown long begins anew. Raises OSError.
    """
    if time.monotonic() - _started.get((program, folder), -again_seconds) < again_seconds:
        return False
    _started[program, folder] = time.monotonic()
    with contextlib.suppress(FileNotFoundError):
        if log.stat().st_size > LOG_BYTES:
            log.unlink()
    with open(os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600), "ab") as said:
        start(program, str(tree), folder=folder, said=said)
    return True


def beside(program: str, stay: Callable[[Path], None]) -> int:
    """What `python -m program tree` does once it was left: it stays, and an error of ours is its last word."""
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    try:
        stay(Path(sys.argv[1]))
    except (AutoresearchError, OSError) as error:
        logging.getLogger(program).warning("%s", error)
        return 1
    return 0


def _reap() -> None:
    for pid in list(children):
        with contextlib.suppress(ChildProcessError):
            if os.waitpid(pid, os.WNOHANG) == (0, 0):
                continue
        children.discard(pid)
