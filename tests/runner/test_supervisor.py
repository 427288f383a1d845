"""The real supervisor on tiny runs: every way in which a run can end."""

from __future__ import annotations

import itertools
import json
import os
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mcp_server.engines.local import LOCAL
from mcp_server.nouns.files import is_locked, locked, remove
from mcp_server.nouns.paths import device_locks_folder
from mcp_server.nouns.records import RunResult, RunSpec, RunState, Tier
from mcp_server.runner.machine.devices import lock_path
from mcp_server.runner.sandbox import probe
from mcp_server.runner.seal import measure
from tests.labs import until
from tests.runs import HONEST, NET, RunFolder

STARTS = """
import json, os, signal, sys, time
marks = os.fdopen(int(os.environ["AUTORESEARCH_MARKS"]), "w")
print(json.dumps({"event": "start"}), file=marks, flush=True)
out = os.environ["AUTORESEARCH_OUT"]
"""
WAITS = STARTS + "time.sleep(600)\n"


def alive_with(text: str) -> list[int]:
    """Processes whose environment mentions `text`."""
    found = []
    for name in os.listdir("/proc"):
        try:
            if name.isdigit() and text.encode() in Path(f"/proc/{name}/environ").read_bytes():
                found.append(int(name))
        except OSError:
            continue
    return found


def gone(pids: list[int]) -> None:
    """Wait for processes to be gone."""
    for pid in pids:
        try:
            fd = os.pidfd_open(pid)
        except ProcessLookupError:
            continue
        ready, _, _ = select.select([fd], [], [], 300.0)  # a net, not a measurement
        os.close(fd)
        assert ready, f"process {pid} is still alive"


def device_is_free() -> bool:
    return not is_locked(lock_path(device_locks_folder(), "cpu"))


def test_an_honest_run_is_scored(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    result = run.carry_out()
    assert (result.state, result.score, result.reason) == (RunState.SCORED, 0.5, "")
    assert result.tier is probe().tier
    assert result.steps == 1
    assert result.tokens == 64
    assert result.device is not None
    assert result.device.speed is not None
    assert None not in (result.startup_seconds, result.train_seconds, result.cpu_seconds, result.score_seconds)
    assert measure(run.paths.artifact).sha256 == result.artifact_sha256
    assert run.paths.begun.exists()
    assert not is_locked(run.paths.alive)
    assert device_is_free()
    assert not list((run.spec.get("queue") or run.paths.folder.parents[3] / "queue").iterdir())
    assert alive_with(str(run.paths.out)) == []


def test_a_trainer_that_fails_is_explained(tmp_path: Path) -> None:
    result = RunFolder(tmp_path, train="def loop():\n    raise ValueError('too steep')\n\nloop()\n").carry_out()
    assert (result.state, result.reason, result.score) == (RunState.CRASHED, "nonzero_exit", None)
    assert result.crash is not None
    assert result.crash.kind == "ValueError"
    assert result.crash.frames == (
        "train.py:4 in <module>: loop()",
        "train.py:2 in loop: raise ValueError('too steep')",
    )
    assert "too steep" in result.detail


def test_what_was_printed_never_becomes_the_score(tmp_path: Path) -> None:
    train = HONEST + 'print("val_bpb: 0.01"); print(\'{"score": 0.01}\')\n'
    assert RunFolder(tmp_path, train=train).carry_out().score == 0.5


def test_a_budget_that_ends_asks_first_and_the_answer_is_not_scored(tmp_path: Path) -> None:
    train = STARTS + (
        "def bye(*_):\n    open(out + '/answer.txt', 'w').write('0.1')\n    print('asked'); sys.exit(0)\n"
        "signal.signal(signal.SIGTERM, bye)\ntime.sleep(600)\n"
    )
    run = RunFolder(tmp_path, train=train, budget={"seconds": 0.5, "grace_seconds": 5})
    result = run.carry_out()
    assert (result.state, result.reason, result.score) == (RunState.TIMEOUT, "over_budget", None)
    assert "asked" in run.paths.log.read_text()
    assert not run.paths.artifact.exists()


def test_a_processor_budget_ends_by_processor_time(tmp_path: Path) -> None:
    train = STARTS + "while True: pass\n"
    result = RunFolder(tmp_path, train=train, budget={"seconds": 0.6, "clock": "cpu", "grace_seconds": 0.2}).carry_out()
    assert (result.state, result.reason) == (RunState.TIMEOUT, "over_budget")
    assert result.train_seconds is not None
    assert result.train_seconds > 0.6
    assert result.cpu_seconds is not None
    assert result.cpu_seconds >= result.train_seconds


def test_an_answer_that_tells_of_as_many_examples_as_may_be_is_read_whole(tmp_path: Path) -> None:
    tells = 'import json\nunits = {f"example number {n} of many": 0.5 for n in range(20_000)}\n'
    result = RunFolder(tmp_path, score=tells + 'print(json.dumps({"score": 0.5, "units": units}))\n').carry_out()
    assert (result.state, len(result.units)) == (RunState.SCORED, 20_000), result.detail


def test_folders_in_folders_that_a_score_or_view_command_leaves_are_no_reason_to_lose_a_run(tmp_path: Path) -> None:
    nests = (
        "import os, sys\n"
        "here = os.environ.get('AUTORESEARCH_VIEW') or os.environ['AUTORESEARCH_UNITS']\n"
        "os.chdir(here)\n"
        "for _ in range(1200): os.mkdir('d'); os.chdir('d')\n"
        "print('{\"score\": 0.5}')\n"
    )
    command = ("python", "score.py")
    run = RunFolder(tmp_path, score=nests, spec={"suite": {"once more": command}, "view": command})
    try:
        result = run.carry_out()
    finally:
        remove(run.paths.folder)  # pytest cannot
    assert (result.state, result.suite, result.view) == (RunState.SCORED, {"once more": 0.5}, "")


def test_the_checks_run_and_a_failed_one_costs_no_score(tmp_path: Path) -> None:
    checks = (
        ("python", "-c", "import pathlib; assert pathlib.Path('train.py').exists()"),
        ("python", "-c", "print('17 tests failed'); raise SystemExit(3)"),
    )
    result = RunFolder(tmp_path, spec={"checks": checks}).carry_out()
    assert (result.state, result.score) == (RunState.SCORED, 0.5)
    assert "checks_failed" in result.flags
    assert "17 tests failed" in result.detail
    assert "status 3" in result.detail
    assert "pathlib" not in result.detail


def test_a_check_can_change_nothing(tmp_path: Path) -> None:
    check = ("python", "-c", "open('train.py', 'a').write('# changed')")
    run = RunFolder(tmp_path, spec={"checks": (check,)})
    result = run.carry_out()
    assert "checks_failed" in result.flags
    assert "changed" not in (run.paths.work / "train.py").read_text()


@pytest.mark.parametrize(
    ("score", "state", "reason"),
    [
        ('print(\'{"pending": true, "retry_after_seconds": 60}\')', RunState.PENDING, ""),
        ('print(\'{"rejected": "too_good", "detail": "no"}\')', RunState.REJECTED, "too_good"),
        ("print('0.5')", RunState.CRASHED, "scorer_failed"),
        ("print('{\"score\": 1}'); raise SystemExit(1)", RunState.CRASHED, "scorer_failed"),
        ("import time; time.sleep(600)", RunState.CRASHED, "scorer_timeout"),
    ],
)
def test_a_scorer_may_answer_something_else(tmp_path: Path, score: str, state: RunState, reason: str) -> None:
    seconds = 1.0 if reason == "scorer_timeout" else NET
    run = RunFolder(tmp_path, score=score, spec={"score_seconds": seconds})
    result = run.carry_out()
    assert (result.state, result.reason, result.score) == (state, reason, None)
    assert alive_with(str(run.paths.artifact)) == []
    assert result.artifact_sha256 is not None


def test_a_run_is_scored_again_without_training_again(tmp_path: Path) -> None:
    run = RunFolder(tmp_path, score='print(\'{"pending": true, "retry_after_seconds": 1}\')')
    first = run.carry_out()
    (run.paths.trusted / "score.py").write_text("print('{\"score\": 7}')")
    spec: RunSpec = RunSpec.read(run.paths.spec)
    spec.model_copy(update={"rescore": True, "ticket": spec.ticket + 1000}).write(run.paths.spec)
    second = run.carry_out()
    assert (second.state, second.score) == (RunState.SCORED, 7.0)
    assert second.train_seconds == first.train_seconds
    assert second.artifact_sha256 == first.artifact_sha256


def test_an_artifact_that_changed_after_its_seal_is_not_scored_again(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    run.carry_out()
    (run.paths.artifact / "answer.txt").chmod(0o644)
    (run.paths.artifact / "answer.txt").write_text("0.1")
    spec: RunSpec = RunSpec.read(run.paths.spec)
    spec.model_copy(update={"rescore": True}).write(run.paths.spec)
    result = run.carry_out()
    assert (result.state, result.score) == (RunState.REJECTED, None)


def test_the_language_model_scorer_finds_an_empty_artifact_without_being_asked(tmp_path: Path) -> None:
    result = RunFolder(
        tmp_path, train="", spec={"score_command": ("python", "-m", "mcp_server.scoring.lm")}
    ).carry_out()
    assert (result.state, result.reason) == (RunState.CRASHED, "no_artifact")


def test_a_snapshot_changed_from_outside_during_the_run_is_put_back(tmp_path: Path) -> None:
    train = STARTS + (
        "open(out + '/answer.txt', 'w').write('0.5')\n"
        "while 'cheat' not in open('train.py').read(12): time.sleep(0.01)\n"
    )
    run = RunFolder(tmp_path, train=train, budget={"seconds": 60})
    run.wait_for("training", run.start())
    original = (run.paths.work / "train.py").read_text()
    (run.paths.work / "train.py").write_text("cheat = True")
    result = run.wait()
    assert "snapshot_restored" in result.flags
    assert (run.paths.work / "train.py").read_text() == original


@pytest.mark.parametrize("how", ["cancelled", "shut down"])
@pytest.mark.parametrize("where", ["training", "scoring", "waiting"])
def test_a_run_can_be_cancelled_anywhere_and_a_machine_that_is_shut_down_cancels_none(
    tmp_path: Path, how: str, where: str
) -> None:
    run = RunFolder(tmp_path, score="import time; time.sleep(600)")
    if where == "training":
        run.train = WAITS
    blocker = RunFolder(tmp_path, train=WAITS, number=2)
    blocking = blocker.start() if where == "waiting" else 0
    if blocking:
        blocker.wait_for("training", blocking)
    pid = run.start()
    run.wait_for(where, pid)
    if how == "cancelled":
        LOCAL.cancel(run.paths)
        result = run.wait()
        assert (result.state, result.reason) == (RunState.CANCELLED, "cancelled")
    else:
        os.kill(pid, signal.SIGTERM)
        with locked(run.paths.alive):
            assert not run.paths.result.exists()  # lost, and scored again where it was sealed
        assert run.paths.sealed.exists() is (where == "scoring")
        assert run.paths.begun.exists() is (where != "waiting")  # started again where it only waited
    assert alive_with(str(run.paths.folder) + "/") == []
    if blocking:
        LOCAL.cancel(blocker.paths)
        blocker.wait()


@pytest.mark.skipif(probe().tier is not Tier.T2, reason="only a process namespace promises this")
def test_a_killed_supervisor_takes_everything_along(tmp_path: Path) -> None:
    train = STARTS + (
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "if os.fork() == 0:\n    os.setsid()\n    os.fork()\ntime.sleep(600)\n"
    )
    run = RunFolder(tmp_path, train=train)
    pid = run.start()
    run.wait_for("training", pid)
    until(lambda: len(alive_with(str(run.paths.out))) >= 3)  # it says that it begins before it has forked
    victims = alive_with(str(run.paths.out))
    os.kill(pid, signal.SIGKILL)
    gone(victims)
    with pytest.raises(AssertionError):
        run.wait()
    assert not LOCAL.alive(run.paths)
    assert device_is_free()
    assert run.paths.begun.exists()  # so the lab calls it lost


def test_a_killed_supervisor_takes_its_trainer_along_at_t1(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The trainer itself; a daemon of its making may outlive it there, as docs/trust.md says."""
    monkeypatch.setenv("AUTORESEARCH_TIER", "T1")
    run = RunFolder(tmp_path, train=WAITS)
    pid = run.start()
    run.wait_for("training", pid)
    victims = alive_with(str(run.paths.out))
    assert len(victims) == 1
    os.kill(pid, signal.SIGKILL)
    gone(victims)
    assert not LOCAL.alive(run.paths)


def test_a_lost_run_can_be_started_again(tmp_path: Path) -> None:
    run = RunFolder(tmp_path, train=STARTS + "open(out + '/stale', 'w').close()\ntime.sleep(600)\n")
    pid = run.start()
    run.wait_for("training", pid)
    os.kill(pid, signal.SIGKILL)
    with pytest.raises(AssertionError):
        run.wait()
    (run.paths.work / "train.py").write_text(HONEST)
    result = run.carry_out()
    assert result.state is RunState.SCORED
    assert sorted(path.name for path in run.paths.artifact.iterdir()) == ["answer.txt"]


def test_two_runs_never_share_a_device(tmp_path: Path) -> None:
    train = STARTS + (
        "begin = time.monotonic(); time.sleep(0.3)\n"
        "open(out + '/answer.txt', 'w').write('0.5')\n"
        "open(out + '/when', 'w').write(json.dumps([begin, time.monotonic()]))\n"
    )
    runs = [RunFolder(tmp_path, train=train, number=number) for number in (1, 2, 3)]
    for run in runs:
        run.start()
    assert [run.wait().state for run in runs] == [RunState.SCORED] * 3
    spans = sorted(json.loads((run.paths.artifact / "when").read_text()) for run in runs)
    assert all(earlier[1] <= later[0] for earlier, later in itertools.pairwise(spans))


def test_an_arena_that_requires_a_sandbox_is_refused_below_t2(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUTORESEARCH_TIER", "T1")
    run = RunFolder(tmp_path, spec={"require_sandbox": True})
    result = run.carry_out()
    assert (result.state, result.reason, result.score) == (RunState.CRASHED, "no_sandbox", None)
    assert "AUTORESEARCH_TIER" in result.detail
    assert not run.paths.out.exists()


@pytest.mark.parametrize("tier", ["T1", "T0"])
def test_below_t2_an_honest_run_is_scored_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tier: str
) -> None:
    monkeypatch.setenv("AUTORESEARCH_TIER", tier)
    run = RunFolder(tmp_path)
    result = run.carry_out()
    assert (result.state, result.score) == (RunState.SCORED, 0.5)
    assert result.tier == tier
    assert not (run.paths.folder / "scratch").exists()


def test_a_stopped_supervisor_leaves_the_run_unscored(tmp_path: Path) -> None:
    run = RunFolder(tmp_path, train=WAITS, budget={"seconds": 60})
    pid = run.start()
    run.wait_for("training", pid)
    os.kill(pid, signal.SIGSTOP)
    time.sleep(5.5)  # as long as it takes to be noticed; there is nothing to wait for but time
    os.kill(pid, signal.SIGCONT)
    result = run.wait()
    assert (result.state, result.reason, result.score) == (RunState.TIMEOUT, "suspended", None)
    assert "supervisor_stopped" in result.flags


def test_a_second_supervisor_is_turned_away(tmp_path: Path) -> None:
    run = RunFolder(tmp_path, train=WAITS)
    pid = run.start()
    run.wait_for("training", pid)
    again = subprocess.run(
        [sys.executable, "-m", "mcp_server.runner", run.paths.folder],
        capture_output=True,
        text=True,
        check=False,
        cwd=Path(__file__).parents[2],
    )
    assert again.returncode == 3
    assert "living supervisor" in again.stderr
    LOCAL.cancel(run.paths)
    assert run.wait().state is RunState.CANCELLED


@pytest.mark.skipif(os.getuid() != 0, reason="only root can mount a small disk")
def test_a_full_disk_is_said_and_the_device_is_free(tmp_path: Path) -> None:
    small = tmp_path / "small"
    small.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", small], check=True)
    try:
        train = STARTS + "open(out + '/answer.txt', 'wb').write(bytes(8 << 20))\n"
        run = RunFolder(small, train=train)
        result = run.carry_out()
        assert (result.state, result.reason) == (RunState.CRASHED, "disk_full")
        assert device_is_free()
        assert isinstance(RunResult.read(run.paths.result), RunResult)
    finally:
        subprocess.run(["umount", "--lazy", small], check=True)


def test_a_waiting_supervisor_costs_little(tmp_path: Path) -> None:
    blocker = RunFolder(tmp_path, train=WAITS, number=2)
    blocker.wait_for("training", blocker.start())
    run = RunFolder(tmp_path)
    pid = run.start()
    run.wait_for("waiting", pid)
    status = Path(f"/proc/{pid}/status").read_text()
    resident_kb = int(status.split("VmRSS:")[1].split()[0])
    assert resident_kb < 60_000
    for folder in (run, blocker):
        LOCAL.cancel(folder.paths)
        folder.wait()
