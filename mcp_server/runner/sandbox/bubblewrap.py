"""T2: bubblewrap. Own namespaces for processes, network, mounts, users and IPC; nothing survives the command.

Promises: no network, no sight of other processes, private tmp, shm and home in memory, of the file system only what is
listed, and of the kernel nothing that can be set. The namespace dies with the process that started it, even when that
one is killed with SIGKILL: so it must be spawned from the main thread (the kernel watches the thread, not the process).

An ordinary user's command runs in a user namespace. Where root started the lab, root makes the mounts and `confine`
turns into an unprivileged user inside: in a user namespace of root's the command would still be root to the kernel.
"""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from mcp_server.runner.sandbox import identity, launch
from mcp_server.runner.sandbox.confinement import (
    PRIVATE_HOME,
    Confinement,
    gpu_devices,
    interpreter_paths,
    system_paths,
)

MEMORY_FOLDERS = ("/tmp", "/var/tmp", "/dev/shm", PRIVATE_HOME)
# Of /proc, beside processes: what programs count processors, memory and devices by. Everything else is about others.
PROC = frozenset(
    {
        *("cgroups", "cmdline", "cpuinfo", "devices", "diskstats", "driver", "filesystems", "loadavg", "meminfo"),
        *("misc", "modules", "partitions", "stat", "swaps", "sys", "uptime", "version", "vmstat"),
    }
)
EMPTY_FOLDERS = ("/home", "/root", "/run")  # places to hang mounts on, read-only themselves
# every namespace but the user's
ALWAYS = (
    *("--unshare-ipc", "--unshare-pid", "--unshare-net", "--unshare-uts", "--unshare-cgroup-try"),
    *("--die-with-parent", "--new-session", "--cap-drop", "ALL"),
)
OF_A_USER = ("--unshare-user",)
OF_ROOT = tuple(
    word for name in ("SETUID", "SETGID", "SETPCAP", "DAC_READ_SEARCH") for word in ("--cap-add", f"CAP_{name}")
)


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


@cache
def uid_inside() -> int | None:
    """The user a command becomes inside, None for the user who started the lab. Found out by trying once."""
    path = program()
    if path is None or not identity.can_change():
        return None
    # in a container root may lack the right to mount without a user namespace
    trial = [path, *ALWAYS, *OF_ROOT, "--ro-bind", "/", "/", "--proc", "/proc", "--", "/bin/true"]
    done = subprocess.run(trial, env={}, stdin=subprocess.DEVNULL, capture_output=True, check=False)
    return identity.UNPRIVILEGED if done.returncode == 0 else None


def wrap(argv: Sequence[str], confinement: Confinement) -> list[str]:
    """bubblewrap's command line for `argv`; see `sandbox.wrap`."""
    uid = uid_inside()
    command = [program() or "bwrap", *ALWAYS, *(OF_A_USER if uid is None else OF_ROOT)]
    # without --clearenv the caller's empty environment does the same
    wanted = ("--clearenv", "--disable-userns") if uid is None else ("--clearenv",)
    command += [option for option in wanted if option in options()]
    command += _mounts(confinement)
    if "LD_LIBRARY_PATH" in confinement.env:  # the launcher's interpreter may need it as the command's does
        command += ["--setenv", "LD_LIBRARY_PATH", confinement.env["LD_LIBRARY_PATH"]]
    command += ["--chdir", str(confinement.cwd), "--"]
    if uid is not None:
        identity.give([confinement.places.get(path, path) for path in confinement.write], uid)
    env = {"HOME": PRIVATE_HOME, "TMPDIR": "/tmp", **confinement.env}
    # In a user namespace of its own the kernel counts this sandbox alone, else all that the user inside has anywhere.
    tasks = confinement.tasks
    if tasks is not None and uid is not None:
        tasks += identity.tasks(uid)
    return [*command, *launch.inside(argv, confinement, env, uid=uid, tasks=tasks, folders=MEMORY_FOLDERS)]


def _mounts(confinement: Confinement) -> list[str]:
    """Mount options, parents before children, so that the more precise entry always wins."""
    entries: dict[Path, list[str]] = {}
    for folder in (*MEMORY_FOLDERS, *EMPTY_FOLDERS):
        entries[Path(folder)] = ["--tmpfs", folder]
    entries[Path("/proc")] = ["--proc", "/proc"]
    entries |= _settings()
    entries[Path("/dev")] = ["--dev", "/dev"]
    for path in (*system_paths(gpus=bool(confinement.gpus)), *interpreter_paths(), *confinement.read):
        entries[path] = _read(path, confinement.places.get(path, path))
    for path in gpu_devices(confinement.gpus):
        entries[path] = ["--dev-bind", str(path), str(path)]
    for path in confinement.hide:
        entries[path] = ["--tmpfs", str(path)] if path.is_dir() else ["--ro-bind", "/dev/null", str(path)]
    for path in confinement.write:
        entries[path] = ["--bind", str(confinement.places.get(path, path)), str(path)]
    for name, target in confinement.home.items():
        entries[Path(PRIVATE_HOME) / name] = ["--symlink", str(target), f"{PRIVATE_HOME}/{name}"]
    hidden = set(confinement.hide)
    visible = [path for path in entries if path not in hidden]
    words: list[str] = []
    shut = ["/", "/dev", *EMPTY_FOLDERS]
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


def _settings() -> dict[Path, list[str]]:
    """Mounts over what in /proc is no process: read-only or absent.

    A fresh /proc lets the owner of its files write, and that is root, also one without any capability: 763 sysctls.
    """
    mounts: dict[Path, list[str]] = {}
    for entry in os.scandir("/proc"):
        if entry.name.isdigit() or entry.is_symlink():
            continue
        if entry.name in PROC:
            mounts[Path(entry.path)] = ["--ro-bind", entry.path, entry.path]
        elif entry.is_dir(follow_symlinks=False):
            mounts[Path(entry.path)] = ["--tmpfs", entry.path, "--remount-ro", entry.path]
        else:
            mounts[Path(entry.path)] = ["--ro-bind", "/dev/null", entry.path]
    return mounts
