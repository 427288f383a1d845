"""The whole lab against a small model of it: any order of verbs, of what runs come to, of clocks, clients and deaths.

The runs are played by an engine of the test's own: a run begins when the lab launches it and ends as the model says, so
that every outcome can follow every other. Everything else is real: git, SQLite, locks, files, killed processes.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from mcp_server.engines import local
from mcp_server.judging.looks import MOST_REPEATS
from mcp_server.lab import Lab
from mcp_server.nouns.errors import NotNow
from mcp_server.nouns.paths import RunPaths
from mcp_server.nouns.records import RunResult, RunState, Status
from tests.faults.cuts import Cut, cut_before
from tests.labs import edit, git, make_lab

KNOBS = (2.0, 2.5, 2.9, -1.0, 5.0, 1.5)
WORDS = (
    "a wider step diverged",
    "the warmup was too short",
    "smaller batches made it noisy",
    "the seed decides nothing",
)
TERMINAL = {
    "scored": RunState.SCORED,
    "tainted": RunState.SCORED,
    "crashed": RunState.CRASHED,
    "timeout": RunState.TIMEOUT,
    "rejected": RunState.REJECTED,
    "cancelled": RunState.CANCELLED,
    "lost": RunState.LOST,
}
Key = tuple[int, int]


@dataclasses.dataclass
class Engine:
    """Supervisors that the test plays: `alive` holds the lock of each run that was handed over."""

    alive: dict[Key, tuple[RunPaths, int]] = dataclasses.field(default_factory=dict)
    launches: dict[Key, int] = dataclasses.field(default_factory=dict)

    def launch(self, paths: RunPaths, alive_fd: int) -> int:
        key = int(paths.folder.parent.name), int(paths.folder.name)
        assert key not in self.alive, "two supervisors for one run"
        assert not paths.result.exists()
        self.alive[key] = paths, os.dup(alive_fd)
        self.launches[key] = self.launches.get(key, 0) + 1
        paths.begun.touch()
        return os.getpid()

    def end(self, key: Key, outcome: str) -> None:
        paths, fd = self.alive.pop(key)
        knob = float((paths.work / "train.py").read_text().partition("KNOB = ")[2].partition("\n")[0])
        if outcome == "unborn":
            paths.begun.unlink()  # died before it said that it began
        elif outcome == "pending":
            RunResult(state=RunState.PENDING, retry_after_seconds=30.0).write(paths.result)
        elif outcome != "lost":
            state = TERMINAL[outcome]
            score = (knob - 3) ** 2 if state is RunState.SCORED else None
            tainted = "a neighbour" if outcome == "tainted" else ""
            RunResult(
                state=state, score=score, tainted=tainted, reason="" if score is not None else "nonzero_exit"
            ).write(paths.result)
        os.close(fd)

    def close(self) -> None:
        for _, fd in self.alive.values():
            os.close(fd)
        self.alive.clear()


class LabMachine(RuleBasedStateMachine):
    """Two work trees, one campaign, a clock that jumps, clients that die."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="stateful-"))
        self.engine, self.clock = Engine(), datetime(2026, 1, 1, tzinfo=UTC)
        self.patch = pytest.MonkeyPatch()
        self.patch.setattr(local, "start", self.engine.launch)
        self.knob_of: dict[int, float] = {1: 1.0}
        self.kept: list[int] = []
        self.decided: dict[int, str] = {}
        self.lessons: list[str] = []
        self.ended: dict[Key, RunState] = {}
        self.cancelled: set[Key] = set()

    def now(self) -> datetime:
        self.clock += timedelta(milliseconds=1)
        return self.clock

    @initialize()
    def begin(self) -> None:
        first = make_lab(self.folder / "lab")
        git(first.paths.tree, "worktree", "add", "-q", "--detach", str(self.folder / "second"))
        self.trees = (first.paths.tree, self.folder / "second")
        self.labs = [Lab(tree, self.now) for tree in self.trees]
        self.labs[0].start_campaign("first", calibrate=0)
        self.end_run(0, "scored")
        self.labs[0].lab_status()
        self.labs[1].start_campaign("first")
        self.kept, self.decided = [1], {1: "kept"}

    def teardown(self) -> None:
        self.engine.close()
        for lab in getattr(self, "labs", []):
            self.forget(lab)
        self.patch.undo()
        shutil.rmtree(self.folder, ignore_errors=True)

    def forget(self, lab: Lab) -> None:
        """As a server's process does when it ends without a word."""
        if lab._ledger is not None:
            lab._ledger.close()
            lab._ledger = None

    def shown(self, tree: int) -> float:
        return float((self.trees[tree] / "train.py").read_text().partition("KNOB = ")[2].partition("\n")[0])

    # -- what clients do -----------------------------------------------------------------------------------------------

    @rule(tree=st.integers(0, 1), knob=st.sampled_from(KNOBS))
    def edits(self, tree: int, knob: float) -> None:
        edit(self.labs[tree], KNOB=knob)

    @rule(tree=st.integers(0, 1), knob=st.sampled_from(KNOBS))
    def runs(self, tree: int, knob: float) -> None:
        edit(self.labs[tree], KNOB=knob)
        self.ran(tree, lambda: self.labs[tree].run_experiment(f"to {self.shown(tree)}"))

    def ran(self, tree: int, verb: Callable[[], Any]) -> None:
        knob, next_number = self.shown(tree), len(self.knob_of) + 1
        self.take_notice()
        if knob == self.knob_of[self.kept[-1]]:
            with pytest.raises(NotNow, match="Nothing changed"):
                verb()
            return
        twins = [number for number, value in self.knob_of.items() if value == knob]
        open_again = [number for number in twins if not (self.excused(number) and number in self.decided)]
        if sum(key[0] in twins for key in self.ended) > MOST_REPEATS:
            open_again = twins  # nobody runs one code without end
        reply = verb()
        if open_again:
            assert reply.experiment == open_again[-1]
        else:
            assert reply.experiment == next_number
            self.knob_of[next_number] = knob

    def excused(self, number: int) -> bool:
        with self.labs[0].reading() as (bench, campaign, _):
            runs = bench.ledger.runs(campaign.tag, number)
        return all(run.state in (RunState.LOST, RunState.CANCELLED) or run.tainted for run in runs)

    @rule(tree=st.integers(0, 1), pick=st.integers(0, 30), decision=st.sampled_from(("auto", "auto", "auto", "revert")))
    def decides(self, tree: int, pick: int, decision: str) -> None:
        number = self.picked(pick)
        self.take_notice()
        self.decision_on(tree, number, lambda: self.labs[tree].commit_or_revert(number, decision))

    def decision_on(self, tree: int, number: int, verb: Callable[[], Any]) -> None:
        waiting = any(key[0] == number for key in self.open())
        before = (self.trees[tree] / "train.py").read_bytes()
        try:
            reply = verb()
        except NotNow:
            assert waiting
            assert number not in self.decided
            return
        if number in self.decided:
            assert reply.decision == self.decided[number]
            return
        if reply.decision == "confirming":
            assert reply.runs
            return
        assert not waiting
        self.decided[number] = reply.decision
        if reply.decision == "kept":
            assert self.best(number) < self.best(self.kept[-1])
            self.kept.append(number)
        else:
            assert reply.decision == "reverted"
            if reply.restored:
                assert self.shown(tree) == self.knob_of[self.kept[-1]]
            elif reply.left:
                assert (self.trees[tree] / "train.py").read_bytes() == before

    def best(self, number: int) -> float:
        return (self.knob_of[number] - 3) ** 2

    @rule(tree=st.integers(0, 1), pick=st.integers(0, 30))
    def reads(self, tree: int, pick: int) -> None:
        number = self.picked(pick)
        self.take_notice()
        reply = self.labs[tree].read_score(number)
        assert reply.experiment == number
        if number in self.decided:
            assert (reply.status == Status.KEPT) == (number in self.kept)

    @rule(tree=st.integers(0, 1), pick=st.integers(0, 30))
    def cancels(self, tree: int, pick: int) -> None:
        number = self.picked(pick)
        self.take_notice()
        waiting = {key for key in self.open() if key[0] == number}
        try:
            self.labs[tree].cancel_experiment(number)
            assert waiting
            self.cancelled |= waiting
            self.ended |= {key: RunState.CANCELLED for key in waiting if key not in self.engine.alive}
        except NotNow:
            assert not waiting

    @rule(tree=st.integers(0, 1), words=st.sampled_from(WORDS), pick=st.integers(0, 30))
    def learns(self, tree: int, words: str, pick: int) -> None:
        if words in self.lessons:
            with pytest.raises(NotNow):
                self.labs[tree].append_learnings(words, self.picked(pick))
        else:
            self.labs[tree].append_learnings(words, self.picked(pick))
            self.lessons.append(words)

    @rule(tree=st.integers(0, 1))
    def looks_round(self, tree: int) -> None:
        status = self.labs[tree].lab_status()
        assert status.incumbent is not None
        assert status.incumbent.experiment == self.kept[-1]
        assert not [problem for problem in status.problems if problem]
        found = self.labs[tree].recall("warmup noisy seed step").lines
        assert all(any(words in line for line in found) for words in self.lessons)

    # -- what the world does -------------------------------------------------------------------------------------------

    @rule(
        pick=st.integers(0, 30), outcome=st.sampled_from([*TERMINAL, "scored", "scored", "scored", "pending", "unborn"])
    )
    def end_run(self, pick: int, outcome: str) -> None:
        if not self.engine.alive:
            return
        key = sorted(self.engine.alive)[pick % len(self.engine.alive)]
        if key[0] == 1 and outcome not in ("scored", "pending"):
            outcome = "scored"  # the baseline's road is another test's
        if key in self.cancelled and outcome == "pending":
            outcome = "cancelled"
        self.engine.end(key, outcome)
        if outcome in TERMINAL:
            self.ended[key] = (
                TERMINAL[outcome] if outcome != "lost" or key not in self.cancelled else RunState.CANCELLED
            )
        elif key in self.cancelled and outcome == "unborn":
            self.ended[key] = RunState.CANCELLED

    @rule(seconds=st.sampled_from((1, 31, 86_400, -86_400, -3600)))
    def the_clock_jumps(self, seconds: int) -> None:
        self.clock += timedelta(seconds=seconds)

    @rule(tree=st.integers(0, 1))
    def another_server_comes(self, tree: int) -> None:
        self.forget(self.labs[tree])
        self.labs[tree] = Lab(self.trees[tree], self.now)

    @rule(tree=st.integers(0, 1), view=st.sampled_from(("results.tsv", "learnings.md")))
    def a_view_is_deleted(self, tree: int, view: str) -> None:
        (self.trees[tree] / view).unlink(missing_ok=True)

    @rule()
    def the_user_commits(self) -> None:
        notes = self.trees[0] / "notes.txt"
        notes.write_text(notes.read_text() + "more\n")
        git(self.trees[0], "commit", "-q", "-m", "the user's own", "--only", "--", "notes.txt")

    # -- what clients die of -------------------------------------------------------------------------------------------

    @rule(tree=st.integers(0, 1), knob=st.sampled_from(KNOBS), effect=st.integers(1, 60))
    def dies_while_running(self, tree: int, knob: float, effect: int) -> None:
        edit(self.labs[tree], KNOB=knob)
        known = len(self.knob_of)
        self.cut(tree, effect, lambda lab: lab.run_experiment(f"to {knob}"))
        with self.labs[tree].reading() as (bench, campaign, _):
            found = bench.ledger.experiments(campaign.tag)
        assert len(found) in (known, known + 1)
        if len(found) > known:
            self.knob_of[known + 1] = knob

    @rule(tree=st.integers(0, 1), pick=st.integers(0, 30), effect=st.integers(1, 60))
    def dies_while_deciding(self, tree: int, pick: int, effect: int) -> None:
        number = self.picked(pick)
        self.take_notice()
        if any(key[0] == number for key in self.open()):
            return
        self.cut(tree, effect, lambda lab: lab.commit_or_revert(number))
        self.decision_on(tree, number, lambda: self.labs[tree].commit_or_revert(number))

    @rule(tree=st.integers(0, 1), effect=st.integers(1, 30))
    def dies_while_looking(self, tree: int, effect: int) -> None:
        self.cut(tree, effect, lambda lab: lab.lab_status())

    def cut(self, tree: int, effect: int, verb: Callable[[Lab], Any]) -> Cut:
        for lab in self.labs:
            self.forget(lab)  # SQLite's connections do not survive a fork

        def act() -> Any:
            local.start = lambda paths, fd: 0  # dies with its parent, before it said that it began
            return verb(Lab(self.trees[tree], self.now))

        found = cut_before(effect, act)
        assert not isinstance(found.answer, AssertionError), found.answer
        return found

    # -- what is always so ---------------------------------------------------------------------------------------------

    def picked(self, pick: int) -> int:
        return sorted(self.knob_of)[-1 - pick % len(self.knob_of)]  # the newest are the most interesting

    def open(self) -> set[Key]:
        with self.labs[0].reading() as (bench, _, _):
            return {(run.experiment, run.run) for run in bench.ledger.open_runs()}

    def take_notice(self) -> None:
        """Let results enter, so that what a verb will do can be foretold."""
        self.labs[0].read_score(1)

    @precondition(lambda self: self.kept)
    @invariant()
    def everything_agrees(self) -> None:
        with self.labs[1].reading() as (bench, campaign, _):
            ledger, tag = bench.ledger, campaign.tag
            assert [one.number for one in ledger.experiments(tag)] == sorted(self.knob_of)
            assert [one.number for one in ledger.kept(tag)] == self.kept
            assert ledger.unsettled() == ledger.unvaulted() == []
            assert [one.text for one in ledger.learnings()] == self.lessons
            for number in self.knob_of:
                for run in ledger.runs(tag, number):
                    key = run.experiment, run.run
                    if key in self.ended:
                        assert run.state is self.ended[key], key
                    else:
                        assert not run.state.terminal, key
                        assert key in self.engine.alive or run.state is RunState.PENDING, key
            counts = ledger.count(tag)
            assert counts["all"] + counts.get("lost", 0) == len(self.knob_of)
        trailer = "--format=%(trailers:key=Experiment,valueonly,separator=%x20)"
        log = git(self.trees[0], "log", "--reverse", trailer, f"{campaign.pinned}..{campaign.branch}").split()
        assert [int(number) for number in log] == self.kept
        refs = git(self.trees[0], "for-each-ref", "--format=%(refname:lstrip=3)", "refs/autoresearch").split()
        assert sorted(map(int, refs)) == sorted(self.knob_of)


@contextlib.contextmanager
def no_drawing() -> Iterator[None]:
    """A chart costs a second of processor time and is not what this is about."""
    patch = pytest.MonkeyPatch()
    patch.setattr("mcp_server.views.publishing._may_draw", lambda _: False)
    try:
        yield
    finally:
        patch.undo()


def drive(examples: int, steps: int) -> None:
    few = settings(
        max_examples=examples,
        stateful_step_count=steps,
        deadline=None,
        derandomize=not os.environ.get("AUTORESEARCH_RANDOM"),
        phases=(Phase.explicit, Phase.generate),  # shrinking real git takes longer than reading a trace
        suppress_health_check=list(HealthCheck),
        print_blob=True,
    )
    with no_drawing():
        run_state_machine_as_test(LabMachine, settings=few)


def test_whatever_happens_in_whatever_order_the_lab_agrees_with_its_model() -> None:
    drive(examples=6, steps=20)


@pytest.mark.faults
def test_the_lab_agrees_with_its_model_for_a_long_time() -> None:
    drive(examples=60, steps=40)
