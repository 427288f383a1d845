"""One command as the supervisor holds it: started in its sandbox, heard through pipes, ended with its whole tree.

Must be used from the main thread of a single-threaded process: the kernel kills a sandbox when the thread that started
it ends, and the code between fork and exec is only safe without threads.
"""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import subprocess
import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from mcp_server.nouns.records import Tier
from mcp_server.runner.machine import cores
from mcp_server.runner.machine.tree import Tree
from mcp_server.runner.sandbox import Confinement, wrap

VICTIM_SCORE = 800  # the kernel's out-of-memory killer takes the run before anything else of the user's
FREEZE_LOOKS = 5  # a fork bomb outlives them, and meets its own limit
OWN_PRIORITY = os.getpriority(os.PRIO_PROCESS, 0)


def rise() -> None:
    """Put this process before the ones it watches, where the user may: a fork bomb is killed the sooner."""
    with contextlib.suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, 0, min(OWN_PRIORITY, -10))


@dataclass(frozen=True)
class Pipe:
    """Our end of a pipe, which never blocks, and the other one."""

    ours: int
    theirs: int

    def close_theirs(self) -> None:
        os.close(self.theirs)

    def close_ours(self) -> None:
        os.close(self.ours)


def listening_pipe() -> Pipe:
    """A pipe that we read and a child writes. Raises OSError."""
    ours, theirs = os.pipe()
    os.set_blocking(ours, False)
    return Pipe(ours, theirs)


class Child:
    """A running command; `tree` knows everything it started. Always `end` it."""

    def __init__(self, process: subprocess.Popen[bytes], tier: Tier | None, on: Collection[int] = ()) -> None:
        self._process = process
        self._tier = tier
        self.tree = Tree(process.pid, len(on) or None)
        self.exit_fd = os.pidfd_open(process.pid)  # becomes readable when the command is gone

    @property
    def inside(self) -> int | None:
        """A process inside the T2 sandbox (outside it are bubblewrap and the namespace's first process), or None."""
        members = self.tree.members
        return members[2].pid if self._tier is Tier.T2 and len(members) > 2 else None

    def ask_to_stop(self) -> None:
        """SIGTERM to every process of the command, but not to the sandbox around them, which would take all at once."""
        self.tree.sample(time.monotonic())
        spare: set[int] = set()
        if self._tier is Tier.T2:
            root = self.tree.root
            spare = {root} | {stat.pid for stat in self.tree.members if stat.parent == root}
        self.tree.signal(signal.SIGTERM, frozenset(spare))

    def freeze(self) -> None:
        """SIGSTOP to all of it, and to what it forked while we looked; one that stands still cannot fork."""
        for _ in range(FREEZE_LOOKS):
            moving = {stat.pid for stat in self.tree.members if stat.state not in "TtZX"}
            if not moving:
                break
            self.tree.signal(signal.SIGSTOP, frozenset(stat.pid for stat in self.tree.members) - moving)
            self.tree.sample(time.monotonic())

    def thaw(self) -> None:
        """Let all of it go on."""
        self.tree.signal(signal.SIGCONT)

    def bind(self, to: Collection[int]) -> bool:
        """Bind all that it has started to these cores; False if some of it refused."""
        return cores.bind([stat.pid for stat in self.tree.members], to)

    def end(self) -> bool:
        """Kill whatever is left and forget the child; False if something could not be killed. Harmless to repeat."""
        clean = self.tree.kill()
        if self._process.returncode is not None:
            return clean
        self._process.returncode = self.tree.exit_status if self.tree.exit_status is not None else -signal.SIGKILL
        os.close(self.exit_fd)
        return clean

    @property
    def exit_status(self) -> int:
        """Of the command; valid after `end`. Negative: the signal that ended it."""
        return self._process.returncode


def start(
    argv: Sequence[str],
    confinement: Confinement,
    tier: Tier | None,
    *,
    stdout: int,
    stderr: int,
    largest_file_bytes: int,
    stdin: int = subprocess.DEVNULL,
    on: Collection[int] = (),
) -> Child:
    """Start a confined command, or with tier None a trusted one: same variables, no walls. Raises OSError.

    on: the cores to which it is bound from the beginning; () for all that we have.
    """

    def before_exec() -> None:
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        largest = largest_file_bytes if hard == resource.RLIM_INFINITY else min(hard, largest_file_bytes)
        resource.setrlimit(resource.RLIMIT_FSIZE, (largest, largest))
        os.setpriority(os.PRIO_PROCESS, 0, OWN_PRIORITY)
        with contextlib.suppress(OSError), open("/proc/self/oom_score_adj", "w") as file:
            file.write(str(VICTIM_SCORE))
        if on:
            with contextlib.suppress(OSError):  # a machine may refuse it; whoever binds next finds out
                os.sched_setaffinity(0, on)

    process = subprocess.Popen(
        list(argv) if tier is None else wrap(argv, confinement, tier),
        cwd=confinement.cwd if tier is None else "/",
        env=dict(confinement.env) if tier is None else {},
        stdin=stdin,
        stdout=stdout,
        stderr=stderr,
        pass_fds=confinement.fds,
        start_new_session=True,
        preexec_fn=before_exec,
    )
    return Child(process, tier, on)
