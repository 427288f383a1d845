"""The engine is a seam: a lab runs whole campaigns on one that has no processes, no locks and a clock of the test's.

It trains in memory, takes as long as it is told, and fails where it is told. Everything else is the lab itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from mcp_server.lab import Lab
from mcp_server.nouns.paths import RunPaths
from mcp_server.nouns.records import Purpose, RunResult, RunSpec, RunState
from tests.labs import edit, git, make_lab
from tests.played import Clock

SECONDS = 10.0  # what a run takes


@dataclass
class InProcess:
    """Runs that lie in this object until their time is over. `fails`: the faults of the next launches, in order."""

    clock: Clock
    fails: list[str] = field(default_factory=list)
    began: dict[Path, tuple[float, str]] = field(default_factory=dict)
    answers: dict[Path, RunResult] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    def launch(self, folder: RunPaths, lay_out: Callable[[], None]) -> None:
        self.asked.append("launch")
        if self.alive(folder):
            return
        fault = self.fails.pop(0) if self.fails else ""
        if fault == "refuses":
            raise OSError(11, "no room for another run")
        lay_out()
        if fault != "never begins":
            folder.begun.touch()
        self.began[folder.folder] = self.clock().timestamp(), fault

    def alive(self, folder: RunPaths) -> bool:
        self.asked.append("alive")
        if folder.folder not in self.began:
            return False
        at, fault = self.began[folder.folder]
        if not fault and self.clock().timestamp() < at + SECONDS and not folder.cancel.exists():
            return True
        del self.began[folder.folder]
        if not fault and not folder.cancel.exists():
            spec: RunSpec = RunSpec.read(folder.spec)
            knob = float((folder.work / "train.py").read_text().partition("KNOB = ")[2].partition("\n")[0])
            self.answers[folder.folder] = RunResult(state=RunState.SCORED, order=spec.order, score=(knob - 3) ** 2)
        elif fault == "answers nonsense":
            folder.result.write_text("{")
        return False

    def cancel(self, folder: RunPaths) -> None:
        self.asked.append("cancel")
        folder.folder.mkdir(parents=True, exist_ok=True)
        folder.cancel.touch()

    def fetch(self, folder: RunPaths) -> RunResult | None:
        self.asked.append("fetch")
        if folder.result.exists():
            return RunResult.read(folder.result)
        return self.answers.get(folder.folder)


@pytest.fixture
def engine() -> InProcess:
    return InProcess(Clock())


@pytest.fixture
def lab(tmp_path: Path, engine: InProcess, monkeypatch: pytest.MonkeyPatch) -> Iterator[Lab]:
    monkeypatch.setenv("AUTORESEARCH_CHART", "off")
    tree = make_lab(tmp_path / "lab").paths.tree
    monkeypatch.setattr("mcp_server.engines.local.start", None)  # whoever goes round the engine falls
    made = Lab(tree, engine.clock, engine=engine)
    made.start_campaign("first", calibrate=0)
    engine.clock.forward(SECONDS)
    assert made.read_score(1).score == 4.0
    yield made
    made.close()


def test_a_campaign_runs_on_another_engine(lab: Lab, engine: InProcess) -> None:
    edit(lab, KNOB=2.0)
    number = lab.run_experiment("nearer").experiment
    assert lab.read_score(number).status == "running"
    engine.clock.forward(SECONDS)
    assert lab.commit_or_revert(number).decision == "kept"
    edit(lab, KNOB=9.0)
    number = lab.run_experiment("far").experiment
    engine.clock.forward(SECONDS)
    assert lab.commit_or_revert(number).decision == "reverted"
    assert {"launch", "alive", "fetch"} <= set(engine.asked)


def test_a_cancelled_run_ends_by_the_engine(lab: Lab, engine: InProcess) -> None:
    edit(lab, KNOB=2.0)
    number = lab.run_experiment("regretted").experiment
    lab.cancel_experiment(number)
    assert "cancel" in engine.asked
    assert lab.read_score(number).status == "cancelled"


def test_a_run_that_the_engine_refuses_is_tried_again(lab: Lab, engine: InProcess) -> None:
    engine.fails = ["refuses"]
    edit(lab, KNOB=2.0)
    number = lab.run_experiment("late").experiment
    lab.read_score(number)
    engine.clock.forward(SECONDS)
    assert lab.read_score(number).score == 1.0


@pytest.mark.parametrize("fault", ["dies", "answers nonsense"])
def test_a_run_that_the_engine_loses_is_no_attempt_and_may_be_run_again(
    lab: Lab, engine: InProcess, fault: str
) -> None:
    engine.fails = [fault]
    edit(lab, KNOB=2.0)
    number = lab.run_experiment("unlucky").experiment
    assert lab.read_score(number).status == "lost"
    assert lab.run_experiment("unlucky").experiment == number
    engine.clock.forward(SECONDS)
    assert lab.read_score(number).score == 1.0


def test_a_run_that_never_began_is_begun_by_the_next_call(lab: Lab, engine: InProcess) -> None:
    engine.fails = ["never begins"]
    edit(lab, KNOB=2.0)
    number = lab.run_experiment("stillborn").experiment
    lab.lab_status()
    engine.clock.forward(SECONDS)
    assert lab.read_score(number).score == 1.0


def test_another_ledgers_run_in_the_way_is_asked_to_stop_and_the_run_measured_anew(lab: Lab, engine: InProcess) -> None:
    strange = lab.paths.run("first", 2, 1)
    strange.folder.mkdir(parents=True)
    strange.spec.write_text("{}")
    engine.began[strange.folder] = engine.clock().timestamp(), ""
    edit(lab, KNOB=2.0)
    number = lab.run_experiment("in the way").experiment
    assert strange.cancel.exists()
    lab.lab_status()
    engine.clock.forward(SECONDS)
    assert lab.read_score(number).score == 1.0
    assert any(lab.paths.leftovers.iterdir())


def test_two_candidates_that_want_the_incumbent_on_one_seed_have_it_run_there_once(
    tmp_path: Path, engine: InProcess
) -> None:
    made = make_lab(tmp_path / "busy", more="keep: {confirm: always, pairing: sequential}\n")
    lab = Lab(made.paths.tree, engine.clock, engine=engine)
    lab.start_campaign("first", calibrate=1)
    engine.clock.forward(SECONDS)
    numbers = []
    for knob in (2.0, 2.5):
        edit(lab, KNOB=knob)
        numbers.append(lab.run_experiment(f"to {knob}").experiment)
    engine.clock.forward(SECONDS)
    assert [lab.commit_or_revert(number).decision for number in numbers] == ["confirming"] * 2
    with lab.reading() as (bench, campaign, _):
        again = [run.seed for run in bench.ledger.runs("first", 1) if run.purpose == "confirm"]
    assert again == [campaign.seed + 1]
    engine.clock.forward(SECONDS)
    assert lab.commit_or_revert(numbers[1]).decision == "kept"
    lab.close()


def test_an_exam_outlives_its_supervisors_and_leaves_its_seeds_to_itself(lab: Lab, engine: InProcess) -> None:
    edit(lab, KNOB=2.0)
    number = lab.run_experiment("nearer").experiment
    engine.clock.forward(SECONDS)
    assert lab.commit_or_revert(number).decision == "kept"
    engine.fails = ["dies", "dies", "dies"]  # two runs of the exam, and the first of them once more
    lab.exam(2)
    for _ in range(4):
        engine.clock.forward(SECONDS)
        examined = lab.exam(2)
    assert (examined.status, examined.gain, len(examined.runs)) == ("done", 3.0, 7)
    opened = lab.run_without(number)
    with lab.reading() as (bench, campaign, _):
        (run,) = bench.ledger.runs("first", opened.experiment)
    assert run.seed == campaign.seed + 1  # the first that the kept code did not run on
    engine.clock.forward(SECONDS)
    assert lab.commit_or_revert(opened.experiment).decision == "confirming"
    engine.clock.forward(SECONDS)
    assert lab.commit_or_revert(opened.experiment).decision == "reverted"  # the change proved its worth again


def test_the_incumbent_is_measured_again_where_the_campaign_runs_by_now(lab: Lab, engine: InProcess) -> None:
    lab.paths.program.write_text(lab.paths.program.read_text().replace("devices: cpu\n", "devices: cpu:0,1\n"))
    shown = lab.amend()
    assert lab.amend(shown.after).applied
    with lab.reading() as (bench, campaign, _):
        run = bench.ledger.open_run("first", 1, campaign.seed, Purpose.ANCHOR, bench.stamp())
    with lab.reading() as (bench, _, _):
        spec: RunSpec = RunSpec.read(bench.folder(run).spec)
    assert spec.devices == ("cpu:0", "cpu:1")


def test_what_was_kept_of_a_file_is_measured_also_when_nobody_may_edit_it_any_more(
    tmp_path: Path, engine: InProcess
) -> None:
    made = make_lab(tmp_path / "narrowed")
    tree, program = made.paths.tree, made.paths.program
    (tree / "extra.py").write_text("A = 1\n")
    program.write_text(program.read_text().replace("[train.py]", "[train.py, extra.py]"))
    git(tree, "add", ".")
    git(tree, "commit", "-q", "-m", "two files")
    lab = Lab(tree, engine.clock, engine=engine)
    lab.start_campaign("first", calibrate=0)
    engine.clock.forward(SECONDS)
    (tree / "extra.py").write_text("A = 2\n")
    edit(lab, KNOB=2.0)
    number = lab.run_experiment("both").experiment
    engine.clock.forward(SECONDS)
    assert lab.commit_or_revert(number).decision == "kept"
    program.write_text(program.read_text().replace("[train.py, extra.py]", "[train.py]"))
    edit(lab, KNOB=2.5)
    number = lab.run_experiment("one").experiment
    with lab.reading() as (bench, _, arena):
        assert arena.editable == ("train.py",)
        (run,) = bench.ledger.runs("first", number)
        assert (bench.folder(run).work / "extra.py").read_text() == "A = 2\n"
    lab.close()
