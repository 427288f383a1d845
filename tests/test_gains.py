"""One sign and one sum: a gain is positive when better, and every place that states a gain states the same."""

from __future__ import annotations

import csv
import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from mcp_server.cli import cli
from mcp_server.lab import Lab
from mcp_server.views.chart.words import title
from mcp_server.views.history import history
from mcp_server.views.publishing import chart_campaign
from tests.labs import attempt, begun, edit, finish, git, make_lab


@pytest.fixture(params=["minimize", "maximize"])
def lab(request: pytest.FixtureRequest, tmp_path: Path) -> Lab:
    found = make_lab(tmp_path / "lab", noise=0.01)
    if request.param == "maximize":
        for name, before, after in (
            ("program.md", "direction: minimize", "direction: maximize"),
            ("score.py", '{"score": score', '{"score": -score'),
        ):
            path = found.paths.tree / name
            path.write_text(path.read_text().replace(before, after))
        git(found.paths.tree, "commit", "-qam", "the other way round")
    return found


def test_a_gain_is_positive_when_better_in_every_reply_sentence_and_file(lab: Lab) -> None:
    begun(lab)
    edit(lab, KNOB=2.5)
    number = lab.run_experiment("nearer", expected_delta=3.75).experiment
    score, kept = finish(lab, number), lab.commit_or_revert(number)
    while kept.decision == "confirming":  # the first keep of a campaign repeats itself
        score, kept = finish(lab, number), lab.commit_or_revert(number)
    lost = attempt(lab, "farther", KNOB=2.0)

    gain, loss = kept.change, lost.change
    # where the machine's speed moved one more seed is asked, and scores of seeds differ a little
    assert gain == pytest.approx(3.75, abs=0.02)
    assert loss == pytest.approx(-0.75, abs=0.02)
    assert kept.noise_widths is not None
    assert lost.noise_widths is not None
    assert kept.noise_widths > 0 > lost.noise_widths
    assert score.change == gain
    assert score.verdict is not None
    for said, sign in ((score.verdict.reason, "+"), (kept.reason, "+"), (lost.reason, "-")):
        assert re.search(rf"\(gain \{sign}[\d.]+, \{sign}[\d.]+ noise widths", said), said

    trailers = git(lab.paths.tree, "log", "-1", "--format=%(trailers)", "autoresearch/first")
    assert re.search(r"^Gain: \+3\.7[345]\d* \(\+[\d.]+ noise widths\)$", trailers, re.M), trailers
    assert [row.change for row in history(lab).experiments[1:]] == [gain, loss]
    with lab.paths.results.open(newline="") as file:
        rows = list(csv.DictReader(file, dialect="excel-tab"))
    assert [float(row["gain"]) for row in rows[1:]] == pytest.approx([gain, loss], abs=1e-5)
    assert [row["gain"][0] for row in rows[1:]] == ["+", "-"]
    assert "+3.75" in lab.recall("nearer").lines[0]
    shown = CliRunner().invoke(cli, ["-C", str(lab.paths.tree), "history"]).output
    assert "+3.75" in shown
    assert re.search(r"[−-]0\.7[3-7]", shown)


def test_every_place_states_the_same_gain_after_a_keep_was_measured_again(lab: Lab) -> None:
    begun(lab)
    kept = attempt(lab, "nearer", KNOB=2.5)
    with lab.reading() as (bench, campaign, _):
        bench.ledger.open_run(campaign.tag, kept.experiment, campaign.seed + 5, "confirm", bench.stamp())
    again = finish(lab, kept.experiment)
    assert again.score is not None
    assert again.score != kept.score  # another seed

    status = lab.lab_status()
    totals, incumbent = status.totals, status.incumbent
    assert totals is not None
    assert incumbent is not None
    assert totals.best == incumbent.score == again.score
    assert totals.baseline is not None
    assert totals.claimed_gain == pytest.approx(abs(totals.baseline - again.score), abs=2e-6)
    with lab.reading() as (bench, campaign, arena):
        drawn = chart_campaign(bench.ledger, campaign, arena)
    assert [point.value for point in drawn.incumbents] == pytest.approx([totals.baseline, totals.best], abs=1e-6)
    assert drawn.claimed_gain == totals.claimed_gain
    headline, _ = title([drawn])
    assert headline.endswith(f"{totals.baseline:.4f} → {totals.best:.4f}".replace("-", "−"))
    assert history(lab).experiments[-1].score == totals.best


def test_an_edit_of_the_seed_is_not_kept_for_its_score(tmp_path: Path) -> None:
    lab = make_lab(tmp_path / "lab")
    begun(lab)
    train = lab.paths.tree / "train.py"
    train.write_text(train.read_text().replace('int(os.environ["AUTORESEARCH_SEED"])', "137"))
    refused = attempt(lab, "another seed", KNOB=2.5)
    assert refused.decision == "reverted"
    assert refused.change is not None
    assert refused.change > 3
    assert "can never keep it" in refused.reason
