"""The processes of a command: found, counted and ended, however they try to slip away. Each test is its own keeper."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from mcp_server.runner.machine.proc import read_stat

# Runs a command as the only child of a fresh subreaper, samples it to its end, and prints what it saw.
KEEPER = """
import json, subprocess, sys, time
from mcp_server.runner.machine.tree import Tree, adopt_orphans
adopt_orphans()
seconds, enough = map(float, sys.argv[1:3])
process = subprocess.Popen([sys.executable, "-c", sys.argv[3]], start_new_session=True)
tree = Tree(process.pid)
most, begin = 0, time.monotonic()
while time.monotonic() - begin < seconds and tree.exit_status is None and most <= enough:
    usage = tree.sample(time.monotonic())
    most = max(most, usage.processes)
    time.sleep(0.02)
began_to_kill = time.monotonic()
clean = tree.kill()
process.returncode = 0
cpu = tree.sample(time.monotonic()).cpu_seconds
print(json.dumps({"cpu": cpu, "most": most, "clean": clean, "kill": time.monotonic() - began_to_kill,
                  "status": tree.exit_status}))
"""
BURN = """
import time
def burn(seconds):
    while time.process_time() < seconds:
        pass
"""


def keep(program: str, seconds: float = 300.0, enough: float = math.inf) -> dict[str, float]:
    """What was seen of a program until it ended, its time was over, or more than `enough` processes were there."""
    done = subprocess.run(
        [sys.executable, "-c", KEEPER, str(seconds), str(enough), textwrap.dedent(BURN + program)],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[2],
    )
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def test_the_processor_seconds_of_one_process_are_counted() -> None:
    found = keep("burn(0.5)")
    assert found["cpu"] == pytest.approx(0.5, abs=0.1)
    assert found["status"] == 0


def test_threads_count() -> None:
    program = """
    import hashlib, threading
    def work():
        begin = time.thread_time()
        while time.thread_time() - begin < 0.3:
            hashlib.sha256(bytes(1 << 20)).digest()
    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads: thread.start()
    for thread in threads: thread.join()
    """
    assert keep(textwrap.dedent(program))["cpu"] == pytest.approx(0.6, abs=0.2)


def test_children_that_were_waited_for_count() -> None:
    program = """
    import os
    for _ in range(10):
        if os.fork() == 0:
            burn(0.05)
            os._exit(0)
        os.wait()
    """
    assert keep(textwrap.dedent(program))["cpu"] == pytest.approx(0.5, abs=0.2)


def test_a_double_fork_counts() -> None:
    program = """
    import os
    r, w = os.pipe()
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            burn(0.5)
        os._exit(0)
    os.close(w)
    os.wait()
    os.read(r, 1)
    """
    assert keep(textwrap.dedent(program))["cpu"] == pytest.approx(0.5, abs=0.2)


def test_children_that_nobody_waits_for_count() -> None:
    program = """
    import os, signal
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    r, w = os.pipe()
    if os.fork() == 0:
        burn(0.5)
        os._exit(0)
    os.close(w)
    os.read(r, 1)
    """
    # beside the kernel's count an estimate is taken, which a busy machine makes less sharp
    assert 0.4 < keep(textwrap.dedent(program))["cpu"] < 1.5


def test_a_swarm_of_short_lived_children_that_nobody_waits_for_is_not_free() -> None:
    # each lives shorter than the time between two looks
    program = """
    import os, signal
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    for _ in range(40):
        r, w = os.pipe()
        if os.fork() == 0:
            burn(0.015)
            os._exit(0)
        os.close(w)
        os.read(r, 1)
        os.close(r)
    """
    assert keep(textwrap.dedent(program))["cpu"] > 0.25  # of 0.6, by how often one was seen


@pytest.mark.parametrize(
    "program",
    [
        "import os, signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\nwhile True: time.sleep(60)",
        "import os\nfor _ in range(5):\n    if os.fork() == 0:\n        os.setsid()\nwhile True: time.sleep(60)",
        "import os\nif os.fork() == 0:\n    os.setsid()\n    if os.fork() == 0: time.sleep(60)\n    os._exit(0)",
    ],
    ids=["ignores SIGTERM", "many sessions", "daemon of a root that is gone"],
)
def test_nothing_is_left_after_a_kill(program: str) -> None:
    found = keep(program, seconds=0.5)
    assert found["clean"]
    assert found["kill"] < 30


@pytest.mark.parametrize("apart", [False, True], ids=["in its group", "in a session of its own"])
def test_a_child_that_was_born_while_one_looked_is_killed_too(apart: bool) -> None:
    """Only its dead parent was seen, and with that one reaped nothing seemed to be left."""
    parent = "import os, time\nif os.fork() == 0:\n    APART\n    time.sleep(600)\nos._exit(0)"
    program = f"""
import os, subprocess, sys, time
from mcp_server.runner.machine import tree as trees
trees.adopt_orphans()
program = {parent.replace("APART", "os.setsid()" if apart else "pass")!r}
process = subprocess.Popen([sys.executable, "-S", "-c", program], start_new_session=True)
process.returncode = 0
tree, real, looks = trees.Tree(process.pid), trees.pids, []
os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
ours = [pid for pid in real() if (stat := trees.read_stat(pid)) and stat.parent == os.getpid()]
child, = set(ours) - {{process.pid}}
while {apart} and trees.read_stat(child).group != child:
    time.sleep(0.01)
def listed():
    looks.append(1)
    return real() - {{child}} if len(looks) == 1 else real()
trees.pids = listed
print(tree.kill(), os.path.exists(f"/proc/{{child}}"))
if os.path.exists(f"/proc/{{child}}"):
    os.kill(child, 9)
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=Path(__file__).parents[2]
    )
    assert done.stdout.split() == ["True", "False"]


def test_a_fork_bomb_is_killed_without_a_namespace() -> None:
    program = """
    import os
    end = time.monotonic() + 20  # whatever becomes of the test, the bomb does not outlive it for long
    for _ in range(7):  # 128 processes that go on replacing each other
        os.fork()
    while time.monotonic() < end:
        if os.fork():
            os._exit(0)
    """
    found = keep(textwrap.dedent(program), enough=20)
    assert found["clean"]
    assert found["most"] > 20


def test_a_process_that_is_gone_has_no_stat() -> None:
    process = subprocess.Popen([sys.executable, "-c", ""])
    assert read_stat(process.pid) is not None
    process.wait()
    assert read_stat(process.pid) is None


def test_a_name_with_brackets_does_not_confuse() -> None:
    program = (
        "import ctypes, sys; ctypes.CDLL(None).prctl(15, b') Z 1 1', 0, 0, 0); print(flush=True); sys.stdin.read()"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        stat = read_stat(process.pid)
        assert stat is not None
        assert stat.parent == os.getpid()
        assert stat.state in "SR"
        assert time.monotonic() > 0
        process.communicate()


def test_a_process_whose_first_thread_left_still_shows_its_memory() -> None:
    program = """
import ctypes, sys, threading
def stay():
    block = bytearray(64 << 20)
    print(flush=True)
    sys.stdin.read()
threading.Thread(target=stay).start()
ctypes.CDLL(None).pthread_exit(None)
"""
    with subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        stat = read_stat(process.pid)
        assert stat is not None
        assert stat.resident_bytes > 60 << 20
        assert stat.state != "Z"
        process.kill()


# A keeper of two commands. One of them starts a child that burns, and is killed without it; the other one looks first.
TWO = """
import json, os, signal, subprocess, sys, time
from mcp_server.runner.machine.proc import read_stat
from mcp_server.runner.machine.tree import Tree, adopt_orphans
adopt_orphans()
quiet = subprocess.Popen(["sleep", "60"], start_new_session=True)
parent = subprocess.Popen([sys.executable, "-c", sys.argv[1]], start_new_session=True, stdout=subprocess.PIPE)
other, own = Tree(quiet.pid), Tree(parent.pid)
child = int(parent.stdout.readline())
own.sample(time.monotonic())
os.kill(parent.pid, signal.SIGKILL)
while read_stat(child).parent != os.getpid():
    time.sleep(0.01)
foreign = other.sample(time.monotonic() + 2).cpu_seconds
whole = own.sample(time.monotonic()).cpu_seconds
clean = own.kill() and other.kill()
quiet.returncode = parent.returncode = 0
print(json.dumps({"foreign": foreign, "own": whole, "clean": clean}))
"""


def test_an_orphan_stays_with_the_command_that_started_it_whichever_of_two_looks_first() -> None:
    program = """
    import os, sys
    child = os.fork()
    if child == 0:
        burn(0.5)
        print(os.getpid(), flush=True)
    time.sleep(60)
    """
    done = subprocess.run(
        [sys.executable, "-c", TWO, BURN + textwrap.dedent(program)],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[2],
    )
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["clean"]
    assert found["foreign"] < 0.1
    assert found["own"] > 0.4
