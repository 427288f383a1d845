"""Runs are bound to cores: which ones, how many, and whether all that a run starts is held to them."""

from __future__ import annotations

import json
import math
import os
from pathlib import Path

import pytest

from mcp_server.nouns.files import is_locked
from mcp_server.nouns.paths import device_locks_folder
from mcp_server.nouns.records import RunResult, RunSpec, RunState
from mcp_server.runner.environment import scorer_threads, threads
from mcp_server.runner.machine import cgroup, cores
from mcp_server.runner.machine.devices import Lease
from mcp_server.runner.process.limits import available_memory
from tests.runs import RunFolder

ALL = sorted(os.sched_getaffinity(0))
STARTS = """
import json, os, subprocess, sys, threading, time
marks = os.fdopen(int(os.environ["AUTORESEARCH_MARKS"]), "w")
print(json.dumps({"event": "start"}), file=marks, flush=True)
out = os.environ["AUTORESEARCH_OUT"]
def leave(what):
    open(out + "/answer.txt", "w").write("0.5")
    open(out + "/seen.json", "w").write(json.dumps(what))
"""
several = pytest.mark.skipif(len(ALL) < 2, reason="one core is no choice")


def seen(run: RunFolder) -> list[list[int]]:
    found: list[list[int]] = json.loads((run.paths.artifact / "seen.json").read_text())
    return found


def test_idle_cores_are_taken_before_busy_ones() -> None:
    assert cores.least_busy((0, 1, 2, 3), {0: 9, 1: 0, 2: 4, 3: 0}, {}) == [1, 3, 2, 0]


def test_a_physical_core_is_shared_only_when_each_has_one_already() -> None:
    pairs = {0: (0, 1), 1: (0, 1), 2: (2, 3), 3: (2, 3)}
    assert cores.least_busy((0, 1, 2, 3), {}, pairs) == [0, 2, 1, 3]


def test_no_two_runs_hold_the_same_core(tmp_path: Path) -> None:
    first = cores.lease(tmp_path, [3, 1, 2], 2)
    second = cores.lease(tmp_path, [3, 1, 2], 2)
    assert (first.cores, second.cores) == ((3, 1), (2,))
    first.release()
    assert cores.lease(tmp_path, [3, 1, 2], 2).cores == (3, 1)


@several
def test_a_run_and_all_that_it_starts_is_bound_to_as_many_cores_as_it_has_threads(tmp_path: Path) -> None:
    train = STARTS + (
        "mine = [sorted(os.sched_getaffinity(0))]\n"
        "one = threading.Thread(target=lambda: mine.append(sorted(os.sched_getaffinity(0))))\none.start(); one.join()\n"
        "print_it = 'import os; print(*os.sched_getaffinity(0))'\n"
        "child = subprocess.run([sys.executable, '-S', '-c', print_it], capture_output=True, text=True, check=True)\n"
        "leave(mine + [[int(word) for word in child.stdout.split()]])\n"
    )
    one = RunFolder(tmp_path, train=train, budget={"clock": "cpu"})
    result = one.carry_out()
    assert result.state is RunState.SCORED
    assert len(result.cores) == 1
    assert seen(one) == [list(result.cores)] * 3
    two = RunFolder(tmp_path, train=train, number=2, budget={"clock": "cpu"}, spec={"threads": 2})
    result = two.carry_out()
    assert len(result.cores) == 2
    assert seen(two) == [sorted(result.cores)] * 3
    assert not any(is_locked(cores.lock_path(device_locks_folder(), core)) for core in ALL)


@several
def test_a_run_that_takes_more_cores_is_put_back(tmp_path: Path) -> None:
    train = STARTS + (
        f"os.sched_setaffinity(0, {ALL})\n"
        "ends = time.monotonic() + 60\n"
        "while len(os.sched_getaffinity(0)) > 1 and time.monotonic() < ends: time.sleep(0.05)\n"
        "leave([sorted(os.sched_getaffinity(0))])\n"
    )
    run = RunFolder(tmp_path, train=train, budget={"clock": "cpu", "seconds": 60})
    result = run.carry_out()
    assert seen(run) == [list(result.cores)]


def test_where_cores_cannot_be_had_the_record_says_so(tmp_path: Path) -> None:
    held = cores.lease(device_locks_folder(), ALL, len(ALL))  # as a machine without affinity calls has none to give
    result = RunFolder(tmp_path, budget={"clock": "cpu"}).carry_out()
    held.release()
    assert (result.state, result.cores) == (RunState.SCORED, ())
    assert "unbound" in result.flags


def test_a_control_groups_share_is_less_than_its_cores(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = RunSpec.read(RunFolder(tmp_path).lay_out().spec)
    monkeypatch.setattr(cgroup, "GROUPS", tmp_path)
    monkeypatch.delenv("AUTORESEARCH_THREADS", raising=False)
    assert cores.usable() == len(ALL)
    (tmp_path / "cpu.max").write_text("100000 100000\n")
    assert cores.usable() == 1
    assert (scorer_threads(spec), threads(spec, Lease("cuda:0", -1))) == (1, 1)
    (tmp_path / "cpu.max").write_text("max 100000\n")
    assert cores.usable() == len(ALL)


def test_the_least_of_the_groups_above_a_job_limits_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As Slurm has it: what limits a job stands on its group, and the task's own says `max`."""
    monkeypatch.setattr(cgroup, "GROUPS", tmp_path)
    monkeypatch.setattr(cgroup, "OWN", str(tmp_path / "own"))
    (tmp_path / "own").write_text("0::/slurm/job_7/task_0\n")
    task = tmp_path / "slurm" / "job_7" / "task_0"
    task.mkdir(parents=True)
    before = available_memory()
    for folder, cpu, memory in ((task, "max 100000", "max"), (task.parent, "150000 100000", "4000000000")):
        (folder / "cpu.max").write_text(f"{cpu}\n")
        (folder / "memory.max").write_text(f"{memory}\n")
        (folder / "memory.current").write_text("3500000000\n")
        (folder / "memory.stat").write_text("anon 500000000\ninactive_file 2000000000\nactive_file 1000000000\n")
    assert (cgroup.processors(), cgroup.memory_bytes()) == (1.5, 4e9)
    assert available_memory() == min(before, 3.5e9)  # files in memory make room
    (task.parent / "memory.current").write_text("9000000000\n")
    assert 0 < available_memory() < 10  # nothing is left, which is not the same as nobody tells


def test_a_container_whose_group_has_another_name_outside_sees_its_own_limits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cgroup, "GROUPS", tmp_path)
    monkeypatch.setattr(cgroup, "OWN", str(tmp_path / "own"))
    for name in (b"/", b"/docker/12ab", b"/../../12ab", b"/caf\xe9"):
        (tmp_path / "own").write_bytes(b"1:name=systemd:/x\n0::" + name + b"\n")
        (tmp_path / "memory.max").write_text("2000000000\n")
        assert cgroup.memory_bytes() == 2e9
    (tmp_path / "own").unlink()
    (tmp_path / "memory.max").unlink()
    assert (cgroup.memory_bytes(), cgroup.free_memory(), cgroup.processors()) == (math.inf, math.inf, None)


def test_records_of_older_versions_have_no_cores_and_no_clock() -> None:
    old = RunResult.model_validate_json('{"state": "scored", "score": 0.5, "incumbent": 3, "incumbent_score": 0.6}')
    assert (old.cores, old.clock, old.pairing, old.beside) == ((), "", "", None)
