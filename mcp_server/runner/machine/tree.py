"""The processes of one command: everything it started, what they used, and their end.

Promises: a process once seen stays ours, whoever adopts it later; processor seconds never go down and count finished
children, double forks and (as a sampled estimate) children that nobody waited for; `kill` returns when none is left.
It reads /proc from outside, so process namespaces hide nothing from it. The process that calls must be the subreaper of
what it starts (see `adopt_orphans`), so that orphans come to it.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import time
from dataclasses import dataclass
from typing import ClassVar
from weakref import WeakSet

from mcp_server.runner.machine.proc import Stat, pids, read_stat, runnable

PR_SET_CHILD_SUBREAPER = 36
FULL_SCAN_SECONDS = 1.0  # process numbers come round again; look at every process this often


def adopt_orphans() -> None:
    """Make this process the parent of every orphan among its descendants. Raises OSError."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "cannot become the parent of orphaned processes")


@dataclass(frozen=True)
class Usage:
    """What a tree uses now, and the processor seconds it has used so far."""

    processes: int
    cpu_seconds: float
    resident_bytes: int  # pages shared between processes count for each of them


class Tree:
    """All descendants of the children of this process, zombies reaped. `root` is the command itself.

    Of commands that run at the same time each has its own, and an orphan stays with the one that has seen it; only one
    that none has seen goes to whichever looks first. `cores`: how many the command is bound to, None for all.
    """

    _all: ClassVar[WeakSet[Tree]] = WeakSet()

    def __init__(self, root: int, cores: int | None = None) -> None:
        self.root = root
        self._all.add(self)
        self.exit_status: int | None = None  # of the root, as os.waitstatus_to_exitcode gives it
        self._keeper = os.getpid()
        self._members: dict[int, Stat] = {}
        self._strangers: set[int] = set()
        self._full_scan = -FULL_SCAN_SECONDS
        self._sampled = -1.0
        self._gone_seconds = 0.0  # own time of members that are gone, as last seen
        self._reaped_seconds = 0.0  # of members this process waited for, their waited-for children included
        self._running_seconds = 0.0  # the sampled estimate: members seen running x time between looks
        self._running_of: dict[int, float] = {}  # the same, of each member
        self._vanished_seconds = 0.0  # the same, of those that are gone and that this process did not wait for
        self._cpu_seconds = 0.0
        self._processors = len(os.sched_getaffinity(0))
        self._bound = cores or self._processors

    @property
    def members(self) -> tuple[Stat, ...]:
        """As last seen, oldest first."""
        return tuple(sorted(self._members.values(), key=lambda stat: (stat.started, stat.pid)))

    def sample(self, now: float) -> Usage:
        """Look at the tree. `now` is CLOCK_MONOTONIC."""
        self._look(now)
        live = [stat for stat in self._members.values() if stat.state != "Z"]
        running = [stat.pid for stat in live if stat.state == "R"]
        if running and self._sampled >= 0:
            # a runnable process has a processor only as often as the others leave it one
            share = min(1.0, self._bound / len(running), self._processors / max(1, runnable()))
            each = share * min(now - self._sampled, FULL_SCAN_SECONDS)
            self._running_seconds += len(running) * each
            for pid in running:
                self._running_of[pid] = self._running_of.get(pid, 0.0) + each
        self._sampled = now
        return Usage(len(live), self._processor_seconds(), sum(stat.resident_bytes for stat in live))

    def _processor_seconds(self) -> float:
        own = self._gone_seconds + sum(stat.own_seconds for stat in self._members.values())
        waited = self._reaped_seconds + sum(stat.own_seconds + stat.waited_seconds for stat in self._members.values())
        seconds = max(own, waited)
        of_children = self._reaped_seconds + sum(stat.waited_seconds for stat in self._members.values())
        if own > waited * 1.02 + 0.1 or self._vanished_seconds > of_children * 2 + 0.1:
            # Members vanished without being waited for (SIGCHLD ignored): the kernel forgets their time, and those that
            # live shorter than the time between two looks would be free. How often we saw somebody running is fair.
            seconds = max(seconds, self._running_seconds)
        self._cpu_seconds = max(self._cpu_seconds, seconds)
        return self._cpu_seconds

    def _look(self, now: float, killing: bool = False) -> bool:
        """Whether anybody is there, dead or alive, or was there before. Killing comes before reaping; see `_strike`."""
        if now - self._full_scan >= FULL_SCAN_SECONDS:
            self._full_scan = now
            self._strangers.clear()
        listed = pids()
        self._strangers &= listed
        fresh: dict[int, Stat] = {}
        for pid in listed - self._strangers:
            stat = read_stat(pid)
            if stat is not None:
                fresh[pid] = stat
        before, self._members = self._members, {}
        for pid, old in before.items():
            new = fresh.get(pid)
            if new is None or new.started != old.started:
                self._gone_seconds += old.own_seconds
                self._vanished_seconds += self._running_of.pop(pid, 0.0)
            else:
                self._members[pid] = new
        self._adopt({pid: stat for pid, stat in fresh.items() if pid not in self._members})
        found = bool(before or self._members)
        if killing:
            self.signal(signal.SIGKILL)
            self._strike({stat.group for stat in self._members.values()})
        self._reap()
        return found

    def _adopt(self, unknown: dict[int, Stat]) -> None:
        """Sort processes not known yet into members and strangers; a child may be listed before its parent."""
        others = [tree for tree in self._all if tree is not self]
        grown = True
        while grown:
            grown = False
            for pid, stat in list(unknown.items()):
                ours = stat.parent == self._keeper and not any(tree._has(stat) for tree in others)
                if ours or stat.parent in self._members:
                    self._members[pid] = unknown.pop(pid)
                    grown = True
        self._strangers |= unknown.keys()

    def _has(self, stat: Stat) -> bool:
        """Whether it is our command, or was seen among what that started."""
        known = self._members.get(stat.pid)
        if known is None:
            return stat.pid == self.root and self.exit_status is None
        return known.started == stat.started

    def _reap(self) -> None:
        for pid, stat in list(self._members.items()):
            if stat.state == "Z" and stat.parent == self._keeper:
                ended, status, usage = os.wait4(pid, os.WNOHANG)
                if ended != pid:
                    continue  # its first thread is gone, others are still leaving
                self._reaped_seconds += usage.ru_utime + usage.ru_stime
                self._gone_seconds += stat.own_seconds
                self._running_of.pop(pid, None)
                if pid == self.root:
                    self.exit_status = os.waitstatus_to_exitcode(status)
                del self._members[pid]

    def signal(self, number: signal.Signals, spare: frozenset[int] = frozenset()) -> None:
        """Send a signal to every member as last seen, but for those to spare."""
        for stat in self.members:
            if stat.pid not in spare:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.kill(stat.pid, number)

    def kill(self, patience: float = 10.0) -> bool:
        """Kill and reap until a look finds no trace; False if something outlived it all (it hangs in a driver).

        The root goes first: at T2 it takes its whole namespace along at once. Elsewhere a bomb whose processes replace
        each other takes the processor from whoever looks at it, and all that was seen is gone when the look is over. So
        what was seen a moment ago is struck before the first look; and where one finds only dead, they had children.
        """
        deadline = time.monotonic() + patience
        if self._sampled >= 0 and time.monotonic() - self._sampled < FULL_SCAN_SECONDS:
            self._strike({stat.group for stat in self._members.values() if stat.parent == self._keeper})
        while self._look(time.monotonic(), killing=True):
            if time.monotonic() > deadline:
                return False
            time.sleep(0.002)
        return True

    def _strike(self, groups: set[int]) -> None:
        """Kill whole process groups, each in one step of the kernel's: one by one, a bomb grows faster than it dies.

        Of a group whose dead are ours to reap the number is nobody else's until they are reaped.
        """
        for group in groups - {os.getpgrp()}:
            if group > 0:  # those that are dying have none any more
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.killpg(group, signal.SIGKILL)
