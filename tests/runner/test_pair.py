"""Two trainers in one slot: the same machine for both, and every way in which one of them can end."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from mcp_server.engines.local import LOCAL
from mcp_server.nouns.files import is_locked
from mcp_server.nouns.paths import device_locks_folder
from mcp_server.nouns.records import RunResult, RunSpec, RunState, Tier
from mcp_server.runner.machine import cores, devices
from mcp_server.runner.sandbox import probe
from tests.labs import until
from tests.runner.test_supervisor import STARTS, WAITS, alive_with, device_is_free, gone
from tests.runs import HONEST, INCUMBENT, RunFolder

ALL = sorted(os.sched_getaffinity(0))
several = pytest.mark.skipif(len(ALL) < 2, reason="side by side takes two cores")
LEAVES = "open(out + '/answer.txt', 'w').write('0.25')\n"
CRASHES = STARTS + "time.sleep(0.3)\nraise ValueError('too steep')\n"

# Counts the steps of its processor seconds. A step copies a block that a busy neighbour pushes from the cache.
STEPS = """
import json, os, time
marks = os.fdopen(int(os.environ["AUTORESEARCH_MARKS"]), "w")
block = bytearray(1 << 22)
print(json.dumps({"event": "start"}), file=marks, flush=True)
budget, begin, step, cores = float(os.environ["AUTORESEARCH_BUDGET_SECONDS"]), time.process_time(), 0, set()
while time.process_time() - begin < budget:
    for _ in range(2):
        block[:] = bytes(block)
    step += 1
    cores |= os.sched_getaffinity(0)
    if step % 20 == 0:
        print(json.dumps({"event": "step", "step": step, "tokens": step, "loss": 1.0}), file=marks, flush=True)
print(json.dumps({"event": "step", "step": step + 1, "tokens": step + 1, "loss": 1.0}), file=marks, flush=True)
with open(os.environ["AUTORESEARCH_OUT"] + "/answer.txt", "w") as file:
    file.write(str(step))
with open(os.environ["AUTORESEARCH_OUT"] + "/cores.json", "w") as file:
    file.write(json.dumps(sorted(cores)))
"""
BUSY = "block = bytearray(1 << 24)\nwhile True: block[:] = bytes(block)"


@contextmanager
def neighbours(count: int) -> Iterator[None]:
    busy = [subprocess.Popen([sys.executable, "-S", "-c", BUSY]) for _ in range(count)]
    try:
        yield
    finally:
        for process in busy:
            process.kill()
            process.wait()


def nothing_is_left(run: RunFolder) -> None:
    assert alive_with(str(run.paths.folder) + "/") == []
    assert device_is_free()
    assert not any(is_locked(cores.lock_path(device_locks_folder(), core)) for core in ALL)


def pair(folder: Path, train: str, incumbent: str, **more: Any) -> RunFolder:
    return RunFolder(folder, train=train, incumbent=incumbent, **more)


@several
def test_both_halves_are_trained_sealed_and_scored_and_neither_can_tell_which_it_is(tmp_path: Path) -> None:
    tells = (
        STARTS + LEAVES + "print(os.getcwd(), sorted(n for n in os.environ.items() if n[0] != 'AUTORESEARCH_MARKS'))\n"
    )
    run = pair(tmp_path, tells.replace("0.25", "0.5"), tells)
    result = run.carry_out()
    assert (result.state, result.score, result.incumbent_score) == (RunState.SCORED, 0.5, 0.25)
    assert (result.pairing, result.incumbent, result.flags) == ("side_by_side", INCUMBENT, ())
    assert result.beside is not None
    assert result.beside.reason == ""
    assert result.beside.artifact_sha256 not in (None, result.artifact_sha256)
    assert {*result.cores} & {*result.beside.cores} == set()
    said = run.paths.log.read_text()
    assert str(run.paths.out) in said
    if probe().tier is Tier.T2:
        assert run.paths.beside(INCUMBENT).log.read_text() == said
    nothing_is_left(run)


@several
def test_cores_are_exchanged_and_equal_code_agrees_far_better_than_in_two_runs(tmp_path: Path) -> None:
    budget = {"seconds": 1.0, "clock": "cpu", "grace_seconds": 20}
    with neighbours(2):
        beside = pair(tmp_path, STEPS, STEPS, budget=budget)
        loaded = beside.carry_out()
    alone = RunFolder(tmp_path, train=STEPS, number=2, budget=budget).carry_out()
    assert loaded.score is not None
    assert loaded.incumbent_score is not None
    assert alone.score is not None
    for artifact in (beside.paths.artifact, beside.paths.beside(INCUMBENT).artifact):
        assert len(json.loads((artifact / "cores.json").read_text())) == 2
    apart, between = abs(loaded.score / loaded.incumbent_score - 1), abs(loaded.score / alone.score - 1)
    assert apart < max(0.08, between / 2)


# goes on until it has stood still for a while, and leaves from when until when
STOOD = """
stood, last = [ready, ready], ready
while stood[1] - stood[0] < 2.0 and last < ready + 60:
    time.sleep(0.01)
    now = time.monotonic()
    stood, last = max(stood, [last, now], key=lambda one: one[1] - one[0]), now
open(out + '/when', 'w').write(json.dumps([ready, stood]))
"""


@several
def test_whoever_is_ready_first_waits_for_the_other_and_no_clock_counts_it(tmp_path: Path) -> None:
    early = STARTS.replace("print(", "ready = time.monotonic()\nprint(", 1)
    late = (
        early.replace("ready =", "time.sleep(4.0)\nready =", 1)
        + "open(out + '/when', 'w').write(json.dumps([ready, []]))\n"
        + LEAVES
    )
    began = time.monotonic()
    run = pair(tmp_path, early + STOOD + LEAVES, late, budget={"clock": "cpu", "seconds": 60})
    result = run.carry_out()
    assert result.incumbent_score == 0.25
    (ours_ready, stood), (theirs_ready, _) = (json.loads((place / "when").read_text()) for place in _artifacts(run))
    assert stood[0] < theirs_ready < stood[1]  # nobody goes on before both are ready
    assert result.startup_seconds is not None
    assert result.startup_seconds < (ours_ready - began) + (theirs_ready - ours_ready) / 2


def _artifacts(run: RunFolder) -> tuple[Path, Path]:
    return run.paths.artifact, run.paths.beside(INCUMBENT).artifact


def test_on_one_core_they_take_turns_and_no_limit_counts_the_others_turn(tmp_path: Path) -> None:
    budget = {"seconds": 0.8, "clock": "cpu", "grace_seconds": 20}
    result = pair(tmp_path, STEPS, STEPS, budget=budget, spec={"pairing": "alternating"}).carry_out()
    assert (result.state, result.pairing) == (RunState.SCORED, "alternating")
    assert result.beside is not None
    assert result.cores == result.beside.cores
    assert result.incumbent_score is not None
    assert result.wall_seconds is not None
    assert result.wall_seconds > 1.4  # both budgets went by


@several
def test_a_pair_that_finds_one_core_free_takes_turns_on_it(tmp_path: Path) -> None:
    held = cores.lease(device_locks_folder(), ALL, len(ALL) - 1)
    result = pair(tmp_path, STEPS, STEPS, budget={"seconds": 0.3, "clock": "cpu", "grace_seconds": 20}).carry_out()
    held.release()
    assert (result.pairing, result.state, len(result.cores)) == ("alternating", RunState.SCORED, 1)


@several
def test_a_candidate_that_crashes_ends_the_incumbents_half_and_nothing_of_it_counts(tmp_path: Path) -> None:
    run = pair(tmp_path, CRASHES, WAITS)
    result = run.carry_out()
    assert (result.state, result.reason) == (RunState.CRASHED, "nonzero_exit")
    assert (result.incumbent_score, result.beside) == (None, None)
    nothing_is_left(run)


@several
@pytest.mark.parametrize(
    ("incumbent", "reason", "budget"),
    [
        (CRASHES, "nonzero_exit", {}),
        (WAITS, "over_budget", {"seconds": 1.0, "grace_seconds": 0.3}),
        (STARTS + "held = bytearray(200_000_000)\nfor i in range(0, len(held), 4096): held[i] = 1\ntime.sleep(600)\n",
         "out_of_memory", {"memory_gb": 0.1}),
        (STARTS + "os.symlink('/etc/passwd', out + '/answer.txt')\n", "bad_output", {}),
        (STARTS + "open(out + '/answer.txt', 'w').write('nothing')\n", "scorer_failed", {}),
    ],
)  # fmt: skip
def test_an_incumbent_whose_half_dies_leaves_the_candidate_scored_alone(
    tmp_path: Path, incumbent: str, reason: str, budget: dict[str, float]
) -> None:
    run = pair(tmp_path, HONEST, incumbent, budget=budget)
    result = run.carry_out()
    assert (result.state, result.score, result.incumbent_score) == (RunState.SCORED, 0.5, None)
    assert "pair_broken" in result.flags
    assert result.beside is not None
    assert result.beside.reason == reason
    assert "measured alone" in result.beside.detail
    nothing_is_left(run)


@several
@pytest.mark.parametrize("where", ["training", "scoring"])
def test_a_pair_can_be_cancelled_anywhere(tmp_path: Path, where: str) -> None:
    code = (WAITS, WAITS) if where == "training" else (HONEST, HONEST)
    run = pair(tmp_path, *code, score="import time; time.sleep(600)")
    run.wait_for(where, run.start())
    LOCAL.cancel(run.paths)
    result = run.wait()
    assert (result.state, result.reason, result.incumbent_score) == (RunState.CANCELLED, "cancelled", None)
    nothing_is_left(run)


@several
@pytest.mark.skipif(probe().tier is not Tier.T2, reason="only a process namespace promises this")
@pytest.mark.parametrize("pairing", ["side_by_side", "alternating"])
def test_a_killed_supervisor_takes_both_halves_along_even_one_that_stands_still(tmp_path: Path, pairing: str) -> None:
    held = STARTS.partition("print(")[0] + "import time; time.sleep(600)\n"  # the other waits for its start mark
    for number, incumbent in enumerate((WAITS, held) if pairing == "side_by_side" else (WAITS,), start=1):
        run = pair(tmp_path, WAITS, incumbent, number=number, spec={"pairing": pairing}, budget={"clock": "cpu"})
        pid = run.start()
        run.wait_for("training", pid)
        victims = until(lambda out=str(run.paths.out): found if len(found := alive_with(out)) >= 2 else None)
        os.kill(pid, signal.SIGKILL)
        gone(victims)
        assert not LOCAL.alive(run.paths)
        nothing_is_left(run)


@several
def test_a_sealed_pair_is_asked_about_again_without_training_again(tmp_path: Path) -> None:
    run = pair(tmp_path, HONEST, STARTS + LEAVES, score='print(\'{"pending": true, "retry_after_seconds": 1}\')')
    first = run.carry_out()
    assert (first.state, first.incumbent_score) == (RunState.PENDING, None)
    (run.paths.trusted / "score.py").write_text(run.__class__(tmp_path).score)
    spec: RunSpec = RunSpec.read(run.paths.spec)
    spec.model_copy(update={"rescore": True, "ticket": spec.ticket + 1000}).write(run.paths.spec)
    second = run.carry_out()
    assert (second.score, second.incumbent_score, second.flags) == (0.5, 0.25, ())
    assert second.train_seconds == first.train_seconds
    (run.paths.beside(INCUMBENT).artifact / "answer.txt").chmod(0o644)
    (run.paths.beside(INCUMBENT).artifact / "answer.txt").write_text("0.1")
    third = run.carry_out()
    assert (third.state, third.score, third.incumbent_score) == (RunState.SCORED, 0.5, None)
    assert "pair_broken" in third.flags


def test_equal_cards_are_found_by_their_model() -> None:
    models = {"0": "H100", "1": "A100", "2": "H100", "3": ""}
    cards = ("cuda:0", "cuda:1", "cuda:2", "cuda:3", "cpu")
    assert devices.equal_cards(cards, models.__getitem__) == [("cuda:0", "cuda:2")]


def test_a_record_of_a_pair_reads_back_as_it_was_written(tmp_path: Path) -> None:
    half = {"reason": "over_budget", "steps": 3, "cores": [1]}
    written = RunResult.model_validate({"state": "scored", "pairing": "side_by_side", "beside": half})
    written.write(tmp_path / "result.json")
    assert RunResult.read(tmp_path / "result.json") == written
