"""T2: bubblewrap. Own namespaces for processes, network, mounts, users and IPC; nothing survives the command.

Promises: no network, no sight of other processes, private tmp, shm and home in memory, and of the file system only
what is listed. The namespace dies with the process that started it, even when that one is killed with SIGKILL: so it
must be spawned from the main thread (the kernel watches the thread, not the process).
"""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from mcp_server.runner.sandbox.confinement import (
    PRIVATE_HOME,
    Confinement,
    gpu_devices,
    interpreter_paths,
    system_paths,
)

MEMORY_FOLDERS = ("/tmp", "/var/tmp", "/dev/shm", PRIVATE_HOME)
EMPTY_FOLDERS = ("/home", "/root", "/run")  # places to hang mounts on, read-only themselves
ALWAYS = ("--unshare-all", "--unshare-user", "--cap-drop", "ALL", "--die-with-parent", "--new-session")


@cache
def program() -> str | None:
    """Path of bubblewrap, or None. It is looked for in the system's folders only, whatever PATH says."""
    return shutil.which("bwrap", path="/usr/bin:/bin:/usr/local/bin:/run/current-system/sw/bin")


@cache
def options() -> frozenset[str]:
    """The options that this installation takes: 0.8 brought --disable-userns, 0.5 --clearenv."""
    path = program()
    if path is None:
        return frozenset()
    # a fixed, short command of a system program
    text = subprocess.run([path, "--help"], capture_output=True, text=True, env={}, check=False)
    known = frozenset(word for word in (text.stdout + text.stderr).split() if word.startswith("--"))
    # installed setuid root it refuses this one
    return known - {"--disable-userns"} if os.stat(path).st_mode & stat.S_ISUID else known


def wrap(argv: Sequence[str], confinement: Confinement) -> list[str]:
    """bubblewrap's command line for `argv`; see `sandbox.wrap`."""
    command = [program() or "bwrap", *ALWAYS]
    # without --clearenv the caller's empty environment does the same
    command += [option for option in ("--disable-userns", "--clearenv") if option in options()]
    command += _mounts(confinement)
    env = {"HOME": PRIVATE_HOME, "TMPDIR": "/tmp", **confinement.env}
    for name, value in env.items():
        command += ["--setenv", name, value]
    command += ["--chdir", str(confinement.cwd), "--"]
    prlimit = shutil.which("prlimit", path="/usr/bin:/bin")
    if confinement.tasks is not None and prlimit is not None and os.getuid() != 0:
        # Set inside the user namespace it counts this sandbox alone; outside it would count all of the user's tasks.
        command += [prlimit, f"--nproc={confinement.tasks}:{confinement.tasks}", "--"]
    return [*command, *argv]


def _mounts(confinement: Confinement) -> list[str]:
    """Mount options, parents before children, so that the more precise entry always wins."""
    entries: dict[Path, list[str]] = {}
    for folder in (*MEMORY_FOLDERS, *EMPTY_FOLDERS):
        entries[Path(folder)] = ["--tmpfs", folder]
    entries[Path("/proc")] = ["--proc", "/proc"]
    entries[Path("/dev")] = ["--dev", "/dev"]
    for path in (*system_paths(gpus=bool(confinement.gpus)), *interpreter_paths(), *confinement.read):
        entries[path] = _read(path, confinement.places.get(path, path))
    for path in gpu_devices(confinement.gpus):
        entries[path] = ["--dev-bind", str(path), str(path)]
    for path in confinement.hide:
        entries[path] = ["--tmpfs", str(path)] if path.is_dir() else ["--ro-bind", "/dev/null", str(path)]
    for path in confinement.write:
        entries[path] = ["--bind", str(confinement.places.get(path, path)), str(path)]
    hidden = set(confinement.hide)
    visible = [path for path in entries if path not in hidden]
    words: list[str] = []
    shut = ["/", *EMPTY_FOLDERS]
    for path in sorted(entries, key=lambda path: len(path.parts)):
        if path in hidden and not (path.exists() and any(parent in visible for parent in path.parents)):
            continue  # nothing there to hide
        words += entries[path]
        if path in hidden and path.is_dir():
            shut.append(str(path))
    # last, when all places for mounts are made; what is mounted inside them keeps its own rights
    return [*words, *(word for path in shut for word in ("--remount-ro", path))]


def _read(path: Path, place: Path) -> list[str]:
    if path.parent == Path("/") and path.is_symlink():  # /bin -> usr/bin
        return ["--symlink", os.readlink(path), str(path)]
    return ["--ro-bind", str(place), str(path)]
