"""Luck cannot be bought: whoever runs a code again on a seed has looked again, unless the machine took the run away."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from mcp_server.judging.looks import MOST_EXCUSED, MOST_REPEATS, excused, looks
from mcp_server.lab import Lab
from mcp_server.nouns.records import Crash, RunProgress, RunResult, RunState
from mcp_server.nouns.rows import Run
from tests.labs import edit, make_lab
from tests.played import Clock, Played


def run(state: RunState, seed: int = 7, purpose: str = "first", tainted: str = "", **result: Any) -> Run:
    said = RunResult(state=state, tainted=tainted, **result)
    return Run(1, "t", 2, 1, seed, purpose, state, "", None, said.score, tainted, "", None, said)


LOST = run(RunState.LOST)
SCORED = run(RunState.SCORED, score=1.0)
TAINTED = run(RunState.SCORED, score=1.0, tainted="3 cores")
CANCELLED = run(RunState.CANCELLED, reason="cancelled")
OWN_DISK = run(RunState.CRASHED, reason="disk_full")
SAYS_DISK = run(RunState.CRASHED, reason="disk_full", crash=Crash(kind="OSError", message="[Errno 28] no space"))


@pytest.fixture
def lab(tmp_path: Path, clock: Clock, engine: Played) -> Lab:
    made = Lab(make_lab(tmp_path / "lab").paths.tree, clock)
    made.start_campaign("first", calibrate=0)
    engine.end("scored", 4.0)
    made.lab_status()
    edit(made, KNOB=2.0)
    return made


def test_only_what_the_supervisor_saw_from_outside_is_excused() -> None:
    assert [excused(one) for one in (LOST, TAINTED, OWN_DISK)] == [True] * 3
    said_by_itself = (SCORED, CANCELLED, SAYS_DISK, run(RunState.CRASHED), run(RunState.TIMEOUT))
    assert [excused(one) for one in said_by_itself] == [False] * 5


def test_looks_are_counted_by_seed_and_excuses_are_capped() -> None:
    assert looks([CANCELLED, CANCELLED, SCORED, run(RunState.SCORED, seed=8)]) == {7: 3, 8: 1}
    assert looks([LOST] * MOST_EXCUSED + [SCORED]) == {7: 1}
    assert looks([LOST] * (MOST_EXCUSED + 4) + [SCORED]) == {7: 5}
    assert looks([run(RunState.SCORED, purpose="exam"), run(RunState.RUNNING)]) == {}


@pytest.mark.parametrize("outcome", ["cancelled", "tainted", "lost"])
def test_one_code_is_not_run_without_end(lab: Lab, engine: Played, clock: Clock, outcome: str) -> None:
    lab.run_experiment("the lucky one")
    said = ""
    for _ in range(2 * MOST_REPEATS + 3):
        engine.end(outcome, 1.0)
        clock.forward(3600)  # a run beside other programs is repeated later
        said = " ".join(lab.run_experiment("again").warnings)
    assert "not run again" in said
    with lab.reading() as (bench, campaign, _):
        assert len(bench.ledger.runs(campaign.tag, 2)) == 1 + MOST_REPEATS


def test_reverting_in_between_buys_no_more_runs(lab: Lab, engine: Played) -> None:
    numbers = set()
    for _ in range(MOST_REPEATS + 3):
        edit(lab, KNOB=2.0)
        numbers.add(lab.run_experiment("again and again").experiment)
        engine.end("cancelled")
        lab.commit_or_revert(max(numbers), "revert")
    with lab.reading() as (bench, campaign, _):
        assert sum(len(bench.ledger.runs(campaign.tag, number)) for number in numbers) == 1 + MOST_REPEATS


def test_what_a_repeat_costs_is_said(lab: Lab, engine: Played) -> None:
    lab.run_experiment("once")
    engine.end("cancelled")
    assert "as another look at its seed (2 now)" in lab.run_experiment("twice").warnings[0]
    engine.end("lost")
    assert "came from outside (2 such runs are excused)" in lab.run_experiment("thrice").warnings[0]


def test_a_trainer_that_says_the_disk_is_full_is_not_run_again(lab: Lab, engine: Played) -> None:
    lab.run_experiment("claims a full disk")
    paths, _ = next(iter(engine.alive.values()))
    SAYS_DISK.result.write(paths.result)  # type: ignore[union-attr]
    engine.end("lost")
    assert "(crashed); it was not run again" in lab.run_experiment("again").warnings[0]


def test_the_live_loss_of_a_repeat_is_not_told(lab: Lab, engine: Played, clock: Clock) -> None:
    number = lab.run_experiment("watched").experiment
    paths, _ = engine.alive[number, 1]
    progress = RunProgress(phase="training", pid=1, loss=1.5)
    progress.write(paths.progress)
    lab.lab_status()
    assert lab.read_score(number).loss == 1.5
    engine.end("tainted", 1.0)
    assert "Measured beside other programs; it is tried again at" in lab.run_experiment("again").reason
    clock.forward(60)
    lab.lab_status()
    progress.write(engine.alive[number, 2][0].progress)
    assert lab.read_score(number).loss is None
