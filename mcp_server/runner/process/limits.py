"""What a command may use beside its time: memory, processes, output. The first limit crossed ends it."""

from __future__ import annotations

import contextlib
import math
import os
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mcp_server.nouns.records import Budget
from mcp_server.runner.machine import cgroup, proc
from mcp_server.runner.machine.proc import Stat
from mcp_server.runner.machine.tree import Tree, Usage
from mcp_server.runner.seal import MOST_FILES, MOST_PATH

GIGABYTE = 1e9
MEMORY_SHARE = 0.85  # of what the machine had free at the start, unless the arena says otherwise
TASKS_PER_PROCESS = 16  # the kernel counts threads as well
MEMORY_FOLDERS = ("tmp", "dev/shm", "home", "var/tmp")  # of a T2 sandbox: files there are memory


def available_memory() -> float:
    """Bytes that programs of ours can still get, without swapping or being killed for it; 0 where nobody tells."""
    told = proc.counts("/proc/meminfo").get("MemAvailable")
    free = min(cgroup.free_memory(), math.inf if told is None else told * 1024.0)
    return 0.0 if free == math.inf else max(1.0, free)


@dataclass(frozen=True)
class Limits:
    """In bytes and counts."""

    memory_bytes: float
    processes: int
    output_bytes: float

    @classmethod
    def of(cls, budget: Budget, free_bytes: float) -> Limits:
        """The arena's limits; without one for memory, most of what is free now."""
        memory = budget.memory_gb * GIGABYTE if budget.memory_gb else free_bytes * MEMORY_SHARE or float("inf")
        return cls(memory, budget.processes, budget.output_gb * GIGABYTE)

    @property
    def tasks(self) -> int:
        """Processes and threads."""
        return self.processes * TASKS_PER_PROCESS


@dataclass(frozen=True)
class Crossed:
    """A limit that was crossed: reason code and a sentence."""

    reason: str
    detail: str


def crossed(limits: Limits, usage: Usage, tree: Tree, sandbox_pid: int | None) -> Crossed | None:
    """Whether memory or processes are over the limit now. `sandbox_pid`: somebody inside a T2 sandbox, else None."""
    if usage.processes > limits.processes:
        return Crossed(
            "too_many_processes", f"It ran {usage.processes} processes at once; {limits.processes} are allowed."
        )
    in_files = memory_files(sandbox_pid)
    if usage.resident_bytes + in_files <= limits.memory_bytes:
        return None
    # The cheap sum counts shared pages once per process; only when it says too much is the exact one worth its time.
    exact = exact_memory(tree.members, in_files)
    if exact <= limits.memory_bytes:
        return None
    return Crossed(
        "out_of_memory",
        f"It used {exact / GIGABYTE:.2f} GB of main memory; {limits.memory_bytes / GIGABYTE:.2f} GB are allowed.",
    )


def memory_files(sandbox_pid: int | None) -> float:
    """Bytes in a sandbox's own in-memory folders."""
    total = 0.0
    if sandbox_pid is not None:
        # while the sandbox is being built its root is still the host's, whose folders are not the run's memory
        seen = _devices("/")
        for folder in MEMORY_FOLDERS:
            with contextlib.suppress(OSError):
                path = f"/proc/{sandbox_pid}/root/{folder}"
                device = os.stat(path).st_dev
                if device not in seen:
                    seen.add(device)
                    space = os.statvfs(path)
                    total += (space.f_blocks - space.f_bfree) * space.f_frsize
    return total


def _devices(root: str) -> set[int]:
    """The file systems of the in-memory folders below `root`, and of `root` itself."""
    found: set[int] = set()
    for folder in ("", *MEMORY_FOLDERS):
        with contextlib.suppress(OSError):
            found.add(os.stat(f"{root}/{folder}").st_dev)
    return found


def exact_memory(processes: Sequence[Stat], in_files: float) -> float:
    """Bytes that would come free if the processes were gone: each shared page once, files in memory once."""
    anonymous, shared = 0.0, 0.0
    for process in processes:
        told = proc.counts(f"/proc/{process.pid}/smaps_rollup")
        # a kernel before 5.4, or a process whose first thread has left
        anonymous += told["Pss_Anon"] * 1024 if "Pss_Anon" in told else process.resident_bytes
        shared += told.get("Pss_Shmem", 0) * 1024
    return anonymous + max(shared, in_files)


def kernel_kills() -> int:
    """How often the kernel has killed a process of this machine for want of memory; 0 where it does not tell."""
    return proc.counts("/proc/vmstat").get("oom_kill", 0)


def output(folders: Sequence[Path], limits: Limits) -> Crossed | None:
    """Whether the run has written more than it may. Looks at sizes only, follows nothing."""
    total, files = 0, 0
    waiting = [(str(folder), len(str(folder)) + 1) for folder in folders]
    while waiting:
        place, below = waiting.pop()
        with contextlib.suppress(OSError), os.scandir(place) as entries:
            for entry in entries:
                files += 1
                with contextlib.suppress(OSError):  # it was removed meanwhile
                    state = entry.stat(follow_symlinks=False)
                    total += state.st_size if stat.S_ISREG(state.st_mode) else 0
                    if stat.S_ISDIR(state.st_mode):
                        waiting.append((entry.path, below))
                if total > limits.output_bytes:
                    return Crossed(
                        "output_too_large",
                        f"It wrote {total / GIGABYTE:.3f} GB to its output folder; "
                        f"{limits.output_bytes / GIGABYTE:.3f} GB are allowed.",
                    )
                if files > MOST_FILES:
                    return Crossed("output_too_large", f"It wrote more than {MOST_FILES} files to its output folder.")
                if len(os.fsencode(entry.path[below:])) > MOST_PATH:
                    return Crossed("output_too_large", f"It made folders in folders, to {MOST_PATH} bytes of name.")
    return None
