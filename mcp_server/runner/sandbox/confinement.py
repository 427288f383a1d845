"""What one confined command may see and do, and what of the system every Python program needs to see."""

from __future__ import annotations

import os
import site
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import mcp_server

PRIVATE_HOME = "/home/researcher"  # inside a T2 sandbox: an empty home nobody else has seen
SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/nix/store", "/gnu/store")
GPU_SYSTEM = ("/sys", "/opt/cuda", "/opt/nvidia", "/run/opengl-driver")  # where some systems keep drivers and libraries
# A short list, for /etc also holds secrets that the same user may read (the root user: all of them).
ETC = (
    *("/etc/ld.so.cache", "/etc/ld.so.conf", "/etc/ld.so.conf.d", "/etc/alternatives", "/etc/localtime"),
    *("/etc/nsswitch.conf", "/etc/passwd", "/etc/group"),
)
# OpenMP, torch and numpy count processors, caches and memory nodes here.
SYSFS = ("/sys/devices/system", "/sys/fs/cgroup")
GPU_DEVICES = ("nvidiactl", "nvidia-uvm", "nvidia-uvm-tools", "nvidia-modeset", "nvidia-caps", "dxg")


@dataclass(frozen=True)
class Confinement:
    """What a command may touch. Everything else of the machine is absent (T2), refused (T1), or open (T0)."""

    read: tuple[Path, ...]
    write: tuple[Path, ...]
    cwd: Path
    env: Mapping[str, str]
    fds: tuple[int, ...] = ()
    gpus: tuple[int, ...] = ()  # N of each card's /dev/nvidiaN
    hide: tuple[Path, ...] = ()  # folders and files to leave out although they lie in something readable
    home: Mapping[str, Path] = field(default_factory=dict)  # links in T2's own home; below T2 `scratch` has them
    scratch: Path | None = None  # HOME and TMPDIR below T2, made and removed by the caller; T2 makes its own in memory
    shared_memory: bool = False  # /dev/shm below T2, where all processes share it; at T2 each command has its own
    # where a folder of `read` or `write` really lies, if not at its name (T2 alone can show it under another)
    places: Mapping[Path, Path] = field(default_factory=dict)
    tasks: int | None = None  # processes and threads of one user, where the kernel can count them


def library_folders() -> tuple[str, ...]:
    """Those of LD_LIBRARY_PATH. A relative one is wherever a program happens to be: where an attempt's files lie."""
    return tuple(folder for folder in os.environ.get("LD_LIBRARY_PATH", "").split(":") if os.path.isabs(folder))


@cache
def interpreter_paths() -> tuple[Path, ...]:
    """Everything this interpreter and its packages are loaded from, symbolic links and editable installs included."""
    found = [sys.prefix, sys.exec_prefix, sys.base_prefix, sys.base_exec_prefix, os.path.dirname(mcp_server.__file__)]
    packages = [Path(folder) for folder in site.getsitepackages() if os.path.isdir(folder)]
    for pth in sorted(file for folder in packages for file in folder.glob("*.pth")):
        for line in pth.read_text(encoding="utf-8", errors="replace").splitlines():
            # mcp_server's own line is an editable checkout of which only the package (above) is needed
            if line.startswith("/") and os.path.isdir(line) and not os.path.isdir(os.path.join(line, "mcp_server")):
                found.append(line)
    found += [folder for folder in library_folders() if os.path.isdir(folder)]
    # a prefix may be reached through a link (uv, Homebrew, pyenv): both names must exist inside
    every = dict.fromkeys(name for path in found for name in (path, os.path.realpath(path)))
    return tuple(Path(path) for path in every if path != "/")


def system_paths(gpus: bool) -> tuple[Path, ...]:
    """What a Python program may read of the system."""
    paths = [*SYSTEM, *ETC, *(GPU_SYSTEM if gpus else SYSFS)]
    return tuple(Path(path) for path in paths if os.path.exists(path))


def gpu_devices(gpus: tuple[int, ...]) -> tuple[Path, ...]:
    """Device files of these cards; of no other card."""
    if not gpus:
        return ()
    names = [*(f"nvidia{number}" for number in gpus), *GPU_DEVICES]
    return tuple(path for path in (Path("/dev") / name for name in names) if path.exists())
