"""A lab whose scorer tells what each example contributes: from its answer to the verdict, and to what an agent sees."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mcp_server.runner.answers import Failure, Score, parse
from mcp_server.views import report
from mcp_server.views.findings import gather
from mcp_server.views.history import page
from tests.labs import attempt, begin, git, make_lab

SCORE = """\
import json, os, pathlib, random
model = json.loads((pathlib.Path(os.environ["AUTORESEARCH_ARTIFACT"]) / "model.json").read_text())
draw = random.Random(4)
units = {}
for number in range(200):
    hard = draw.random()
    # KNOB is what is learned; SPREAD turns answers round by their number alone
    wrong = hard > 0.5 + model["knob"] / 10 or (model["spread"] and number % round(1 / model["spread"]) == 0)
    units[f"case {number}"] = float(bool(wrong))
answer = {"score": sum(units.values()) / len(units), "units": units}
IN_A_FILE
print(json.dumps(answer))
"""
FILE = """
folder = pathlib.Path(os.environ["AUTORESEARCH_UNITS"])
(folder / "cases.json").write_text(json.dumps(units))
answer["units"] = "cases.json"
"""


@pytest.mark.parametrize(("shown", "in_a_file"), [("counts", False), ("shown", True), ("hidden", True)])
def test_a_verdict_tells_of_single_examples_as_far_as_an_agent_may_see(
    tmp_path: Path, shown: str, in_a_file: bool
) -> None:
    lab = make_lab(tmp_path / "lab", more=f"units: {shown}\nkeep: {{confirm: never}}\n")
    (lab.paths.tree / "score.py").write_text(SCORE.replace("IN_A_FILE", FILE if in_a_file else ""))
    git(lab.paths.tree, "commit", "-aqm", "a scorer that tells of its cases")
    begin(lab)
    kept = attempt(lab, KNOB=3.5)
    assert kept.decision == "kept"
    assert kept.units.endswith("better, 0 worse of 200") == (shown != "hidden")
    assert bool(kept.flipped) == (shown == "shown")
    assert "case" not in lab.read_score(2).model_dump_json() or shown == "shown"
    doubtful = attempt(lab, KNOB=3.6, SPREAD=0.05)
    assert doubtful.decision == "reverted"
    told = page(lab, lab.read_score(2)).model_dump_json() + report.markdown(gather(lab), chart=False)
    assert ("better, 0 worse of 200" in told) == (shown != "hidden")
    assert ("case " in told) == (shown == "shown")


@pytest.mark.parametrize("units", [{"a": 1.0, "b": 0.0}, {"a": 0.25, "b": 0.25}, {"a": 0.4996, "b": 0.5004}])
def test_units_add_up_to_the_score_or_to_its_mean(units: dict[str, float]) -> None:
    answer = parse(json.dumps({"score": 0.5, "units": units}))
    assert isinstance(answer, Score)
    assert answer.units == units


@pytest.mark.parametrize(
    ("units", "said"),
    [
        ({"a": 1.0, "b": 1.0}, "add up to 2, and their mean is 1, but the score is 0.5"),
        ({"a": "one"}, "units.a"),
        ({"": 0.5}, "names of at most 80 plain characters"),
        ("../secret", "names the file"),
        ("missing.json", "cannot be read (No such file or directory). Write it into the folder $AUTORESEARCH_UNITS"),
    ],
)
def test_units_that_are_none_are_refused_with_what_is_wanted(tmp_path: Path, units: object, said: str) -> None:
    answer = parse(json.dumps({"score": 0.5, "units": units}), lambda name: (tmp_path / name).read_bytes())
    assert isinstance(answer, Failure)
    assert answer.reason == "scorer_failed"
    assert said in answer.detail
