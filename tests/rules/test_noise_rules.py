"""Small rules about noise and looks, each by a number that says it."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from mcp_server.edits.constants import knob_changes
from mcp_server.judging.decide import decide
from mcp_server.judging.drift import Conditions, Scatter, must_anchor
from mcp_server.judging.noise import Noise
from mcp_server.judging.verdict import Decision, Record
from tests.judging.test_decide import apart, slots
from tests.test_judgement import Bench, code_of
from tests.test_ledger import experiment

pytestmark = pytest.mark.quick


@pytest.mark.parametrize(
    ("paired_sd", "correlation"),
    [(None, 0.0), (2.0, 0.0), (math.sqrt(2.0), 0.0), (1.0, 0.5), (0.5, 0.875), (0.0, 0.9999)],
)
def test_how_far_a_shared_seed_ties_two_scores_together(paired_sd: float | None, correlation: float) -> None:
    assert Noise(sd=1.0, runs=5, paired_sd=paired_sd, pairs=4).correlation(1.0) == pytest.approx(correlation)


def test_apart_a_night_is_granted_less_evidence_for_all_share_one_incumbents_luck() -> None:
    there, here = (decide(made(0.0006, 0.0006, record=Record())).evidence for made in (apart, slots))
    assert there is not None
    assert here is not None
    assert 1.0 < there < 0.8 * here


@pytest.mark.parametrize(("sd", "said"), [(0.001, "speed_changed"), (0.004, "speed_changed"), (0.01, "")])
def test_a_probe_that_scatters_on_an_unmoved_machine_doubts_no_win_by_itself(sd: float, said: str) -> None:
    now, then = Conditions("a card", speed=1.005), Conditions("a card", speed=1.0)
    assert must_anchor(now, then, Scatter(speed=sd), 1.5e-4, 0.0015, 1e-4) == said


@pytest.mark.parametrize("left", [0, 1, 2])
def test_a_repeat_is_only_ordered_where_its_runs_are_left(left: int) -> None:
    for evidence in (slots(0.003, sd=3e-3, runs_left=left), apart(0.003, sd=3e-3, runs_left=left)):
        verdict = decide(evidence)
        assert len(verdict.orders) <= left
        assert (verdict.decision is Decision.CONFIRM) is bool(verdict.orders)


def test_a_call_that_came_whole_is_no_constant_that_moved() -> None:
    assert knob_changes("x = f(1)\n", "x = f(1)\ny = Dropout(0.1)\n") == ()
    assert [str(one) for one in knob_changes("x = f(a)\n", "x = f(a, p=0.1)\n")] == ["f.p: added 0.1"]


@pytest.mark.parametrize(("nodes", "saved"), [(4, 6), (10, 0), (13, -3)])
def test_shorter_code_is_what_has_fewer_nodes_than_the_incumbent(tmp_path: Path, nodes: int, saved: int) -> None:
    from mcp_server.campaign.evidence import gather

    bench = Bench(tmp_path / "lab.db")
    bench.baseline(1.0, 1.0001, 1.0002)
    bench.ledger.open_experiment(experiment(2, base=1, nodes=nodes), [(0, "first")])
    found, kept = bench.ledger.experiment("first", 2), bench.ledger.incumbent("first")
    assert kept is not None
    assert gather(bench.ledger, bench.arena, bench.campaign, found, kept).saved == saved


def test_a_check_that_failed_forbids_a_keep_whatever_the_score(tmp_path: Path) -> None:
    bench = Bench(tmp_path / "lab.db")
    bench.baseline(1.0, 1.0001, 1.0002)
    bench.prove()
    bench.run(2, 0.5, flags=("checks_failed",), detail="two tests fail")
    assert code_of(bench.judge()) == (Decision.DISCARD, "bound_broken")
