"""A baseline by choice: gains are also told from where the lab began, and a worse beginning is named."""

from __future__ import annotations

from pathlib import Path

import pytest

from mcp_server.campaign.beginning.contract import earlier
from mcp_server.community.contract import contract_of
from mcp_server.lab import Lab
from mcp_server.views.findings import gather
from mcp_server.views.report import markdown
from tests.labs import attempt, begun, edit, finish, git, make_lab


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    """A lab that went from 4.0 to 0.25 squares."""
    made = make_lab(tmp_path / "lab")
    begun(made)
    attempt(made, "nearer", KNOB=2.5)
    return made


def committed(lab: Lab, **constants: float) -> None:
    edit(lab, **constants)
    git(lab.paths.tree, "commit", "-q", "-a", "-m", "by hand")


def test_a_first_campaign_has_nothing_to_compare_with(lab: Lab) -> None:
    totals = lab.lab_status().totals
    assert totals is not None
    assert totals.gain_since_first is None


def test_a_handicap_committed_before_the_start_is_named_and_its_gain_is_not_believed(lab: Lab) -> None:
    committed(lab, KNOB=-1.0)
    warned = lab.start_campaign("second", calibrate=0).warnings
    assert any("never measured here" in words and "experiment 2 of first (0.25 squares)" in words for words in warned)
    finish(lab, 1)
    attempt(lab, "the handicap taken back", KNOB=1.0)
    totals = lab.lab_status().totals
    assert totals is not None
    assert (totals.claimed_gain, totals.first_campaign, totals.gain_since_first) == (12.0, "first", 0.0)
    assert "gain since first" in markdown(gather(lab), chart=False)


def test_code_that_was_measured_and_was_worse_is_named_with_its_score(lab: Lab) -> None:
    warned = lab.start_campaign("second", from_ref="main", calibrate=0).warnings
    assert any("experiment 1 of first: 4 squares, which is worse" in words for words in warned)
    assert any("from_ref='autoresearch/first'" in words for words in warned)


def test_the_labs_best_is_no_reason_to_warn(lab: Lab) -> None:
    assert lab.start_campaign("second", from_ref="autoresearch/first", calibrate=0).warnings == []


def test_other_weights_of_the_metrics_are_another_contract(tmp_path: Path) -> None:
    weights = "metrics: {{loss: {{direction: minimize, weight: 1}}, knob: {{direction: minimize, weight: {}}}}}\n"
    lab = begun(make_lab(tmp_path / "lab", more=weights.format(1)))
    lab.paths.program.write_text(
        lab.paths.program.read_text().replace("minimize, weight: 1}}", "minimize, weight: 9}}")
    )
    lab.start_campaign("second", calibrate=0)
    finish(lab, 1)
    with lab.reading() as (bench, second, arena):
        first = bench.ledger.campaign("first")
        assert first is not None
        digests = {contract_of(bench.workspace, one, bench.arena(one)) for one in (first, second)}
        assert (len(digests), arena.weights["knob"], earlier(bench, second)) == (2, 9.0, [])
    totals = lab.lab_status().totals
    assert totals is not None
    assert totals.first_campaign == ""


def test_another_measure_is_another_contract(lab: Lab) -> None:
    (lab.paths.tree / "score.py").write_text((lab.paths.tree / "score.py").read_text() + "# another\n")
    committed(lab, KNOB=-1.0)
    assert lab.start_campaign("second", calibrate=0).warnings == []
    finish(lab, 1)
    totals = lab.lab_status().totals
    assert totals is not None
    assert totals.first_campaign == ""
