"""The system calls that a confined command may not make, as one filter for T1 and T2. Pure: tables in, bytes out.

A trainer needs files, memory, threads, processes, pipes and, at T2, sockets of its own network; what it never needs is
refused here. Whatever a later kernel adds stays shut until somebody has read what it does: calls above `REVIEWED` do
not exist inside. A refused call fails with EACCES, or as if the kernel did not have it, which libraries are ready for.
"""

from __future__ import annotations

import errno
import platform
import struct
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

X86, GENERIC = 0, 1  # columns of the tables: x86-64, and the numbers that aarch64 and riscv64 share
# machine: its audit architecture (include/uapi/linux/audit.h) and its column
MACHINES = {"x86_64": (0xC000003E, X86), "aarch64": (0xC00000B7, GENERIC), "riscv64": (0xC00000F3, GENERIC)}
X32 = 0x40000000  # on x86-64 the same calls once more, with pointers of 32 bits
REVIEWED = 466  # removexattrat, Linux 6.13; from 424 on a call has one number everywhere

ABSENT, SUCCEED = errno.ENOSYS, 0  # instead of EACCES: as if the kernel had no such call; as if it had done its work

# Why: the calls, each with its number on x86-64 and its generic number; None where the architecture has none.
REFUSED: dict[str, dict[str, tuple[int | None, int | None]]] = {
    "asynchronous calls that no filter sees": {
        "io_uring_setup": (425, 425),
        "io_uring_enter": (426, 426),
        "io_uring_register": (427, 427),
    },
    "keyrings, which outlive the process": {
        "add_key": (248, 217),
        "request_key": (249, 218),
        "keyctl": (250, 219),
    },
    "another process's memory, files and threads": {
        "ptrace": (101, 117),
        "process_vm_readv": (310, 270),
        "process_vm_writev": (311, 271),
        "process_madvise": (440, 440),
        "process_mrelease": (448, 448),
        "pidfd_getfd": (438, 438),
        "kcmp": (312, 272),
        "rt_sigqueueinfo": (129, 138),  # a stopped process keeps what is queued, with 64 bits in each
        "rt_tgsigqueueinfo": (297, 240),
    },
    "parts of the kernel known for ways out": {
        "bpf": (321, 280),
        "perf_event_open": (298, 241),
        "userfaultfd": (323, 282),
        "modify_ldt": (154, None),
        "uselib": (134, None),
    },
    "other namespaces and mounts": {
        "unshare": (272, 97),
        "setns": (308, 268),
        "mount": (165, 40),
        "umount2": (166, 39),
        "pivot_root": (155, 41),
        "chroot": (161, 51),
        "open_tree": (428, 428),
        "move_mount": (429, 429),
        "fsopen": (430, 430),
        "fsconfig": (431, 431),
        "fsmount": (432, 432),
        "fspick": (433, 433),
        "mount_setattr": (442, 442),
        "statmount": (457, 457),
        "listmount": (458, 458),
    },
    "files by handle, past every folder's rights": {
        "name_to_handle_at": (303, 264),
        "open_by_handle_at": (304, 265),
    },
    "the machine itself": {
        "reboot": (169, 142),
        "kexec_load": (246, 104),
        "kexec_file_load": (320, 294),
        "init_module": (175, 105),
        "finit_module": (313, 273),
        "delete_module": (176, 106),
        "swapon": (167, 224),
        "swapoff": (168, 225),
        "acct": (163, 89),
        "quotactl": (179, 60),
        "quotactl_fd": (443, 443),
        "nfsservctl": (180, 42),
        "lookup_dcookie": (212, 18),
        "syslog": (103, 116),
        "settimeofday": (164, 170),
        "clock_settime": (227, 112),
        "clock_adjtime": (305, 266),
        "adjtimex": (159, 171),
        "sethostname": (170, 161),
        "setdomainname": (171, 162),
        "vhangup": (153, 58),
        "iopl": (172, None),
        "ioperm": (173, None),
        "sysfs": (139, None),
        "_sysctl": (156, None),
        "ustat": (136, None),
    },
    # Host B sleeps while host A is shown the text, but both see the same files of the system. Who is told what somebody
    # else opened, and which of their pages are in memory, can be told anything.
    "what others do with files": {
        "inotify_init": (253, None),
        "inotify_init1": (294, 26),
        "inotify_add_watch": (254, 27),
        "fanotify_init": (300, 262),
        "fanotify_mark": (301, 263),
    },
    # Landlock leaves these alone, and kilobytes fit into the attributes of one file.
    "extended attributes": {
        "setxattr": (188, 5),
        "lsetxattr": (189, 6),
        "fsetxattr": (190, 7),
        "setxattrat": (463, 463),
        "removexattr": (197, 14),
        "lremovexattr": (198, 15),
        "fremovexattr": (199, 16),
        "removexattrat": (466, 466),
    },
}
# Libraries ask whether these work and do without.
MISSING: dict[str, dict[str, tuple[int | None, int | None]]] = {
    "namespaces by a structure that no filter can read; the C library falls back to clone": {"clone3": (435, 435)},
    "which pages of a file are in memory": {
        "mincore": (27, 232),
        "cachestat": (451, 451),
        "io_setup": (206, 0),
    },
}
# Advice about the page cache is taken with thanks and not followed: programs that give it mean no harm.
IGNORED: dict[str, dict[str, tuple[int | None, int | None]]] = {
    "which pages of a file are in memory": {"fadvise64": (221, 223), "readahead": (187, 213)},
}
# At T2 these end at the borders of the namespaces; at T1 they reach every process of the machine.
SHARED_BELOW_T2: dict[str, dict[str, tuple[int | None, int | None]]] = {
    "memory, queues and semaphores of the kernel, which outlive the process": {
        "shmget": (29, 194),
        "shmat": (30, 196),
        "shmctl": (31, 195),
        "shmdt": (67, 197),
        "semget": (64, 190),
        "semop": (65, 193),
        "semctl": (66, 191),
        "semtimedop": (220, 192),
        "msgget": (68, 186),
        "msgsnd": (69, 189),
        "msgrcv": (70, 188),
        "msgctl": (71, 187),
        "mq_open": (240, 180),
        "mq_unlink": (241, 181),
    },
    "sockets": {"socket": (41, 198)},
    "signals with 64 bits in each": {"pidfd_send_signal": (424, 424)},
    "the priority of a user's other processes": {"setpriority": (141, 140), "ioprio_set": (251, 30)},
}


@dataclass(frozen=True)
class Argument:
    """One argument's lower 32 bits: equal to `value` (or not), or without any of its bits."""

    argument: int
    kind: str  # "is", "is not", "without"
    value: int


@dataclass(frozen=True)
class Limited:
    """A call that is allowed if all tests of one way hold, and else refused with `error`."""

    numbers: tuple[int | None, int | None]
    ways: tuple[tuple[Argument, ...], ...]
    error: int = errno.EACCES


AF_UNIX, AF_INET, AF_INET6, AF_NETLINK = 1, 2, 10, 16
NEW_NAMESPACES = 0x7E020000  # every CLONE_NEW* that clone can take
SET_ID = 0o6000  # setuid and setgid
F_SETLEASE, F_NOTIFY = 1024, 1026
MADV_COLD, MADV_PAGEOUT = 20, 21
RWF_NOWAIT = 8  # fails where a page is not in memory
TIOCSTI, TIOCLINUX = 0x5412, 0x541C  # type into a terminal


def _families() -> tuple[tuple[Argument, ...], ...]:
    """Sockets at T2, in a network of its own: unix, and IP over TCP and UDP; of netlink, what lists interfaces."""
    internet = tuple(
        (Argument(0, "is", family), Argument(2, "is", protocol))
        for family in (AF_INET, AF_INET6)
        for protocol in (0, 6, 17)  # the usual one, TCP, UDP
    )
    return ((Argument(0, "is", AF_UNIX),), *internet, (Argument(0, "is", AF_NETLINK), Argument(2, "is", 0)))


LIMITED: dict[str, Limited] = {
    "clone": Limited((56, 220), ((Argument(0, "without", NEW_NAMESPACES),),)),
    "socketpair": Limited((53, 199), ((Argument(0, "is", AF_UNIX),),)),
    "fcntl": Limited((72, 25), ((Argument(1, "is not", F_SETLEASE), Argument(1, "is not", F_NOTIFY)),)),
    "ioctl": Limited((16, 29), ((Argument(1, "is not", TIOCSTI), Argument(1, "is not", TIOCLINUX)),)),
    "madvise": Limited((28, 233), ((Argument(2, "is not", MADV_COLD), Argument(2, "is not", MADV_PAGEOUT)),)),
    "preadv2": Limited((327, 286), ((Argument(5, "without", RWF_NOWAIT),),), errno.EOPNOTSUPP),
    "chmod": Limited((90, None), ((Argument(1, "without", SET_ID),),)),
    "fchmod": Limited((91, 52), ((Argument(1, "without", SET_ID),),)),
    "fchmodat": Limited((268, 53), ((Argument(2, "without", SET_ID),),)),
    "fchmodat2": Limited((452, 452), ((Argument(2, "without", SET_ID),),)),
}
LIMITED_AT_T2 = {"socket": Limited((41, 198), _families())}
SOCK_DGRAM = 2  # a bit of its own and of SOCK_RAW: one of a pair of these can turn to any unix socket that has a name
# At T1 another process of the user can be seen, and 64 bits fit into each of its limits.
LIMITED_BELOW_T2 = {
    "socketpair": Limited((53, 199), ((Argument(0, "is", AF_UNIX), Argument(1, "without", SOCK_DGRAM)),)),
    "prlimit64": Limited((302, 261), ((Argument(0, "is", 0),),)),
    "sched_setaffinity": Limited((203, 122), ((Argument(0, "is", 0),),)),
    "sched_setscheduler": Limited((144, 119), ((Argument(0, "is", 0),),)),
    "sched_setparam": Limited((142, 118), ((Argument(0, "is", 0),),)),
    "sched_setattr": Limited((314, 274), ((Argument(0, "is", 0),),)),
}

# Instructions of classic BPF, include/uapi/linux/bpf_common.h, and answers of include/uapi/linux/seccomp.h
_LOAD, _EQUAL, _ABOVE, _AT_LEAST, _ANY_BIT, _RETURN = 0x20, 0x15, 0x25, 0x35, 0x45, 0x06
_ALLOW, _ERRNO, _KILL = 0x7FFF0000, 0x00050000, 0x80000000
_Line = tuple[int, int, int, int]


def limited(walls_of_namespaces: bool) -> dict[str, Limited]:
    """The calls that are allowed in part."""
    return {**LIMITED, **(LIMITED_AT_T2 if walls_of_namespaces else LIMITED_BELOW_T2)}


def refused(walls_of_namespaces: bool) -> Iterator[tuple[str, tuple[int | None, int | None], int]]:
    """(name, numbers, error) of the calls that are never allowed."""
    tables = [(REFUSED, errno.EACCES), (MISSING, ABSENT), (IGNORED, SUCCEED)]
    if not walls_of_namespaces:
        tables.append((SHARED_BELOW_T2, errno.EACCES))
    for table, error in tables:
        for calls in table.values():
            for name, numbers in calls.items():
                yield name, numbers, error


def known(machine: str | None = None) -> bool:
    """Whether there is a filter for this kind of processor."""
    return (machine or platform.machine()) in MACHINES


def numbers(names: Collection[str]) -> list[int]:
    """The numbers that these refused calls have on this machine."""
    column = MACHINES[platform.machine()][1]
    found = {name: columns[column] for name, columns, _ in refused(walls_of_namespaces=True)}
    return [number for name in names if (number := found[name]) is not None]


def program(walls_of_namespaces: bool, machine: str | None = None) -> bytes:
    """The filter for T2 (True) or T1 (False), as the kernel takes it; empty for an unknown kind of processor."""
    machine = machine or platform.machine()
    if machine not in MACHINES:
        return b""
    architecture, column = MACHINES[machine]
    lines: list[_Line] = [
        (_LOAD, 0, 0, 4),
        (_EQUAL, 1, 0, architecture),
        (_RETURN, 0, 0, _KILL),  # programs of 32 bits have other numbers for everything
        (_LOAD, 0, 0, 0),
        (_AT_LEAST, 0, 1, X32),
        (_RETURN, 0, 0, _ERRNO | ABSENT),
    ]
    for call in limited(walls_of_namespaces).values():
        number = call.numbers[column]
        if number is not None:
            body = _ways(call)
            lines += [(_EQUAL, 0, len(body), number), *body]
    for _, numbers, error in refused(walls_of_namespaces):
        number = numbers[column]
        if number is not None:
            lines += [(_EQUAL, 0, 1, number), (_RETURN, 0, 0, _ERRNO | error)]
    lines += [(_ABOVE, 0, 1, REVIEWED), (_RETURN, 0, 0, _ERRNO | ABSENT), (_RETURN, 0, 0, _ALLOW)]
    return b"".join(struct.pack("=HBBI", *line) for line in lines)


def _ways(call: Limited) -> list[_Line]:
    lines: list[_Line] = []
    for way in call.ways:
        lines += _way(way)
    return [*lines, (_RETURN, 0, 0, _ERRNO | call.error)]


def _way(tests: Sequence[Argument]) -> list[_Line]:
    """Allows if all tests hold; else goes on behind itself. A line says how many lines to leave out if so, if not."""
    lines: list[_Line] = []
    total = 2 * len(tests) + 1
    for index, test in enumerate(tests):
        rest = total - 2 * index - 2  # behind this pair
        lines.append((_LOAD, 0, 0, 16 + 8 * test.argument))
        match test.kind:
            case "is":
                lines.append((_EQUAL, 0, rest, test.value))
            case "is not":
                lines.append((_EQUAL, rest, 0, test.value))
            case _:
                lines.append((_ANY_BIT, rest, 0, test.value))
    return [*lines, (_RETURN, 0, 0, _ALLOW)]
