"""Each verb, killed before each of its effects in turn; called again, it finishes what it began, exactly once.

The supervisors are played: a run ends well at the moment it is launched. What is struck here is the server's side.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from mcp_server.engines import local
from mcp_server.lab import Lab
from mcp_server.ledger import Ledger
from mcp_server.nouns.paths import RunPaths
from mcp_server.nouns.records import RunResult, RunState
from tests.faults.agents import FAR, apart, idea, knob_of
from tests.faults.cuts import cut_before
from tests.faults.scene import TAG, check, make_scene, prune, users_files, users_status
from tests.labs import git


def play(paths: RunPaths, _alive_fd: int) -> int:
    """A supervisor that is done at once."""
    paths.begun.touch()
    knob = knob_of((paths.work / "train.py").read_text())
    RunResult(state=RunState.SCORED, score=(knob - 3) ** 2).write(paths.result)
    return os.getpid()


class Stage:
    """A lab between two verbs; every act is a process of its own."""

    def __init__(self, folder: Path) -> None:
        # what the referee would ask to repeat is no matter here: each verb is to finish what it began
        self.tree = make_scene(folder, more="keep: {confirm: never}\n", train=FAR).paths.tree
        self.before = users_files(self.tree), users_status(self.tree)

    def begin(self) -> None:
        apart(lambda: Lab(self.tree).start_campaign(TAG, calibrate=0) and None)
        apart(lambda: Lab(self.tree).lab_status() and None)
        self.before = users_files(self.tree), users_status(self.tree)

    def propose(self, good: bool) -> None:
        apart(lambda: idea(Lab(self.tree), good, 0.0))

    def attempted(self, good: bool) -> int:
        self.propose(good)
        return apart(lambda: Lab(self.tree).run_experiment("an idea").experiment)

    def agrees(self) -> None:
        apart(lambda: Lab(self.tree).lab_status() and None)
        apart(lambda: check(Lab(self.tree), *self.before))


def sweep(stage: Stage, first: int, step: int, prepare: Callable[[], Any], verb: Callable[[Any], Any]) -> list[str]:
    """Where the verb was struck, until it came through."""
    effect, struck = first, []
    while True:
        given = prepare()
        cut = cut_before(effect, partial(verb, given))
        assert not isinstance(cut.answer, AssertionError), cut.answer
        prune(stage.tree, whole=len(struck) % 10 == 9)
        again = apart(partial(verb, given))
        try:
            assert cut.answer is None or cut.answer == again
            stage.agrees()
        except AssertionError as error:
            error.add_note(f"killed before effect {effect}: {cut.where}")
            raise
        if not cut.killed:
            return struck
        struck.append(cut.where)
        effect += step


def run_sweep(stage: Stage, first: int, step: int) -> list[str]:
    def verb(known: int) -> int:
        reply = Lab(stage.tree).run_experiment("an idea")
        assert reply.experiment == known + 1
        return reply.experiment

    def prepare() -> int:
        with closing(Ledger(Lab(stage.tree).paths.ledger)) as ledger:
            numbers = [one.number for one in ledger.undecided(TAG)]
        for number in numbers:
            apart(lambda stage=stage, number=number: Lab(stage.tree).commit_or_revert(number) and None)
        stage.propose(False)
        with closing(Ledger(Lab(stage.tree).paths.ledger)) as ledger:
            return ledger.next_number(TAG) - 1

    return sweep(stage, first, step, prepare, verb)


def decision_sweep(stage: Stage, first: int, step: int, good: bool) -> list[str]:
    def verb(number: int) -> str:
        return Lab(stage.tree).commit_or_revert(number).decision

    found = sweep(stage, first, step, lambda: stage.attempted(good), verb)
    with closing(Ledger(Lab(stage.tree).paths.ledger)) as ledger:
        decisions = {one.decision for one in ledger.experiments(TAG)[1:]}
    assert decisions == {"keep" if good else "revert"}
    assert git(stage.tree, "diff", "--cached", "--name-only").split() == ["staged.txt"]
    return found


def learning_sweep(stage: Stage, first: int, step: int) -> list[str]:
    lesson = 0

    def prepare() -> str:
        nonlocal lesson
        lesson += 1
        return f"Lesson number {lesson} is that {'x' * lesson} moves the loss."

    def verb(text: str) -> bool:
        lab = Lab(stage.tree)
        with lab.reading() as (bench, _, _):
            known = [one.text for one in bench.ledger.learnings()]
        if text not in known:  # the answer to a call that was cut short after its record
            lab.append_learnings(text)
        with lab.reading() as (bench, _, _):
            return [one.text for one in bench.ledger.learnings()].count(text) == 1

    return sweep(stage, first, step, prepare, verb)


def campaign_sweep(folder: Path, first: int, step: int) -> list[str]:
    effect, struck = first, []
    while True:
        stage = Stage(folder / str(effect))
        cut = cut_before(effect, lambda stage=stage: Lab(stage.tree).start_campaign(TAG, calibrate=0) and None)
        stage.begin()
        stage.agrees()
        if not cut.killed:
            return struck
        struck.append(cut.where)
        effect += step


@pytest.fixture(autouse=True)
def _played(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local, "start", play)
    monkeypatch.setenv("AUTORESEARCH_CHART", "off")


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    made = Stage(tmp_path / "lab")
    made.begin()
    return made


SLICE = 12  # every twelfth effect, beginning somewhere in between


def test_a_verb_cut_short_here_and_there_is_finished_by_the_next_call(stage: Stage) -> None:
    struck = [
        *run_sweep(stage, 4, SLICE),
        *decision_sweep_of_both(stage, 7, SLICE),
        *learning_sweep(stage, 3, SLICE),
    ]
    assert any("git" in where for where in struck)
    assert any("sql" in where for where in struck)


def decision_sweep_of_both(stage: Stage, first: int, step: int) -> list[str]:
    """Keeps and reverts in one lab."""
    found = []
    for good in (True, False):
        found += sweep(
            stage,
            first,
            step,
            partial(stage.attempted, good),
            lambda number: Lab(stage.tree).commit_or_revert(number).decision,
        )
    return found


@pytest.mark.faults
@pytest.mark.timeout(3600)  # one fork for each effect: a quarter of an hour on a busy machine
def test_run_experiment_cut_short_before_every_effect(stage: Stage) -> None:
    assert len(run_sweep(stage, 1, 1)) > 20


@pytest.mark.faults
@pytest.mark.timeout(3600)  # one fork for each effect: a quarter of an hour on a busy machine
@pytest.mark.parametrize("good", [True, False], ids=["keep", "revert"])
def test_commit_or_revert_cut_short_before_every_effect(stage: Stage, good: bool) -> None:
    assert len(decision_sweep(stage, 1, 1, good)) > 20


@pytest.mark.faults
@pytest.mark.timeout(3600)  # one fork for each effect: a quarter of an hour on a busy machine
def test_append_learnings_cut_short_before_every_effect(stage: Stage) -> None:
    assert len(learning_sweep(stage, 1, 1)) > 3


@pytest.mark.faults
@pytest.mark.timeout(3600)  # one fork for each effect: a quarter of an hour on a busy machine
def test_start_campaign_cut_short_before_every_effect(tmp_path: Path) -> None:
    assert len(campaign_sweep(tmp_path, 1, 1)) > 20
