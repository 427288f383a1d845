"""A campaign on a machine that moves: attempts are trained beside the incumbent, and the machine cancels."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from mcp_server.lab import Lab
from mcp_server.nouns.rows import Run
from tests.labs import SCORE, attempt, begin, git, make_lab, until

pytestmark = pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="a pair needs two cores")

# What a model is worth follows the machine, which moves by far more than any edit is worth.
MOVED = """\
import json, math, os, pathlib, time
KNOB = 1.0
FAILS = 0
marks = os.fdopen(int(os.environ["AUTORESEARCH_MARKS"]), "w")
print(json.dumps({"event": "start"}), file=marks, flush=True)
machine = 20 * math.sin(time.monotonic() / 20)
if FAILS:
    raise SystemExit(3)
out = pathlib.Path(os.environ["AUTORESEARCH_OUT"])
model = {"knob": KNOB, "spread": 0.0, "seed": int(os.environ["AUTORESEARCH_SEED"]), "machine": machine}
(out / "model.json").write_text(json.dumps(model))
"""


def moving_lab(folder: Path, more: str = "keep: {min_delta: 0.5}\n", train: str = MOVED) -> Lab:
    lab = make_lab(folder, more=more, train=train)
    (folder / "score.py").write_text(SCORE.replace("NOISE", "0.0").replace('model["spread"] * own', 'model["machine"]'))
    git(folder, "commit", "-qam", "a scorer that sees the machine")
    return lab


def runs_of(lab: Lab, number: int) -> list[Run]:
    with lab.reading() as (bench, campaign, _):
        return bench.ledger.runs(campaign.tag, number)


def test_on_a_machine_that_moves_the_incumbent_of_the_same_slot_is_the_comparison(tmp_path: Path) -> None:
    lab = moving_lab(tmp_path / "lab", "keep: {min_delta: 0.5, confirm: always}\n")
    reply = begin(lab, calibrate=2)
    # the baseline beside itself: two slots tell what three runs told
    assert [run.purpose for run in runs_of(lab, 1)] == ["first", "seed"]
    for run in runs_of(lab, 1):
        assert run.result is not None
        assert (run.result.incumbent, run.result.pairing, run.result.clock) == (1, "side_by_side", "cpu")
        assert run.score is not None
        assert run.result.incumbent_score is not None
        assert abs(run.score - run.result.incumbent_score) < 1.0
    assert reply.status == "kept"
    status = lab.lab_status()
    assert status.pairing.startswith("side by side: ")
    better = attempt(lab, KNOB=2.5)
    assert better.decision == "kept"
    assert better.change is not None
    assert abs(better.change - 3.75) < 1.0
    own = runs_of(lab, 2)
    assert len(own) >= 2  # it was confirmed on another seed, beside the incumbent again
    assert all(run.result is not None and run.result.incumbent_score is not None for run in own)
    assert len(runs_of(lab, 1)) == 2  # so the incumbent needed no run of its own
    worse = attempt(lab, KNOB=1.5)
    assert worse.decision == "reverted"
    assert worse.change is not None
    assert abs(worse.change + 2.0) < 1.0
    left = [place.name for place in (lab.paths.state / "runs").glob("*/*/*/beside/*")]
    assert set(left) <= {"log.txt", "score.log"}


def test_an_exam_measures_the_baseline_in_the_incumbents_own_slots(tmp_path: Path) -> None:
    lab = moving_lab(tmp_path / "lab")
    begin(lab)
    assert attempt(lab, KNOB=3.0).decision == "kept"
    lab.exam(2)
    until(lambda: lab.exam(2).status != "running")
    reply = lab.exam(2)
    assert reply.status == "done"
    assert [run.purpose for run in reply.runs] == ["exam", "exam"]
    assert reply.gain is not None
    assert abs(reply.gain - 4.0) < 1.0


def test_an_exam_whose_pair_breaks_tries_the_baseline_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mcp_server.lab.FIRST_EXAM_SEED", 2_000_000_000)  # so that code can tell an exam
    fails_in_exams = MOVED.replace("if FAILS:", "if FAILS and int(os.environ['AUTORESEARCH_SEED']) > 1_000_000_000:")
    lab = moving_lab(tmp_path / "lab", train=fails_in_exams.replace("FAILS = 0", "FAILS = 1"))
    begin(lab)
    assert attempt(lab, KNOB=3.0, FAILS=0).decision == "kept"
    lab.exam(2)
    until(lambda: lab.exam(2).status != "running")
    assert lab.exam(2).status == "failed"
    broken = [run for run in runs_of(lab, 2) if run.result is not None and "pair_broken" in run.result.flags]
    assert len(broken) == 2
    alone = [run for run in runs_of(lab, 1) if run.purpose == "exam"]
    assert {run.seed for run in alone} == {run.seed for run in broken}  # whichever came first


def test_a_half_that_fails_costs_the_incumbent_nothing(tmp_path: Path) -> None:
    lab = moving_lab(tmp_path / "lab")
    begin(lab)
    assert attempt(lab, FAILS=1).decision == "reverted"
    (run,) = runs_of(lab, 2)
    assert run.result is not None
    assert (run.result.reason, run.result.incumbent_score, run.result.beside) == ("nonzero_exit", None, None)


def test_where_equal_code_scores_equally_nothing_is_paired_after_the_calibration(tmp_path: Path) -> None:
    lab = make_lab(tmp_path / "lab", noise=0.1)  # of the seed alone
    begin(lab)
    assert lab.lab_status().pairing.startswith("sequential: equal code")
    attempt(lab, KNOB=2.0)
    assert all(run.result is not None and run.result.beside is None for run in runs_of(lab, 2))
