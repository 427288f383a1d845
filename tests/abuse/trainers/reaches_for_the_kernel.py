"""Tries settings of the kernel, calls and sockets that no run needs, and the modes of the system's files."""

import ctypes
import errno
import os
import platform
import socket

from base import attempt, finish, start

CASE, EXPECT, T1 = 32, ("scored", ""), ("scored", "")
libc = ctypes.CDLL(None, use_errno=True)
X86 = platform.machine() == "x86_64"
CALLS = {  # numbers on x86-64, and the generic ones
    "io_uring_setup": (425, 425),
    "add_key": (248, 217),
    "keyctl": (250, 219),
    "userfaultfd": (323, 282),
    "bpf": (321, 280),
    "perf_event_open": (298, 241),
    "unshare": (272, 97),
    "setns": (308, 268),
    "mount": (165, 40),
    "open_by_handle_at": (304, 265),
    "inotify_init1": (294, 26),
    "fanotify_init": (300, 262),
    "mincore": (27, 232),
    "process_vm_readv": (310, 270),
    "pidfd_getfd": (438, 438),
    "a call of a later kernel": (471, 471),
}


def open_settings():
    """Open, and not set: any that opens is a way out."""
    for top in ("/proc/sys", "/proc/irq", "/sys/kernel", "/sys/fs/cgroup"):
        for place, _, names in os.walk(top):
            for name in names:
                try:
                    os.close(os.open(os.path.join(place, name), os.O_WRONLY))
                except OSError:
                    continue
                return
    os.close(os.open("/proc/sysrq-trigger", os.O_WRONLY))


def call(number):
    if libc.syscall(number, 0, 0, 0, 0, 0) < 0 and ctypes.get_errno() in (errno.EACCES, errno.ENOSYS):
        raise OSError(ctypes.get_errno(), "refused")


def new_user():
    child = libc.syscall(56 if X86 else 220, 0x10000000 | 17, 0, 0, 0, 0)
    if child == 0:
        os._exit(0)
    if child < 0:
        raise OSError(ctypes.get_errno(), "clone")


start()
attempt("settings", open_settings)
for name, numbers in CALLS.items():
    attempt(name, lambda number=numbers[0 if X86 else 1]: call(number))
attempt("a user namespace", new_user)
for name in ("AF_VSOCK", "AF_PACKET", "AF_ALG", "AF_CAN", "AF_TIPC", "AF_BLUETOOTH"):
    attempt(name, lambda name=name: socket.socket(getattr(socket, name), socket.SOCK_SEQPACKET).close())
attempt("a setuid program", lambda: os.chmod(os.open("copy", os.O_CREAT | os.O_RDWR), 0o4755))
for path in ("/usr/bin/env", "/etc/passwd"):
    attempt(f"the mode of {path}", lambda path=path: os.chmod(path, os.stat(path).st_mode & 0o777))
    attempt(f"the times of {path}", lambda path=path: os.utime(path))
finish()
