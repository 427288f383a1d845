"""The launcher inside: gives up its user, puts the walls on itself, then becomes the command. Runs alone, as a script.

At T2 bubblewrap has made the namespaces before; at T0 there are no walls. It imports the standard library only, so that
it starts in milliseconds and works under `python -I -S`. What was asked for and cannot be done ends the launch with
exit code 126 and words on stderr; nothing falls back in silence. json, base64 and signal would double its start.
"""

from __future__ import annotations

import binascii
import ctypes
import marshal
import os
import resource
import struct
import sys
import zlib

TYPE_CHECKING = False  # type checkers take it for true; importing typing would cost as much as all the rest
if TYPE_CHECKING:
    from typing import Any

# include/uapi/linux/landlock.h; the system calls have these numbers on every architecture
CREATE_RULESET, ADD_RULE, RESTRICT_SELF = 444, 445, 446
EXECUTE, WRITE_FILE, READ_FILE, READ_DIR = 1 << 0, 1 << 1, 1 << 2, 1 << 3
ABI_1 = (1 << 13) - 1
REFER, TRUNCATE, IOCTL_DEV = 1 << 13, 1 << 14, 1 << 15
FILE_RIGHTS = EXECUTE | WRITE_FILE | READ_FILE | TRUNCATE | IOCTL_DEV
TCP = 0b11  # bind, connect
SCOPES = 0b11  # abstract unix sockets, signals

SIGKILL = 9
PR_SET_PDEATHSIG, PR_SET_KEEPCAPS, PR_CAPBSET_DROP, PR_SET_NO_NEW_PRIVS, PR_CAP_AMBIENT = 1, 8, 24, 38, 47
PR_CAP_AMBIENT_RAISE = 2
CAPABILITIES = 64  # there are 41; the kernel refuses the rest
CAP_DAC_READ_SEARCH = 2
CAPABILITY_VERSION_3 = 0x20080522  # include/uapi/linux/capability.h
SECCOMP_SET_MODE_FILTER = 1
# Without this flag kernels before 5.16 switch a speculation of the processor off for whoever has a filter: up to some
# per cent of an honest model's speed, against a danger between parts of one process, which are not told apart here.
SECCOMP_FILTER_FLAG_SPEC_ALLOW = 4
SECCOMP_CALLS = {"x86_64": 317, "aarch64": 277, "riscv64": 277}

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


def filter_calls(program: bytes) -> None:
    """Put the filter of system calls (see `calls`) on this process and all it starts. Raises OSError."""
    code = ctypes.create_string_buffer(program, len(program))
    header = ctypes.create_string_buffer(struct.pack("@HP", len(program) // 8, ctypes.addressof(code)))
    number = SECCOMP_CALLS[os.uname().machine]
    answer = libc.syscall(number, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_SPEC_ALLOW, header)
    _checked("forbid system calls", answer)


def drop_capabilities(spare: int | None = None) -> None:
    """Nothing that this process becomes has a capability, not even as root: some of them reach round Landlock."""
    for capability in range(CAPABILITIES):
        if capability != spare:
            libc.prctl(PR_CAPBSET_DROP, capability, 0, 0, 0)


def become(uid: int) -> None:
    """Turn from root into a user who owns nothing, but may read what root may: the walls decide what that is.

    Root's own files cannot be changed any more, nor their mode, owner or times, nor what of the kernel belongs to root.
    Raises OSError.
    """
    drop_capabilities(spare=CAP_DAC_READ_SEARCH)
    _checked("keep the right to read", libc.prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0))
    os.setgroups([])
    os.setresgid(uid, uid, uid)
    os.setresuid(uid, uid, uid)
    reads = 1 << CAP_DAC_READ_SEARCH
    header = struct.pack("=Ii", CAPABILITY_VERSION_3, 0)
    sets = struct.pack("=6I", reads, reads, reads, 0, 0, 0)  # effective, permitted, inheritable; then the upper halves
    _checked("give up capabilities", libc.capset(header, sets))
    raised = libc.prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_DAC_READ_SEARCH, 0, 0)
    _checked("keep the right to read", raised)


def limit_tasks(most: int) -> None:
    """Let this user have so many processes and threads; the root user cannot be limited this way."""
    _, hard = resource.getrlimit(resource.RLIMIT_NPROC)
    limit = most if hard == resource.RLIM_INFINITY else min(hard, most)
    resource.setrlimit(resource.RLIMIT_NPROC, (limit, limit))


def _checked(what: str, answer: int) -> int:
    if answer < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"cannot {what}: {os.strerror(number)}")
    return answer


def packed(order: dict[str, Any]) -> str:
    """The order as one word of a command line: the kernel takes 128 KB, and a long list of paths is longer."""
    return binascii.b2a_base64(zlib.compress(marshal.dumps(order)), newline=False).decode()


def unpacked(word: str) -> dict[str, Any]:
    """What `packed` was given."""
    order: dict[str, Any] = marshal.loads(zlib.decompress(binascii.a2b_base64(word)))
    return order


def main() -> None:
    """Read the order, put up the walls, become the command."""
    order, argv = unpacked(sys.argv[1]), sys.argv[2:]
    try:
        os.chdir(order["cwd"])
        if order["umask"] is not None:
            os.umask(order["umask"])
        if order["files"] is not None or order["filter"]:
            _checked("give up new privileges", libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
            if order["uid"] is not None:
                for folder in order["folders"]:
                    os.chmod(folder, 0o1777)
                become(order["uid"])
            else:
                drop_capabilities()
        if order["parent"] is not None:
            libc.prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0)  # a change of user clears it
            if os.getppid() != order["parent"]:
                sys.exit(126)  # the supervisor died before the signal was set
        if order["tasks"] is not None and os.getuid() != 0:
            limit_tasks(order["tasks"])
        if order["files"] is not None:
            restrict_files(order["files"]["read"], order["files"]["list"], order["files"]["write"])
        if order["filter"]:
            filter_calls(order["filter"])
        os.execvpe(argv[0], argv, order["env"])
    except OSError as error:
        print(f"sandbox: {error}", file=sys.stderr)
        sys.exit(126)


if __name__ == "__main__":
    main()
