"""The system calls of a host by which it could leave something for another process to find, as filters. Pure.

Two sandboxes see the same files of the system, and the kernel remembers for all what anybody did with them: names that
were asked for, there or not, are answered sooner the next time; a process that waits at a word of a mapped file is
woken by whoever has mapped it; a lock on a file is in the way of another. None of these can be refused to a program
that still has modules to load. So a host's are counted, by a filter that asks the evaluator about each
(`scoring.watch`), and what cannot be counted is refused.
"""

from __future__ import annotations

import errno
import platform
import struct

from mcp_server.runner.sandbox.calls import ABSENT, MACHINES, X32

Numbers = dict[str, tuple[int | None, int | None]]  # on x86-64; generic, as in `calls`

NAMES: Numbers = {
    **{"open": (2, None), "stat": (4, None), "lstat": (6, None), "access": (21, None), "execve": (59, 221)},
    **{"truncate": (76, 45), "chdir": (80, 49), "rename": (82, None), "mkdir": (83, None), "rmdir": (84, None)},
    **{"creat": (85, None), "link": (86, None), "unlink": (87, None), "symlink": (88, None), "readlink": (89, None)},
    **{"chmod": (90, None), "chown": (92, None), "lchown": (94, None), "utime": (132, None), "mknod": (133, None)},
    **{"statfs": (137, 43), "getxattr": (191, 8), "lgetxattr": (192, 9), "listxattr": (194, 11)},
    **{"llistxattr": (195, 12), "utimes": (235, None), "openat": (257, 56), "mkdirat": (258, 34), "mknodat": (259, 33)},
    **{"fchownat": (260, 54), "futimesat": (261, None), "newfstatat": (262, 79), "unlinkat": (263, 35)},
    **{"renameat": (264, 38), "linkat": (265, 37), "symlinkat": (266, 36), "readlinkat": (267, 78)},
    **{"fchmodat": (268, 53), "faccessat": (269, 48), "utimensat": (280, 88), "renameat2": (316, 276)},
    **{"execveat": (322, 281), "statx": (332, 291), "openat2": (437, 437), "faccessat2": (439, 439)},
    **{"fchmodat2": (452, 452), "getxattrat": (464, 464), "listxattrat": (465, 465)},
    # of unix sockets, which are found by name
    **{"connect": (42, 203), "bind": (49, 200), "sendto": (44, 206)},
}
LOCKS: Numbers = {"flock": (73, 32)}
WAKES: Numbers = {"futex_wake": (454, 454), "futex_requeue": (456, 456)}
# They name a socket too, but handing the filter's descriptor over is done with one of them.
REFUSED: Numbers = {"sendmsg": (46, 211), "sendmmsg": (307, 269)}
FCNTL, FCNTL_LOCKS = (72, 25), (6, 7, 37, 38)  # F_SETLK, F_SETLKW and those of open files
FUTEX, FUTEX_PRIVATE, FUTEX_COMMAND, FUTEX_WAITS = (202, 98), 0x80, 0x7F, (0, 9)  # of this process; WAIT, WAIT_BITSET

# include/uapi/linux/bpf_common.h, seccomp.h
_LOAD, _EQUAL, _ANY_BIT, _AND, _AT_LEAST, _RETURN = 0x20, 0x15, 0x45, 0x54, 0x35, 0x06
_ALLOW, _ERRNO, _ASK, _KILL = 0x7FFF0000, 0x00050000, 0x7FC00000, 0x80000000
_Line = tuple[int, int, int, int]


def counted(machine: str | None = None) -> bytes:
    """The filter that asks whoever watches about each call that leaves a trace; empty for an unknown processor."""
    machine = machine or platform.machine()
    if machine not in MACHINES:
        return b""
    column = MACHINES[machine][1]
    lines = _begin(machine)
    for calls in (NAMES, LOCKS, WAKES):
        lines += [line for numbers in calls.values() for line in _ask(numbers[column])]
    fcntl = [(_LOAD, 0, 0, 24), *(line for command in FCNTL_LOCKS for line in _ask(command)), (_RETURN, 0, 0, _ALLOW)]
    futex = [
        (_LOAD, 0, 0, 24),
        (_ANY_BIT, 0, 1, FUTEX_PRIVATE),
        (_RETURN, 0, 0, _ALLOW),
        (_AND, 0, 0, FUTEX_COMMAND),
        *(line for wait in FUTEX_WAITS for line in ((_EQUAL, 0, 1, wait), (_RETURN, 0, 0, _ALLOW))),
        (_RETURN, 0, 0, _ASK),
    ]
    for number, body in ((FCNTL[column], fcntl), (FUTEX[column], futex)):
        lines += [(_EQUAL, 0, len(body), number), *body]
    return _packed([*lines, (_RETURN, 0, 0, _ALLOW)])


def refused(machine: str | None = None) -> bytes:
    """The filter that goes on top, once the first one's descriptor was handed over."""
    machine = machine or platform.machine()
    if machine not in MACHINES:
        return b""
    lines = _begin(machine)
    for numbers in REFUSED.values():
        number = numbers[MACHINES[machine][1]]
        assert number is not None
        lines += [(_EQUAL, 0, 1, number), (_RETURN, 0, 0, _ERRNO | errno.EACCES)]
    return _packed([*lines, (_RETURN, 0, 0, _ALLOW)])


def _begin(machine: str) -> list[_Line]:
    return [
        (_LOAD, 0, 0, 4),
        (_EQUAL, 1, 0, MACHINES[machine][0]),
        (_RETURN, 0, 0, _KILL),
        (_LOAD, 0, 0, 0),
        (_AT_LEAST, 0, 1, X32),
        (_RETURN, 0, 0, _ERRNO | ABSENT),
    ]


def _ask(number: int | None) -> list[_Line]:
    return [] if number is None else [(_EQUAL, 0, 1, number), (_RETURN, 0, 0, _ASK)]


def _packed(lines: list[_Line]) -> bytes:
    return b"".join(struct.pack("=HBBI", *line) for line in lines)
