"""Scoring the incumbent in the candidate's own slot, and the draw that only scorers are told."""

from __future__ import annotations

from pathlib import Path

from mcp_server.lab import Lab
from tests.labs import SEQUENTIAL, attempt, begin, finish, git, make_lab

# The machine drifts by far more than any edit is worth; what is measured in one slot drifts together.
DRIFTING = """\
import json, os, pathlib, random
def knob(folder):
    lines = (pathlib.Path(folder) / "train.py").read_text().splitlines()
    return float(next(line for line in lines if line.startswith("KNOB")).split("=")[1])
drift = random.SystemRandom().uniform(-50, 50)
answer = {"score": (knob(os.environ["AUTORESEARCH_SNAPSHOT"]) - 3) ** 2 + drift}
if "AUTORESEARCH_INCUMBENT" in os.environ:
    answer["incumbent"] = (knob(os.environ["AUTORESEARCH_INCUMBENT"]) - 3) ** 2 + drift
print(json.dumps(answer))
"""
TELLING = """\
import json, os
draw = int(os.environ["AUTORESEARCH_DRAW"], 16) / 2**256
print(json.dumps({"score": draw}))
"""


# what any process of the scorer's sandbox can read of the others
SPYING = """\
import json, os, pathlib
draw, seen = os.environ["AUTORESEARCH_DRAW"], 0
for place in pathlib.Path("/proc").glob("[0-9]*"):
    for name in ("cmdline", "environ"):
        try:
            told = (place / name).read_bytes().decode(errors="replace")
        except OSError:
            continue
        seen += draw in told and int(place.name) != os.getpid()
print(json.dumps({"score": float(seen)}))
"""


def lab_with(folder: Path, score: str, more: str = "") -> Lab:
    lab = make_lab(folder, more=more)
    (folder / "score.py").write_text(score)
    git(folder, "commit", "-qam", "another scorer")
    return lab


def test_an_incumbent_measured_in_the_same_slot_is_what_a_candidate_is_compared_with(tmp_path: Path) -> None:
    lab = lab_with(tmp_path / "lab", DRIFTING, "score_incumbent: true\nkeep: {min_delta: 0.5}\n")
    begin(lab)
    better, worse = attempt(lab, KNOB=2.0), attempt(lab, KNOB=2.5)
    assert (better.decision, worse.decision) == ("kept", "kept")
    assert better.change is not None
    assert abs(better.change - 3.0) < 1e-9
    back = attempt(lab, KNOB=1.5)
    assert back.decision != "kept"
    assert back.change is not None
    assert abs(back.change + 2.0) < 1e-9
    folders = list((lab.paths.state / "runs").glob("*/*/*/incumbent-*"))
    assert folders == []  # like every copy of code it goes when the run is over


def test_without_being_asked_for_no_incumbent_is_laid_beside_a_run(tmp_path: Path) -> None:
    lab = lab_with(tmp_path / "lab", DRIFTING, "keep: {min_delta: 0.5, pairing: sequential}\n")
    begin(lab)
    (lab.paths.tree / "train.py").write_text(
        (lab.paths.tree / "train.py").read_text().replace("KNOB = 1.0", "KNOB = 2.0")
    )
    number = lab.run_experiment("move KNOB").experiment
    finish(lab, number)
    with lab.reading() as (bench, _, _):
        result = bench.ledger.runs("first", number)[0].result
    assert result is not None
    assert (result.incumbent, result.incumbent_score) == (None, None)


def test_what_a_scorer_draws_from_is_the_same_on_one_seed_and_no_other(tmp_path: Path) -> None:
    lab = lab_with(tmp_path / "lab", TELLING, SEQUENTIAL)
    begin(lab, calibrate=2)
    finish(lab, 1)
    with lab.reading() as (bench, _, _):
        first, repeat, another = bench.ledger.runs("first", 1)
    assert first.seed == repeat.seed != another.seed
    assert first.score == repeat.score != another.score


def test_no_other_process_of_the_sandbox_shows_what_the_scorer_was_told(tmp_path: Path) -> None:
    assert begin(lab_with(tmp_path / "lab", SPYING)).score == 0.0
