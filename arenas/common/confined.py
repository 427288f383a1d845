"""Code that is not trusted, in a child process that is given bytes and answers bytes, and can reach nothing else.

For score commands that must execute what they measure. The child's only ways out are two pipes. It cannot look into
its parent, so it can write no score: what it answers is checked by whoever asked. It is stopped while it is not asked,
and its processor time is read by the parent, so no clock that it can bend counts. It may start threads, whose time is
counted, and no process, whose time would not be; where the kernel cannot forbid that, `strangers` tells of those that
are left behind; and it can neither signal, slow nor read another process. With `walls` it can also write no file,
change no times or modes, and leave nothing in the kernel for the next child to find, and `hidden` folders cannot be
read; `has_walls` says whether this machine has them. All else is the sandbox's, which is around the whole scorer. Linux
only. Use one thread.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import platform
import resource
import select
import signal
import struct
import subprocess
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

PR_SET_DUMPABLE, PR_SET_SECCOMP, PR_SET_CHILD_SUBREAPER, PR_SET_NO_NEW_PRIVS = 4, 22, 36, 38
CREATE_RULESET, ADD_RULE, RESTRICT_SELF = 444, 445, 446  # Landlock's system calls, on every architecture
EXECUTE, WRITE_FILE, READ_FILE = 1 << 0, 1 << 1, 1 << 2
WALLED = EXECUTE | WRITE_FILE | READ_FILE | 0x1FF0  # and making or removing anything


@dataclass(frozen=True)
class Machine:
    """One architecture's system call numbers: the audit code, clone, prlimit64, and the calls that are refused."""

    audit: int
    clone: int
    prlimit: int
    forks: tuple[int, ...]  # fork, vfork
    # ptrace, kill, tkill, tgkill, pidfd_open, pidfd_send_signal, pidfd_getfd, process_vm_readv, process_vm_writev,
    # process_madvise, kcmp, sched_setaffinity, sched_setscheduler, sched_setparam, sched_setattr, setpriority,
    # ioprio_set, perf_event_open, bpf, userfaultfd, io_uring_setup: other processes are slowed, stopped or read by them
    reaching: tuple[int, ...]
    # shmget, semget, msgget, mq_open, add_key, request_key, keyctl: they leave something in the kernel. utimensat,
    # fchmod, fchmodat, fchmodat2, fchown, fchownat, setxattr, lsetxattr, fsetxattr, truncate and their older forms:
    # Landlock lets a file's times, modes and attributes be changed, which hold bits as well as its text does. mincore,
    # cachestat, fadvise64, readahead, preadv2: they tell or change what the page cache holds
    outliving: tuple[int, ...]


def _calls(numbers: str) -> tuple[int, ...]:
    return tuple(map(int, numbers.split()))


MACHINES = {
    "x86_64": Machine(
        audit=0xC000003E,
        clone=56,
        prlimit=302,
        forks=(57, 58),
        reaching=_calls("101 62 200 234 434 424 438 310 311 440 312 203 144 142 314 141 251 298 321 323 425"),
        outliving=_calls(
            "29 64 68 240 248 249 250 280 261 132 235 90 91 268 452 92 93 94 260 188 189 190 76 27 451 221 187 327"
        ),
    ),
    "aarch64": Machine(
        audit=0xC00000B7,
        clone=220,
        prlimit=261,
        forks=(),
        reaching=_calls("117 129 130 131 434 424 438 270 271 440 272 122 119 118 274 140 30 241 280 282 425"),
        outliving=_calls("194 190 186 180 217 218 219 88 52 53 452 55 54 5 6 7 45 232 451 223 213 286"),
    ),
}
CLONE3, CLONE_THREAD, X32 = 435, 0x10000, 0x40000000
SYSTEM = ("/usr", "/lib", "/lib64", "/bin", "/opt", "/nix")  # where programs lie
# of /dev not all: in /dev/shm a run may have left what its scoring is then asked
DEVICES = ("/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom")
LAST_WORDS = 500  # bytes
MOST_WORDS = 1 << 20  # bytes of any file it may write, and stderr is all it has
LENGTH = struct.Struct("<Q")
libc = ctypes.CDLL(None, use_errno=True)


class Failed(Exception):
    """The child gave no usable answer; the arguments are a reason code and a sentence."""


@dataclass(frozen=True)
class Answer:
    """What a child answered, and what it took: its own processor seconds, and seconds on the wall."""

    content: bytes
    cpu: float
    wall: float


def shield() -> None:
    """Let no other process of this user look into this one, and make what a child leaves behind ours to see."""
    libc.prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)
    libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def has_walls() -> bool:
    """Whether `walls` can be had: Landlock (Linux 5.13 or later) on a known architecture."""
    return platform.machine() in MACHINES and int(libc.syscall(CREATE_RULESET, None, 0, 1)) > 0


def forbids_processes() -> bool:
    """Whether a child is kept from starting processes: on the architectures whose system calls are known."""
    return platform.machine() in MACHINES


class Child:
    """`python -I script arguments...`, answering over its standard input and output; stopped while it is not asked."""

    def __init__(
        self,
        script: Path,
        *arguments: str,
        seconds: float = 60.0,
        walls: bool = False,
        hidden: Iterable[Path] = (),
        heard: bool = True,
    ) -> None:
        """Start it and wait until it says that it is ready. Raises Failed.

        heard: a failure quotes what it said on stderr. Not where it knows what may not be told.
        """
        self._heard = heard
        given = [script, *(Path(word) for word in arguments if os.path.isdir(word))]
        rules = _readable(tuple(hidden), given) if walls else []

        def before_exec() -> None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (MOST_WORDS, MOST_WORDS))
            libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
            if walls:
                _restrict(rules)
            if forbids_processes() and _forbid_calls(walls) != 0:
                os._exit(126)

        keep = ("PATH", "HOME", "TMPDIR", "LANG", "LC_ALL", "PYTHONHASHSEED", "LD_LIBRARY_PATH")
        env = {name: os.environ[name] for name in keep if name in os.environ}
        env |= {f"{name}_NUM_THREADS": "1" for name in ("OMP", "OPENBLAS", "MKL")}
        self._words = os.memfd_create("words")
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-B", str(script), *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._words,
            env=env,
            bufsize=0,
            preexec_fn=before_exec,
        )
        for fd, _ in rules:
            os.close(fd)
        self.pid = self._process.pid
        self._clock = (~self.pid << 3) | 2  # its processor clock: include/linux/posix-timers.h
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._in, self._out = self._process.stdin.fileno(), self._process.stdout.fileno()
        for fd in (self._in, self._out):
            os.set_blocking(fd, False)
        try:
            self._receive(64, time.monotonic() + seconds)
        except Failed:
            self.end()
            raise
        self._counted = self._processor_seconds()  # what it used so far, its own start among it
        self._stop()

    def ask(self, question: bytes, *, most_bytes: int, seconds: float) -> Answer:
        """One question, answered after it was asked. Raises Failed.

        Its processor time is all since the answer before, so nothing is free that is done behind an answer's back.
        """
        began = time.monotonic()
        if select.select([self._out], [], [], 0.0)[0]:
            if os.read(self._out, 1):
                raise Failed("bad_output", "The program answered what it was not asked.")
            raise Failed("host_died", "The program ended.")
        os.kill(self.pid, signal.SIGCONT)
        self._send(LENGTH.pack(len(question)) + question, began + seconds)
        content = self._receive(most_bytes, began + seconds)
        wall = time.monotonic() - began
        before, self._counted = self._counted, self._processor_seconds()
        self._stop()
        return Answer(content, self._counted - before, wall)

    def end(self) -> None:
        """Kill it. Harmless to repeat."""
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()
        if self._words >= 0:
            os.close(self._words)
            self._words = -1

    def _processor_seconds(self) -> float:
        try:
            return time.clock_gettime(self._clock)
        except OSError:
            raise Failed("host_died", "The program ended.") from None

    def _last_words(self) -> str:
        """The end of what it said on stderr, for whoever wrote it."""
        if not self._heard:
            return ""
        size = os.fstat(self._words).st_size
        text = os.pread(self._words, LAST_WORDS, max(0, size - LAST_WORDS)).decode(errors="replace")
        return " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())

    def _stop(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGSTOP)

    def _send(self, content: bytes, ends: float) -> None:
        rest = memoryview(content)
        while rest:
            self._await(self._in, ends, write=True)
            try:
                rest = rest[os.write(self._in, rest) :]
            except BrokenPipeError:
                raise Failed("host_died", "The program ended while it was asked.") from None

    def _receive(self, most_bytes: int, ends: float) -> bytes:
        found = bytearray()
        wanted = LENGTH.size
        while len(found) < wanted:
            self._await(self._out, ends)
            more = os.read(self._out, min(1 << 20, wanted - len(found)))
            if not more:
                raise Failed("host_died", f"The program ended before it had answered. {self._last_words()}".strip())
            found += more
            if wanted == LENGTH.size == len(found):
                (length,) = LENGTH.unpack(found)
                if length > most_bytes:
                    # how long it is stays untold: the program chose that number, and could say with it what it saw
                    raise Failed("bad_output", f"The answer is longer than {most_bytes} bytes.")
                wanted += length
        return bytes(found[LENGTH.size :])

    def _await(self, fd: int, ends: float, write: bool = False) -> None:
        left = ends - time.monotonic()
        ready = select.select([] if write else [fd], [fd] if write else [], [], max(0.0, left))
        if not (ready[0] or ready[1]):
            raise Failed("host_stalled", "The program did not answer in time.")


def strangers(known: Iterable[Child]) -> list[int]:
    """Processes below this one that are none of `known`: nobody may work while others are timed."""
    parents: dict[int, int] = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            with contextlib.suppress(OSError), open(f"/proc/{name}/stat") as file:
                parents[int(name)] = int(file.read().rpartition(")")[2].split()[1])
    ours = {os.getpid()}
    while more := {pid for pid, parent in parents.items() if parent in ours} - ours:
        ours |= more
    return sorted(ours - {os.getpid()} - {child.pid for child in known})


def scorers_own() -> list[Path]:
    """Folders to hide, for they may lie where programs do: what the run left, and whatever lies beside the scorer."""
    names = ("AUTORESEARCH_SNAPSHOT", "AUTORESEARCH_INCUMBENT", "AUTORESEARCH_ARTIFACT", "AUTORESEARCH_HANDOVER")
    return [Path(place).resolve() for name in names if (place := os.environ.get(name))] + [Path.cwd().resolve()]


# ---- walls ----


def _readable(hidden: tuple[Path, ...], more: Iterable[Path]) -> list[tuple[int, int]]:
    """(descriptor, rights) of what Python needs and `more`, without the hidden folders.

    Landlock can only allow, so where something inside is hidden its siblings are allowed one by one. /proc is left out:
    the command lines there tell what others were given, the scorer's variables among them. So is the rest of this
    process's path for imports, on which the scorer's own folder stands; the child is isolated and would not look there.
    """
    system = [Path(place) for place in (*SYSTEM, "/etc", *DEVICES)]
    python = [Path(place) for place in (sys.prefix, sys.base_prefix)]
    rules: list[tuple[int, int]] = []

    def allow(path: Path) -> None:
        if path in hidden:
            return
        if any(path in gone.parents for gone in hidden):
            for inside in sorted(path.iterdir()):
                if not inside.is_symlink():
                    allow(inside)
            return
        with contextlib.suppress(OSError):
            rules.append((os.open(path, os.O_PATH | os.O_CLOEXEC), EXECUTE | READ_FILE))

    for place in {path.resolve() for path in (*system, *python, *more)}:
        allow(place)
    rules.append((os.open("/dev/null", os.O_PATH | os.O_CLOEXEC), READ_FILE | WRITE_FILE))
    return rules


def _restrict(rules: list[tuple[int, int]]) -> None:
    """Put the walls up, or end: called in the child that is about to become Python."""
    attributes = struct.pack("=Q", WALLED)
    ruleset = libc.syscall(CREATE_RULESET, attributes, len(attributes), 0)
    for fd, rights in rules:
        libc.syscall(ADD_RULE, ruleset, 1, struct.pack("=Qi", rights, fd), 0)
    if ruleset < 0 or libc.syscall(RESTRICT_SELF, ruleset, 0) != 0:
        os._exit(126)


def _forbid_calls(walls: bool) -> int:
    """No other process is started or reached from here on; with `walls` nothing that outlives this one is left."""
    machine = MACHINES[platform.machine()]
    load, equal, at_least, has, back = 0x20, 0x15, 0x35, 0x45, 0x06
    allow, refuse, unknown = (back, 0, 0, 0x7FFF0000), (back, 0, 0, 0x00050000 | 1), (back, 0, 0, 0x00050000 | 38)
    program = [(load, 0, 0, 4), (equal, 1, 0, machine.audit), refuse]  # (what, lines to skip if so, if not, value)
    program += [(load, 0, 0, 0), (at_least, 0, 1, X32), refuse]
    for call in (*machine.forks, *machine.reaching, *(machine.outliving if walls else ())):
        program += [(equal, 0, 1, call), refuse]
    program += [(equal, 0, 1, CLONE3), unknown]  # its flags cannot be seen; libc then takes the older call
    # limits of its own (process 0) may be read and set, another process's may not
    program += [(equal, 0, 4, machine.prlimit), (load, 0, 0, 16), (equal, 0, 1, 0), allow, refuse]
    program += [(equal, 1, 0, machine.clone), allow, (load, 0, 0, 16), (has, 0, 1, CLONE_THREAD), allow, refuse]
    code = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *line) for line in program))
    header = ctypes.create_string_buffer(struct.pack("@HP", len(program), ctypes.addressof(code)))
    return int(libc.prctl(PR_SET_SECCOMP, 2, header, 0, 0))
