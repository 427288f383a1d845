"""T1: Landlock and seccomp, put on by `confine` just before the command starts. T0: the same launcher, no walls.

Promises at T1: files outside the lists can neither be read nor written, no sockets and no IPC of the kernel can be
opened, no process outside can be signalled (Linux 6.12 and newer) or traced. Where root started the lab, the command is
an unprivileged user's. Does not promise: an own view of processes, private /tmp, or the end of daemons when the
supervisor itself is killed with SIGKILL. It cannot keep mode, owner or times of files of the same user from being
changed; that needs T2, or root.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from mcp_server.runner.sandbox import identity, launch, sharedmemory
from mcp_server.runner.sandbox.confinement import Confinement, gpu_devices, interpreter_paths, system_paths

HARMLESS_DEVICES = ("null", "zero", "full", "random", "urandom", "tty")


def wrap(argv: Sequence[str], confinement: Confinement, restrict: bool) -> list[str]:
    """The launcher's command line for `argv`; see `sandbox.wrap`."""
    uid = identity.UNPRIVILEGED if restrict and identity.can_change() else None
    own = [path for path in (*confinement.write, confinement.scratch) if path is not None and path.exists()]
    if uid is not None:
        identity.give(own, uid)
    write = [*own, *(Path("/dev") / name for name in HARMLESS_DEVICES), *gpu_devices(confinement.gpus)]
    env = dict(confinement.env)
    if confinement.scratch is not None:
        env = {"HOME": str(confinement.scratch), "TMPDIR": str(confinement.scratch), **env}
    if confinement.shared_memory:
        write.append(sharedmemory.FOLDER)
    read = [*system_paths(gpus=bool(confinement.gpus)), *interpreter_paths(), Path("/proc"), *confinement.read]
    # by their real names: a rule for /lib would be one for all of /usr/lib, and what is hidden there
    hidden = [Path(os.path.realpath(path)) for path in confinement.hide]
    whole, listed = _carved([Path(os.path.realpath(path)) for path in read], hidden)
    files = launch.Files(whole, listed, [path for path in write if path.exists()])
    tasks = confinement.tasks
    return launch.inside(
        argv,
        confinement,
        env,
        uid=uid,
        tasks=None if tasks is None else tasks + identity.tasks(os.getuid() if uid is None else uid),
        parent=os.getpid(),
        files=files if restrict else None,
        walls=restrict,
    )


def _carved(paths: Sequence[Path], hidden: Sequence[Path]) -> tuple[list[Path], list[Path]]:
    """Landlock can only add: (paths readable whole, folders that may be listed because something in them is hidden)."""
    gone, above = set(hidden), {folder for path in hidden for folder in path.parents}
    whole: list[Path] = []
    listed: list[Path] = []
    todo = list(reversed(paths))
    while todo:
        path = todo.pop()
        if path in gone:
            continue
        if path in above and path.is_dir():
            listed.append(path)
            # a rule for a link would be a rule for whatever it points to
            todo += [child for child in sorted(path.iterdir(), reverse=True) if not child.is_symlink()]
        else:
            whole.append(path)
    return whole, listed
