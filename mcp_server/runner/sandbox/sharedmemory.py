"""What a command at T1 leaves in /dev/shm, found and removed, without touching what anybody else put there.

Locks and queues of multiprocessing need /dev/shm, and below T2 there is only one for all. Files that a confined command
makes there carry a mode that no other program's have, thanks to a umask that nobody uses. It recognises the careless,
not the careful: a private /dev/shm needs T2.
"""

from __future__ import annotations

import contextlib
import os
import stat
from pathlib import Path

from mcp_server.nouns.files import remove
from mcp_server.runner.sandbox import identity

FOLDER = Path("/dev/shm")
UMASK = 0o062
MODES = (0o666 & ~UMASK, 0o777 & ~UMASK)  # of files and folders made under it


def present() -> frozenset[str]:
    """What lies there now."""
    with contextlib.suppress(OSError):
        return frozenset(os.listdir(FOLDER))
    return frozenset()


def sweep(before: frozenset[str]) -> None:
    """Remove what came since `before` and is recognised as left by a confined command of this user."""
    for name in present() - before:
        path = FOLDER / name
        with contextlib.suppress(OSError):
            state = path.lstat()
            if state.st_uid not in (os.getuid(), identity.UNPRIVILEGED) or stat.S_IMODE(state.st_mode) not in MODES:
                continue
            if stat.S_ISDIR(state.st_mode):
                remove(path)
            else:
                path.unlink()
