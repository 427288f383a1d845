"""What the kernel tells in /proc of processes and of the machine, read in this one place; empty where there is none.

Our own and not psutil: a run's tree is looked at several times a second, through every process, and that costs a
fifth here (dev/LOG.md). Only the sandbox, which stands lower, counts its own tasks and capabilities itself.
"""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass

TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True)
class Stat:
    """One line of /proc/<pid>/stat. Times in seconds."""

    pid: int
    parent: int
    group: int
    state: str
    own_seconds: float
    waited_seconds: float  # of children that ended and were waited for, theirs included
    started: int  # in clock ticks since boot; with the pid it names a process for good
    resident_bytes: int


def pids() -> set[int]:
    """Every process of the machine."""
    return _numbers("/proc")


def threads(pid: int) -> set[int]:
    """Of a process; none where there is no such process."""
    return _numbers(f"/proc/{pid}/task")


def _numbers(folder: str) -> set[int]:
    with contextlib.suppress(OSError):
        return {int(name) for name in os.listdir(folder) if name.isdigit()}
    return set()


def read_stat(pid: int) -> Stat | None:
    """None if there is no such process."""
    words = _stat_words(f"/proc/{pid}/stat")
    if words is None:
        return None
    state, resident = words[0].decode(), int(words[21])
    if state == "Z" and int(words[17]) > 1:
        # its first thread has left; what the others hold is only told by one of them
        state, resident = _of_another_thread(pid)
    return Stat(
        pid=pid,
        parent=int(words[1]),
        group=int(words[2]),
        state=state,
        own_seconds=(int(words[11]) + int(words[12])) / TICKS_PER_SECOND,
        waited_seconds=(int(words[13]) + int(words[14])) / TICKS_PER_SECOND,
        started=int(words[19]),
        resident_bytes=resident * PAGE_BYTES,
    )


def _stat_words(path: str) -> list[bytes] | None:
    """The words behind the name, which may hold brackets and blanks itself."""
    try:
        with open(path, "rb", buffering=0) as file:
            line = file.read(4096)
    except OSError:
        return None
    words = line[line.rfind(b")") + 2 :].split()
    return words if len(words) >= 22 else None


def _of_another_thread(pid: int) -> tuple[str, int]:
    """(state, resident pages) of a thread that is not the first."""
    for thread in threads(pid) - {pid}:
        words = _stat_words(f"/proc/{pid}/task/{thread}/stat")
        if words is not None:
            return words[0].decode(), int(words[21])
    return "Z", 0


def words(pid: int, file: str) -> list[bytes]:
    """What a process was started with: `environ` or `cmdline`; none where it is gone or another user's."""
    with contextlib.suppress(OSError), open(f"/proc/{pid}/{file}", "rb") as found:
        return found.read().split(b"\0")
    return []


def fields(path: str) -> dict[str, str]:
    """A file of `name: value` or `name value` lines; of a name that comes again, the first."""
    found: dict[str, str] = {}
    # names of control groups, for one, are whatever bytes somebody chose
    with contextlib.suppress(OSError), open(path, encoding="utf-8", errors="surrogateescape") as file:
        for line in file:
            name, _, value = line.partition(":" if ":" in line else " ")
            found.setdefault(name.strip(), value.strip())
    return found


def counts(path: str) -> dict[str, int]:
    """The numbers in such a file, without their units."""
    numbers = {name: value.partition(" ")[0] for name, value in fields(path).items()}
    return {name: int(number) for name, number in numbers.items() if number.isdecimal()}


def busy_ticks(*, stolen: bool = False) -> dict[str, int]:
    """Clock ticks worked since boot by each core, `cpu0` and so on, and by all of them, `cpu`.

    stolen: with what a hypervisor gave to others, for whoever asks how much of a core is left.
    """
    found: dict[str, int] = {}
    for name, told in fields("/proc/stat").items():
        if name.startswith("cpu"):
            user, nice, system, _idle, _iowait, irq, softirq, steal, *_ = map(int, told.split())
            found[name] = user + nice + system + irq + softirq + (steal if stolen else 0)
    return found


def runnable() -> int:
    """Threads of the whole machine that run or want to, this one included."""
    with open("/proc/loadavg", "rb", buffering=0) as file:
        return int(file.read(128).split()[3].partition(b"/")[0])


def boot() -> str:
    """Names this start of the machine; "" where it has no name."""
    with contextlib.suppress(OSError), open("/proc/sys/kernel/random/boot_id") as file:
        return file.read().strip()
    return ""
