"""The launcher of T1 and T0: puts the walls on itself, then becomes the command. Runs alone, as a script.

It imports the standard library only, so that it starts in milliseconds and works under `python -I -S`. A wall that was
asked for and cannot be put up ends the launch with exit code 126 and words on stderr; nothing falls back in silence.
"""

from __future__ import annotations

import ctypes
import json
import os
import platform
import resource
import signal
import struct
import sys

# include/uapi/linux/landlock.h; the system calls have these numbers on every architecture
CREATE_RULESET, ADD_RULE, RESTRICT_SELF = 444, 445, 446
EXECUTE, WRITE_FILE, READ_FILE, READ_DIR = 1 << 0, 1 << 1, 1 << 2, 1 << 3
ABI_1 = (1 << 13) - 1
REFER, TRUNCATE, IOCTL_DEV = 1 << 13, 1 << 14, 1 << 15
FILE_RIGHTS = EXECUTE | WRITE_FILE | READ_FILE | TRUNCATE | IOCTL_DEV
TCP = 0b11  # bind, connect
SCOPES = 0b11  # abstract unix sockets, signals

PR_SET_PDEATHSIG, PR_SET_NO_NEW_PRIVS, PR_SET_SECCOMP, PR_CAPBSET_DROP = 1, 38, 22, 24
CAPABILITIES = 64  # there are 41; the kernel refuses the rest
# Audit architecture, and the numbers of socket and of setting and removing extended attributes (Landlock leaves these
# alone, and kilobytes fit into the attributes of one file).
SECCOMP_MACHINES = {
    "x86_64": (0xC000003E, (41, 188, 189, 190, 197, 198, 199)),
    "aarch64": (0xC00000B7, (198, 5, 6, 7, 14, 15, 16)),
}
EVERYWHERE = (425, 463, 466)  # io_uring_setup, which can open sockets too; setxattrat; removexattrat
X32 = 0x40000000

libc = ctypes.CDLL(None, use_errno=True)


def landlock_version() -> int:
    """The kernel's Landlock ABI, or 0."""
    return max(0, int(libc.syscall(CREATE_RULESET, None, 0, 1)))


def filesystem_rights(version: int) -> int:
    """All file rights this ABI can take away."""
    rights = ABI_1
    rights |= REFER if version >= 2 else 0
    rights |= TRUNCATE if version >= 3 else 0
    return rights | (IOCTL_DEV if version >= 5 else 0)


def restrict_files(read: list[str], listed: list[str], write: list[str]) -> None:
    """Take away every file right but these. Also TCP (ABI 4), abstract sockets and signals (ABI 6). Raises OSError."""
    version = landlock_version()
    rights = filesystem_rights(version)
    words = [rights, TCP if version >= 4 else 0, SCOPES if version >= 6 else 0]
    words = words[: 3 if version >= 6 else 2 if version >= 4 else 1]
    attributes = struct.pack(f"={len(words)}Q", *words)
    ruleset = _checked("create the ruleset", libc.syscall(CREATE_RULESET, attributes, len(attributes), 0))
    for paths, allowed in ((read, EXECUTE | READ_FILE | READ_DIR), (listed, READ_DIR), (write, rights)):
        for path in paths:
            fd = os.open(path, os.O_PATH | os.O_CLOEXEC)
            mask = allowed & rights if os.path.isdir(path) else allowed & rights & FILE_RIGHTS
            rule = struct.pack("=Qi", mask, fd)
            _checked(f"allow {path}", libc.syscall(ADD_RULE, ruleset, 1, rule, 0))
            os.close(fd)
    _checked("restrict itself", libc.syscall(RESTRICT_SELF, ruleset, 0))
    os.close(ruleset)


def forbid_calls() -> bool:
    """Refuse sockets (socketpair stays) and extended attributes; False on an unknown architecture. Raises OSError."""
    machine = SECCOMP_MACHINES.get(platform.machine())
    if machine is None:
        return False
    architecture, calls = machine
    load, equal, at_least, back = 0x20, 0x15, 0x35, 0x06
    refuse, allow = 0x00050000 | 13, 0x7FFF0000  # errno EACCES; go on
    refused = [*calls, *EVERYWHERE]
    program = [
        (load, 0, 0, 4),  # architecture
        (equal, 0, len(refused) + 3, architecture),  # jumps count the lines to leave out
        (load, 0, 0, 0),  # number of the call
        (at_least, len(refused) + 1, 0, X32),
        *((equal, len(refused) - line, 0, number) for line, number in enumerate(refused)),
        (back, 0, 0, allow),
        (back, 0, 0, refuse),
    ]
    code = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *line) for line in program))
    header = ctypes.create_string_buffer(struct.pack("@HP", len(program), ctypes.addressof(code)))
    _checked("forbid system calls", libc.prctl(PR_SET_SECCOMP, 2, header, 0, 0))
    return True


def drop_capabilities() -> None:
    """Nothing that this process becomes has a capability, not even as root: some of them reach round Landlock."""
    for capability in range(CAPABILITIES):
        libc.prctl(PR_CAPBSET_DROP, capability, 0, 0, 0)


def limit_tasks(more: int) -> None:
    """Let this user have `more` processes and threads than now; the root user cannot be limited this way."""
    now = 0
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                if os.stat(f"/proc/{name}").st_uid == os.getuid():
                    now += len(os.listdir(f"/proc/{name}/task"))
            except OSError:
                continue  # it ended meanwhile
    _, hard = resource.getrlimit(resource.RLIMIT_NPROC)
    limit = now + more if hard == resource.RLIM_INFINITY else min(hard, now + more)
    resource.setrlimit(resource.RLIMIT_NPROC, (limit, limit))


def _checked(what: str, answer: int) -> int:
    if answer < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"cannot {what}: {os.strerror(number)}")
    return answer


def main() -> None:
    """Read the order, put up the walls, become the command."""
    order, argv = json.loads(sys.argv[1]), sys.argv[2:]
    libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != order["parent"]:
        sys.exit(126)  # the supervisor died before the signal was set
    try:
        os.chdir(order["cwd"])
        if order["umask"] is not None:
            os.umask(order["umask"])
        if order["tasks"] is not None and os.getuid() != 0:
            limit_tasks(order["tasks"])
        if order["restrict"]:
            _checked("give up new privileges", libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
            drop_capabilities()
            restrict_files(order["read"], order["list"], order["write"])
            forbid_calls()
        os.execvpe(argv[0], argv, order["env"])
    except OSError as error:
        print(f"sandbox: {error}", file=sys.stderr)
        sys.exit(126)


if __name__ == "__main__":
    main()
