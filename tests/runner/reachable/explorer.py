"""Runs inside a sandbox: what can be read, written, opened and called from there, as one JSON object on stdout.

Nothing is written but one file in each folder that takes it, which is removed again; settings are opened, not set.
"""

import ctypes
import errno
import json
import os
import platform
import socket
import stat
import sys

libc = ctypes.CDLL(None, use_errno=True)


def readable(path: str) -> bool:
    """Whether a file's first byte can be read, or a folder can be listed and holds something."""
    try:
        if os.path.isdir(path):
            return bool(os.listdir(path))
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY)
    except OSError:
        return False
    try:
        return bool(os.read(fd, 1))
    except OSError as error:
        return error.errno == errno.EAGAIN
    finally:
        os.close(fd)


def writable(path: str) -> bool:
    """Whether a file can be opened for writing, or a folder takes a new file."""
    try:
        if os.path.isdir(path):
            new = os.path.join(path, f"written-by-the-explorer-{os.getpid()}")
            os.close(os.open(new, os.O_WRONLY | os.O_CREAT, 0o600))
            os.unlink(new)
        else:
            os.close(os.open(path, os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY))
    except OSError:
        return False
    return True


def settings() -> list[str]:
    """Every file of /proc and /sys, but for those of processes, that can be opened for writing."""
    found = []
    for top in ("/proc", "/sys"):
        for place, folders, files in os.walk(top):
            if place == "/proc":
                folders[:] = [name for name in folders if not name.isdigit() and name not in ("self", "thread-self")]
            for name in files:
                path = os.path.join(place, name)
                if stat.S_ISREG(os.lstat(path).st_mode) and writable(path):
                    found.append(path)
    return found


def sockets() -> list[str]:
    """Families, types and protocols for which the kernel makes a socket or a pair."""
    names = {number: name for name, number in vars(socket).items() if name[:3] == "AF_" and name != "AF_ROUTE"}
    kinds = {1: "stream", 2: "datagram", 3: "raw", 4: "rdm", 5: "seqpacket"}
    found = []
    for family in range(64):
        name = names.get(family, f"family {family}")
        for kind, word in kinds.items():
            for protocol in (0, 1, 6, 17, 132, 255, 262):
                try:
                    socket.socket(family, kind, protocol).close()
                except OSError:
                    continue
                found.append(f"{name} {word} {protocol}")
        try:
            for end in socket.socketpair(family, socket.SOCK_STREAM):
                end.close()
            found.append(f"{name} pair")
        except OSError:
            pass
    return found


def answers(calls: dict[str, int]) -> dict[str, str]:
    """What the kernel says to each call with arguments that mean nothing."""
    said = {}
    for name, number in calls.items():
        ctypes.set_errno(0)
        result = libc.syscall(number, *(ctypes.c_long(0),) * 6)
        said[name] = "succeeds" if result >= 0 else errno.errorcode[ctypes.get_errno()]
    return said


def in_a_child(act) -> str:
    """ "done", the error's name, or the signal that ended it, of an act that might end its process."""
    ours, theirs = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            act()
            os.write(theirs, b"done")
        except OSError as error:
            os.write(theirs, errno.errorcode[error.errno].encode())
        os._exit(0)
    os.close(theirs)
    _, status = os.waitpid(child, 0)
    said = os.read(ours, 64).decode()
    os.close(ours)
    return said or f"signal {os.WTERMSIG(status)}"


def call(number: int, *arguments: int):
    def act() -> None:
        if libc.syscall(number, *(ctypes.c_long(argument) for argument in arguments)) < 0:
            raise OSError(ctypes.get_errno(), "")

    return act


def special(limited: dict[str, int]) -> dict[str, str]:
    """Calls that are allowed in part, with arguments that are not."""
    with open(sys.executable, "rb") as file:
        fd = file.fileno()
        acts = {
            "clone": (0x10000000 | 17, 0, 0, 0, 0),  # CLONE_NEWUSER
            "fcntl": (fd, 1026, 2),  # F_NOTIFY
            "ioctl": (0, 0x5412, 0),  # TIOCSTI
            "madvise": (0, 0, 21),  # MADV_PAGEOUT
            "preadv2": (fd, 0, 0, 0, 0, 8),  # RWF_NOWAIT
            "fchmod": (fd, 0o4755),
            "prlimit64": (1, 7, 0, 0),
            "sched_setaffinity": (1, 0, 0),
        }
        return {name: in_a_child(call(limited[name], *acts[name])) for name in acts if name in limited}


order = json.load(sys.stdin)
with open("/proc/self/status") as status:
    capabilities = next(line.split()[1] for line in status if line.startswith("CapEff:"))
print(
    json.dumps(
        {
            "uid": os.getuid(),
            "capabilities": int(capabilities, 16),
            "processes": sum(name.isdigit() for name in os.listdir("/proc")),
            "machine": platform.machine(),
            "readable": [path for path in order["paths"] if readable(path)],
            "writable": [path for path in order["paths"] if writable(path)],
            "settings": settings(),
            "sockets": sockets(),
            "refused": answers(order["refused"]),
            "special": special(order["limited"]),
            "fds": sorted(os.listdir("/proc/self/fd"), key=int),
        }
    )
)
