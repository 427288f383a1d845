"""replay: what other rules would have kept of a campaign, what of it is refuted, and what that cost."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from mcp_server.cli import cli
from mcp_server.judging.further import rules
from mcp_server.nouns.decided import Decided
from mcp_server.views.counterfactual import REFEREE, Past, _as_decided, _first_looks, _under
from tests.labs import attempt, begin, make_lab
from tests.rules.records import experiment


def past(number: int, *gains: float, kept: bool = False, noise: float = 0.01, hours: float = 1.0) -> Past:
    one = experiment(number, decision="keep" if kept else "revert", verdict=Decided(change=gains[0]))
    return Past(one, "kept" if kept else "discarded", tuple((gain, hours) for gain in gains), noise)


@pytest.mark.parametrize(
    ("name", "looks", "keeps", "used"),
    [
        ("greedy", [0.001, -1.0], True, 1),
        ("margin", [0.009], False, 1),
        ("margin:0.5", [0.009], True, 1),
        ("twice", [0.02, -0.01, -5.0], True, 2),
        ("twice", [0.02, -0.03], False, 2),
        ("twice", [-0.02], False, 1),
        ("twice", [0.02], None, 1),
        ("repeat:3", [0.02, 0.01, -0.04], False, 3),
        ("bootstrap", [0.02, 0.01, 0.03], True, 3),
        ("bootstrap", [0.02, 0.01, -0.3], False, 3),
        ("bootstrap:5", [0.02, 0.01], None, 2),
    ],
)
def test_a_rule_is_asked_about_the_looks_that_it_would_have_paid_for(
    name: str, looks: list[float], keeps: bool | None, used: int
) -> None:
    rule = rules.named(name)
    assert rule is not None
    answer = rule(looks, 0.01)
    assert (answer.keeps, answer.used) == (keeps, used)


@pytest.mark.parametrize(
    "name", ["", "luck", "margin:wide", "repeat:0", "bootstrap:1", "greedy:2", "margin:-1", "margin:nan", "repeat:inf"]
)
def test_what_is_no_rule_is_none(name: str) -> None:
    assert rules.named(name) is None


def test_repeats_refute_a_keep_and_hours_are_lost_until_the_next_that_is_one() -> None:
    some = [past(2, 0.02, -0.01, -0.02), past(3, -0.01), past(4, 0.03, 0.03, kept=True), past(5, 0.01)]
    greedy, wide = rules.named("greedy"), rules.named("margin:4")
    assert greedy is not None
    assert wide is not None
    told = _under("greedy", [_first_looks(greedy)(one) for one in some], some, set())
    assert [(keep.experiment, keep.refuted) for keep in told.kept] == [(2, "repeats"), (4, ""), (5, "")]
    assert (told.refuted, told.unrepeated, told.missed) == (1, 1, [])
    # one look of each; lost are the refuted keep, and what was tried on top of it up to the next real one
    assert (told.run_hours, told.lost_hours) == (4.0, 3.0)
    referee = _under(REFEREE, [_as_decided(one) for one in some], some, set())
    assert [keep.experiment for keep in referee.kept] == [4]
    assert (referee.run_hours, referee.lost_hours) == (7.0, 0.0)
    assert _under("margin:4", [_first_looks(wide)(one) for one in some], some, set()).missed == [4]


def test_the_exam_refutes_what_was_kept_where_it_is_sure_that_it_gains_nothing() -> None:
    some = [past(2, 0.02, 0.02, kept=True)]
    assert _under(REFEREE, [_as_decided(one) for one in some], some, {2}).kept[0].refuted == "exam"


def test_a_campaign_is_replayed_from_its_own_ledger(tmp_path: Path) -> None:
    lab = make_lab(tmp_path / "lab")
    begin(lab, calibrate=1)
    assert attempt(lab, KNOB=2.0).decision == "kept"
    assert attempt(lab, KNOB=1.5).decision == "reverted"
    told = json.loads(replay(lab.paths.tree, "--rule", "greedy", "--rule", "twice", "--json"))
    assert [one["rule"] for one in told["rules"]] == ["referee", "greedy", "twice"]
    assert told["attempts"] == 2
    assert [(keep["experiment"], keep["gain"]) for keep in told["rules"][1]["kept"]] == [(2, 3.0)]
    assert told["rules"][2]["unknown"] == 1  # nobody looked twice
    assert "not repeated" in replay(lab.paths.tree)
    refused = CliRunner().invoke(cli, ["-C", str(lab.paths.tree), "replay", "--rule", "luck"])
    assert refused.exit_code != 0
    assert "There is no rule 'luck'. Rules are greedy, margin" in refused.output


def replay(folder: Path, *arguments: str) -> str:
    done = CliRunner().invoke(cli, ["-C", str(folder), "replay", *arguments])
    assert done.exit_code == 0, done.output
    return done.output
