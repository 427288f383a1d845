"""Supervisors without the start of an interpreter: forked from one process that has imported all that they need.

To import the supervisor takes as long as a tiny run, and a suite has a thousand of them. From `main` on everything is
the real one: a process and a session of its own, the same folder, environment, descriptors and command line. In the
tests of `REAL` the start itself, or who can be killed by whom, is the point: there, and in whatever runs a lab in a
process of its own, each supervisor starts as users' do.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import json
import os
import signal
import socket
import subprocess
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path

from mcp_server.engines import local
from mcp_server.nouns.paths import RunPaths
from mcp_server.runner.machine import leaving

REAL = ("tests/abuse/", "tests/cluster/", "tests/e2e/", "tests/faults/test_kills.py", "tests/runner/test_supervisor.py")
ROOM = 4096  # bytes of its command line, to be written over with a supervisor's
LARGEST_ORDER = 128 * 1024
START = local.start  # as users have it


class Warm:
    """The process that supervisors are forked from; it begins with the first of them, and ends when it is closed."""

    def __init__(self) -> None:
        self._line: socket.socket | None = None

    def start(self, paths: RunPaths, alive_fd: int, keeper_fd: int | None = None) -> int:
        """What `local.start` does."""
        if os.environ.get("PYTEST_CURRENT_TEST", "").startswith(REAL) or keeper_fd is not None:
            return START(paths, alive_fd, keeper_fd)
        if self._line is None:
            self._line = self._begin()
        order = json.dumps({"folder": str(paths.folder), "environment": dict(os.environ)}).encode()
        answer, theirs = os.pipe()
        with open(answer, "rb") as pipe:
            try:
                # each order has its own pipe for the answer: a test that forks has this line in both processes
                with open(paths.supervisor_log, "ab") as log:
                    socket.send_fds(self._line, [order], [alive_fd, log.fileno(), theirs])
            finally:
                os.close(theirs)
            pid = int(pipe.read())
        leaving.children.add(pid)
        return pid

    def close(self) -> None:
        if self._line is not None:
            self._line.close()
            self._line = None

    def _begin(self) -> socket.socket:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            process = subprocess.Popen(
                [sys.executable, "-m", "tests.warm", str(theirs.fileno()), "-" * ROOM],
                cwd=Path(__file__).parents[1],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                start_new_session=True,
            )
        process.returncode = 0  # it ends with the line, and nobody waits for it
        return ours


@contextlib.contextmanager
def warm() -> Iterator[None]:
    """Local supervisors start warm."""
    made = Warm()
    local.start = made.start
    try:
        yield
    finally:
        local.start = START
        made.close()


def serve(line: socket.socket) -> None:
    """Fork a supervisor for each order, until nobody is left who could give one."""
    from mcp_server.nouns.records import RunProgress, RunResult, RunSpec
    from mcp_server.runner import __main__ as supervisor
    from mcp_server.runner.machine import load
    from mcp_server.runner.sandbox import probe

    load.PROBE_SECONDS /= 5  # it is most of a tiny run, and says a little less exactly how quick the machine is
    for record in (RunSpec, RunResult, RunProgress):
        record.model_rebuild()  # else each would make its own
    if "AUTORESEARCH_TIER" not in os.environ:
        probe()
    gc.freeze()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # they are reaped as they end
    while True:
        message, fds, _, _ = socket.recv_fds(line, LARGEST_ORDER, 3)
        if not message:
            return
        if os.fork() == 0:
            line.close()
            order = json.loads(message)
            if "AUTORESEARCH_TIER" in order["environment"]:
                probe.cache_clear()
            status = 1
            try:
                become(order["folder"], order["environment"], *fds)
                status = supervisor.main(["runner", order["folder"]])
            except BaseException:
                traceback.print_exc()
            sys.stderr.flush()
            os._exit(status)
        for fd in fds:
            os.close(fd)


def become(folder: str, environment: dict[str, str], alive: int, log: int, answer: int) -> None:
    """All that a new process would be given, and by what it is known from outside."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    os.setsid()
    os.chdir(folder)
    os.dup2(log, 2)
    os.close(log)
    os.environ.clear()
    os.environ.update({**environment, local.ALIVE_FD: str(alive)})
    words = b"\0".join(os.fsencode(word) for word in (sys.executable, "-m", "mcp_server.runner", folder))
    begin, end = map(int, Path("/proc/self/stat").read_text().rpartition(")")[2].split()[45:47])  # arg_start, arg_end
    ctypes.memmove(begin, words.ljust(end - begin, b"\0"), end - begin)
    os.write(answer, str(os.getpid()).encode())
    os.close(answer)


if __name__ == "__main__":
    with socket.socket(fileno=int(sys.argv[1])) as orders:
        serve(orders)
