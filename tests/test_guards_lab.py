"""Guards of a lab that look at the incumbent: margins of secondary metrics, a suite, weights; and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from mcp_server.arena.program import parse_program
from mcp_server.dashboard.front import Front
from mcp_server.nouns.errors import ArenaError
from mcp_server.views import report
from mcp_server.views.findings import gather
from tests.labs import PROGRAM, attempt, begin, git, make_lab

SCORE = """\
import json, os, pathlib
model = json.loads((pathlib.Path(os.environ["AUTORESEARCH_ARTIFACT"]) / "model.json").read_text())
loss = (model["knob"] - 3) ** 2
print(json.dumps({"score": loss, "secondary": {"latency_ms": 10.0 + model["spread"]}}))
"""
SUITE = """\
import json, os, pathlib
model = json.loads((pathlib.Path(os.environ["AUTORESEARCH_ARTIFACT"]) / "model.json").read_text())
print(json.dumps({"score": 100.0 - (1.0 if model["knob"] > 2.4 else 0.0)}))
"""
EXACT = "keep: {confirm: never}\n"


def lab_with(folder: Path, more: str):  # type: ignore[no-untyped-def]
    lab = make_lab(folder, more=more)
    (lab.paths.tree / "score.py").write_text(SCORE)
    (lab.paths.tree / "old_cases.py").write_text(SUITE)
    git(lab.paths.tree, "add", "-A")
    git(lab.paths.tree, "commit", "-qm", "scorers")
    begin(lab, calibrate=1)
    return lab


def test_a_metric_may_not_become_worse_than_the_incumbents_by_more_than_its_margin(tmp_path: Path) -> None:
    lab = lab_with(tmp_path / "lab", "secondary: {latency_ms: {direction: minimize, margin: 5 %, max: 20}}\n" + EXACT)
    assert attempt(lab, KNOB=2.0, SPREAD=0.4).decision == "kept"
    refused = attempt(lab, KNOB=2.5, SPREAD=1.4)
    assert refused.decision == "reverted"
    assert "latency_ms is worse than the incumbent's by 1; 5 % of 10.4 may be lost." in refused.reason
    assert attempt(lab, KNOB=2.5, SPREAD=0.8).decision == "kept"


def test_a_suite_of_further_score_commands_may_not_fall(tmp_path: Path) -> None:
    lab = lab_with(tmp_path / "lab", "suite: {old_cases: python old_cases.py}\n" + EXACT)
    assert attempt(lab, KNOB=2.0).decision == "kept"
    assert lab.read_score(2).secondary["suite old_cases"] == 100.0
    refused = attempt(lab, KNOB=2.6)
    assert refused.decision == "reverted"
    assert "old_cases of the suite fell by 1" in refused.reason


def test_several_metrics_with_weights_are_one_score(tmp_path: Path) -> None:
    weights = "metrics: {loss: {direction: minimize, weight: 1}, latency_ms: {direction: minimize, weight: 0.5}}\n"
    lab = lab_with(tmp_path / "lab", weights + EXACT)
    assert lab.read_score(1).score == pytest.approx(4.0 + 0.5 * 10.0)
    assert lab.read_score(1).secondary["loss"] == 4.0
    assert attempt(lab, KNOB=2.0, SPREAD=8.0).decision == "reverted"
    assert attempt(lab, KNOB=2.0, SPREAD=1.0).decision == "kept"


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ("secondary: {latency_ms: {margin: 5 %}}", "direction and margin go together"),
        ("secondary: {latency_ms: {direction: minimize, margin: five}}", 'a share such as "5 %"'),
        ("secondary: {latency_ms: {direction: minimize, margin: -1}}", "margin"),
        ("metrics: {loss: {direction: minimize, weight: 1}}", "name two at least"),
        ("metrics: {loss: {direction: minimize, weight: 1}, b: {direction: minimize}}", "give each a weight"),
        ("metrics: {a: {direction: minimize}, b: {direction: minimize}}", "has the metric loss as one of"),
        ("suite: {old: 'python a.py | tail'}", "suite"),
    ],
)
def test_what_contradicts_itself_is_refused_with_its_line(more: str, said: str) -> None:
    with pytest.raises(ArenaError, match=r"line \d+") as refused:
        parse_program(PROGRAM.format(more=more + "\n"))
    assert said in str(refused.value)


def test_without_weights_a_keep_is_a_step_on_the_pareto_front_and_the_report_draws_it(tmp_path: Path) -> None:
    lab = lab_with(
        tmp_path / "lab",
        "metrics: {loss: {direction: minimize}, latency_ms: {direction: minimize}}\nkeep: {confirm: auto}\n",
    )
    step = attempt(lab, KNOB=2.0)
    assert step.decision == "kept"
    assert "a step on the Pareto front, better in loss and surely worse in none" in step.reason
    trade = attempt(lab, KNOB=2.5, SPREAD=3.0)
    assert trade.decision == "reverted"
    assert "better in loss and worse in latency_ms" in trade.reason
    assert "better in latency_ms" in attempt(lab, KNOB=2.0, SPREAD=-1.0).reason
    found = gather(lab)
    assert [place.number for place in found.places if place.front] == [3, 4]
    told = report.html(found, None)
    assert "surely worse in none" in told
    assert "data:image/svg+xml;base64," in told
    front = Front(lab)
    assert [(one.experiment, one.values, one.kept) for one in front.view().on] == [
        (3, [0.25, 13.0], False),
        (4, [1.0, 9.0], True),
    ]
    assert front.picture() == report.pictures(found)[report.FRONT].decode()
