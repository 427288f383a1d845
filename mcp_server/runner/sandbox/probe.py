"""Which tier this machine offers, found out by really trying what a run must not do.

A small program is put into each tier's sandbox, best tier first, and tries to read a secret file, to write outside, to
open a setting of the kernel for writing (nothing is written), to reach calls and sockets that no run needs, to open TCP
and unix sockets, to see and signal a process outside, and to leave a process behind. A tier counts only if everything
that it promises was refused.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from mcp_server.nouns.records import Tier
from mcp_server.runner.sandbox import bubblewrap, calls, confine, identity, landlock
from mcp_server.runner.sandbox.confinement import Confinement

INSTALL = (
    "For T2 install bubblewrap (Debian, Ubuntu: sudo apt-get install bubblewrap; Fedora: sudo dnf install bubblewrap)"
)
ALLOW = (
    "bubblewrap is installed but may not make namespaces here: on Ubuntu 24.04 it may need an AppArmor profile "
    "(sudo apt-get install apparmor-profiles), on Debian check sysctl kernel.unprivileged_userns_clone=1; a container "
    "forbids it unless it is told otherwise (docs/trust.md says how and what that opens)"
)
# What each tier refuses. Below T2 a daemon may survive and other processes may be seen.
PROMISES = {
    Tier.T2: frozenset({"read", "write", "set", "calls", "vsock", "tcp", "unix", "signal", "see"}),
    Tier.T1: frozenset({"read", "write", "set", "calls", "vsock", "tcp"}),
}
WORDS = {
    "read": "read a file of this user outside the run",
    "write": "write outside the run",
    "set": "open a setting of the kernel for writing",
    "calls": "reach a system call that no run needs",
    "vsock": "open a socket to the machine that hosts this one",
    "tcp": "open a TCP connection",
    "unix": "connect to a unix socket",
    "signal": "signal a process outside",
    "see": "see a process outside",
}

# For root these are ways to the whole machine; all sysctls are tried by a test.
SETTINGS = tuple(
    f"/proc/{name}"
    for name in (
        "sys/kernel/core_pattern",
        "sys/kernel/modprobe",
        "sys/vm/drop_caches",
        "sysrq-trigger",
        "irq/default_smp_affinity",
    )
)
REACHED_FOR = ("io_uring_setup", "add_key", "unshare", "inotify_init1", "userfaultfd", "bpf", "mincore")

PREFIX, STALE_SECONDS = "autoresearch-probe-", 3600.0
SECONDS = 10.0  # a busy machine may take a while to take a namespace down

# Runs inside. Prints the names of what it could do, as a JSON list, then leaves a process behind that holds stdout.
BURGLAR = """
import ctypes, json, os, socket, sys, time
secret, address, pid = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
done = []
def attempt(name, act):
    try:
        act()
    except (OSError, ValueError):
        return
    done.append(name)
def dial(family, target):
    if family == socket.AF_UNIX:  # a socket's name has room for 107 bytes, a path may be longer
        target = "/proc/self/fd/%d/%s" % (os.open(os.path.dirname(target), os.O_PATH), os.path.basename(target))
    with socket.socket(family, socket.SOCK_STREAM) as line:
        line.settimeout(1)
        line.connect(target)
def reach(numbers):
    libc = ctypes.CDLL(None, use_errno=True)
    # refused by the filter, or unknown to the kernel; any other answer is the kernel's own
    if all(libc.syscall(number, 0, 0, 0, 0, 0) == -1 and ctypes.get_errno() in (13, 38) for number in numbers):
        raise OSError
def open_any(paths):
    for path in paths:
        try:
            return os.close(os.open(path, os.O_WRONLY))
        except OSError:
            pass
    raise OSError
attempt("read", lambda: open(secret).read())
attempt("write", lambda: open(secret + ".by-a-burglar", "w").close())
attempt("set", lambda: open_any(json.loads(sys.argv[5])))
attempt("calls", lambda: reach(json.loads(sys.argv[6])))
attempt("vsock", lambda: socket.socket(40, socket.SOCK_STREAM).close())
attempt("tcp", lambda: dial(socket.AF_INET, ("127.0.0.1", address)))
attempt("unix", lambda: dial(socket.AF_UNIX, secret + ".socket"))
attempt("signal", lambda: os.kill(pid, 0))
attempt("see", lambda: os.stat("/proc/%d" % pid))
print(json.dumps(done), flush=True)
if sys.argv[4] == "stay" and os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        time.sleep(30)
"""


@dataclass(frozen=True)
class TierReport:
    """The best tier that kept its promises, and what was tried on the way."""

    tier: Tier
    findings: tuple[str, ...]


@cache
def probe() -> TierReport:
    """Try the tiers from the best down. AUTORESEARCH_TIER=T1 or T0 forces a lower one, and the findings say so."""
    findings: list[str] = []
    forced = os.environ.get("AUTORESEARCH_TIER", "")
    for tier in (Tier.T2, Tier.T1):
        if forced in ("T0", "T1") and tier.value > forced:
            findings.append(f"{tier}: not tried, AUTORESEARCH_TIER={forced} is set.")
            continue
        missing = _missing(tier)
        if missing:
            findings.append(f"{tier}: {missing}.")
            continue
        works, finding = _try(tier)
        findings.append(f"{tier}: {finding}")
        if works:
            return TierReport(tier, tuple(findings))
    findings.append("T0: runs are not shut in. They can read, change and send whatever this user can.")
    return TierReport(Tier.T0, tuple(findings))


def _missing(tier: Tier) -> str:
    if tier is Tier.T2 and not sys.platform.startswith("linux"):
        return "bubblewrap needs Linux"
    if tier is Tier.T2 and bubblewrap.program() is None:
        return f"bubblewrap is not installed. {INSTALL}"
    if not calls.known():
        return "there is no list of system calls for this kind of processor"
    if tier is Tier.T1 and (not sys.platform.startswith("linux") or confine.landlock_version() == 0):
        return "this kernel has no Landlock (Linux 5.13 and newer, not switched off at boot)"
    return ""


def _sweep() -> None:
    """Remove what probes that were killed left an hour ago or earlier."""
    for left in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        with contextlib.suppress(OSError):
            state = left.lstat()
            if state.st_uid == os.getuid() and time.time() - state.st_mtime > STALE_SECONDS:
                shutil.rmtree(left)


def _try(tier: Tier) -> tuple[bool, str]:
    """(whether the tier keeps its promises, one or two sentences)."""
    _sweep()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix=PREFIX)))
        secret, inside = folder / "outside" / "secret", folder / "inside"
        secret.parent.mkdir()
        inside.mkdir()
        secret.write_text("a file of this user")
        tcp = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        unix = stack.enter_context(socket.socket(socket.AF_UNIX))
        outside = os.open(secret.parent, os.O_PATH)
        stack.callback(os.close, outside)
        unix.bind(f"/proc/self/fd/{outside}/{secret.name}.socket")  # TMPDIR may be too long for a socket's name
        unix.listen()
        confinement = Confinement(read=(), write=(inside,), cwd=inside, env={}, scratch=inside)
        words = [str(secret), str(tcp.getsockname()[1]), str(os.getpid()), "stay" if tier is Tier.T2 else "go"]
        words += [json.dumps(SETTINGS), json.dumps(calls.numbers(REACHED_FOR))]
        burglar = [sys.executable, "-I", "-S", "-c", BURGLAR, *words]
        if tier is Tier.T2:
            argv = bubblewrap.wrap(burglar, confinement)
        else:
            argv = landlock.wrap(burglar, confinement, restrict=True)
        return _judge(tier, argv)


def _judge(tier: Tier, argv: list[str]) -> tuple[bool, str]:
    process = subprocess.Popen(
        argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env={}, start_new_session=True
    )
    assert process.stdout is not None
    assert process.stderr is not None
    with process, process.stdout as out, process.stderr as err:
        line = out.readline()
        if not line:
            words = err.read(2000).decode(errors="replace").strip()
            hint = f" {ALLOW}." if tier is Tier.T2 else ""
            return False, f"the sandbox did not start: {words}.{hint}"
        done = set(json.loads(line))
        process.wait()
        # The pipe closes when its last holder is gone: at T2 at once, with the namespace.
        left = tier is Tier.T2 and not _closes(out.fileno(), SECONDS)
    broken = [WORDS[name] for name in sorted(PROMISES[tier] & done)] + (["leave a process behind"] if left else [])
    if broken:
        return False, f"refused, because a test program could {', '.join(broken)}."
    could = [WORDS[name] for name in sorted(done)]
    could += ["leave a process behind if the supervisor is killed"] if tier is Tier.T1 else []
    who = _who(tier)
    return True, f"works{who}. A test program could {', '.join(could) or 'do none of the forbidden things'}."


def _who(tier: Tier) -> str:
    """As whom a command runs, where the server is root's."""
    if os.getuid() != 0:
        return ""
    changes = bubblewrap.uid_inside() is not None if tier is Tier.T2 else identity.can_change()
    if changes:
        return f"; for root it runs as the unprivileged user {identity.UNPRIVILEGED}"
    return "; root may not change its user here, so it runs as root without capabilities: start the server as a user"


def _closes(fd: int, seconds: float) -> bool:
    ready, _, _ = select.select([fd], [], [], seconds)
    return bool(ready) and os.read(fd, 1) == b""
