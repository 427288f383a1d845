"""Tries TCP, UDP, name lookup, unix sockets, tracing, signals to everybody and a terminal's input queue."""

import ctypes
import fcntl
import json
import os
import signal
import socket
import termios

from base import DATA, attempt, finish, start

CASE, EXPECT, T1 = 14, ("scored", ""), ("scored", "")
with open(f"{DATA}/public/targets.json") as file:
    targets = json.load(file)  # what the test listens on, and the pids it watches
libc = ctypes.CDLL(None, use_errno=True)


def dial(family, kind, address):
    with socket.socket(family, kind) as line:
        line.settimeout(1)
        line.connect(address)
        line.send(b"validation tokens")
        line.recv(1)  # the test answers nobody, but sees who came through


def turn(address):
    """One of a pair of sockets, turned to somebody else."""
    line, _ = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    line.connect(address)
    line.send(b"validation tokens")


def named(path):
    """A socket's address, which has room for 107 bytes: a path may be longer."""
    return f"/proc/self/fd/{os.open(os.path.dirname(path), os.O_PATH)}/{os.path.basename(path)}"


def lookup():
    socket.getaddrinfo("example.org", 80)


def trace(pid):
    if libc.ptrace(16, pid, 0, 0) != 0:  # PTRACE_ATTACH
        raise OSError(ctypes.get_errno(), "ptrace")


def peek(pid):
    with open(f"/proc/{pid}/environ", "rb") as file:
        if not file.read():
            raise OSError("nothing to read")


def terminal():
    for fd in range(3):
        fcntl.ioctl(fd, termios.TIOCSTI, b"x")


start()
attempt("tcp", lambda: dial(socket.AF_INET, socket.SOCK_STREAM, ("127.0.0.1", targets["tcp"])))
attempt("udp", lambda: dial(socket.AF_INET, socket.SOCK_DGRAM, ("127.0.0.1", targets["udp"])))
attempt("lookup", lookup)
attempt("unix", lambda: dial(socket.AF_UNIX, socket.SOCK_STREAM, named(targets["unix"])))
attempt("abstract unix", lambda: dial(socket.AF_UNIX, socket.SOCK_STREAM, "\0" + targets["abstract"]))
attempt("one of a pair, to a unix socket", lambda: turn(named(targets["datagram"])))
attempt("one of a pair, to an abstract unix socket", lambda: turn("\0" + targets["abstract datagram"]))
attempt("raw", lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW))
attempt("terminal", terminal)
for name, pid in targets["pids"].items():
    attempt(f"trace {name}", lambda pid=pid: trace(pid))
    attempt(f"signal {name}", lambda pid=pid: os.kill(pid, signal.SIGCONT))
    attempt(f"peek {name}", lambda pid=pid: peek(pid))
finish()
