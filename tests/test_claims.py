"""What was claimed at the start, and the watch series: what only people see of a keep on a third draw."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mcp_server.dashboard.experiment import experiment_view
from mcp_server.judging.further.claims import outcome
from mcp_server.views import report
from mcp_server.views.findings import gather
from tests.labs import attempt, begin, edit, finish, git, make_lab, until

SCORE = """\
import json, os, pathlib
model = json.loads((pathlib.Path(os.environ["AUTORESEARCH_ARTIFACT"]) / "model.json").read_text())
split, far = os.environ["AUTORESEARCH_SPLIT"], abs(model["knob"] - 3)
# two thirds of a gain are only where it was selected; 77 is what nobody but a person may see
print(json.dumps({"score": far if split != "watch" else 77 + far / 3}))
"""
EXACT = "keep: {confirm: never}\n"


@pytest.mark.parametrize(
    ("interval", "said"),
    [
        ((0.011, 0.03), "supported"),
        ((0.01, 0.03), "supported"),
        ((-0.01, 0.009), "not supported"),
        ((0.005, 0.03), "inconclusive"),
        ((), "inconclusive"),
    ],
)
def test_a_claim_is_supported_by_the_whole_interval_or_not_at_all(interval: tuple[float, ...], said: str) -> None:
    assert outcome(0.01, interval) == said


def test_the_report_says_what_became_of_the_claim_and_notices_another_one(tmp_path: Path) -> None:
    lab = make_lab(tmp_path / "lab", more="claim: {gain: 1.5, by: exam}\n" + EXACT)
    begin(lab)
    assert attempt(lab, KNOB=2.5).decision == "kept"
    assert "a gain of at least 1.5 squares by exam: inconclusive (no exam was made" in told(lab)
    lab.exam(2)
    until(lambda: lab.exam(2).status == "done")
    assert "a gain of at least 1.5 squares by exam: supported" in told(lab)
    # a smaller claim in the files of a running campaign is none, and a person's one is told
    program = lab.paths.program
    program.write_text(program.read_text().replace("gain: 1.5", "gain: 0.5"))
    assert "by exam: supported" in told(lab)
    assert "after the start" not in told(lab)
    lab.amend(lab.amend().after)
    edit(lab, KNOB=2.6)
    finish(lab, lab.run_experiment("another").experiment)
    assert "it was changed to 0.5 squares after the start, and is judged as it was then" in told(lab)


def told(lab) -> str:  # type: ignore[no-untyped-def]
    assert lab.lab_status().totals.claim
    return report.markdown(gather(lab), chart=False).replace("\\", "")


def test_every_keep_is_watched_on_a_third_draw_that_only_people_see(tmp_path: Path) -> None:
    lab = make_lab(tmp_path / "lab", more="watch: true\n" + EXACT)
    (lab.paths.tree / "score.py").write_text(SCORE)
    git(lab.paths.tree, "commit", "-aqm", "a scorer with a third draw")
    begin(lab)
    decided = attempt(lab, KNOB=2.5)
    assert decided.decision == "kept"
    found = gather(lab)
    assert [round(one.watch_gain, 3) for one in found.watched] == [0.0, 0.5]
    assert found.watched[1].divergence == pytest.approx(1.0)
    assert "67 % of it is not there" in told_of_watching(lab)
    assert experiment_view(lab, 2).watch == pytest.approx(77 + 0.5 / 3)
    replies = [decided, lab.read_score(2), lab.lab_status(), lab.recall("KNOB")]
    assert "77." not in json.dumps([reply.model_dump(mode="json") for reply in replies])


def told_of_watching(lab) -> str:  # type: ignore[no-untyped-def]
    words = report.markdown(gather(lab), chart=False)
    assert "## Watch series" in words
    return words
