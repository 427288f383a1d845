"""Several primary metrics: a step along the front, judged through the ledger."""

from __future__ import annotations

from pathlib import Path

import pytest

from mcp_server.campaign.evidence import gather
from mcp_server.campaign.gathered.front import with_front
from mcp_server.judging.verdict import LEAST_ADOPTED, Decision
from mcp_server.judging.weighing import Case
from mcp_server.nouns.records import RunResult, RunState
from tests.test_judgement import CARD, Bench, arena_of, code_of
from tests.test_ledger import AT, experiment

FRONT = "metrics: {loss: {direction: minimize}, latency: {direction: minimize}}\n"


def front_of(path: Path) -> Bench:
    """A campaign of two metrics whose noise is known."""
    bench = Bench(path, arena_of(more=FRONT))
    for score, latency in ((1.0, 5.0), (1.0001, 5.01), (1.0002, 5.02)):
        bench.run(1, score, purpose="repeat", secondary={"latency": latency})
    bench.keep(1)
    return bench


def test_a_step_of_several_metrics_waits_for_the_incumbents_run_beside_it(tmp_path: Path) -> None:
    bench = front_of(tmp_path / "lab.db")
    bench.prove()
    for seed in (0, 1):
        bench.run(2, 0.9, seed=seed, secondary={"latency": 5.0})
    bench.ledger.open_run("first", 1, 1, "confirm", AT)
    assert (code_of(bench.judge()), bench.judge().wanted) == ((Decision.CONFIRM, "awaits_incumbent"), ())


@pytest.mark.parametrize(
    ("latency", "said"),
    [(5.0, (Decision.KEEP, "simpler")), (9.0, (Decision.DISCARD, "worse"))],
)
def test_what_is_only_shorter_is_kept_as_that_unless_another_metric_is_worse(
    tmp_path: Path, latency: float, said: tuple[Decision, str]
) -> None:
    bench = front_of(tmp_path / "lab.db")
    bench.ledger.open_experiment(experiment(2, base=1, nodes=0), [(0, "first")])
    run = bench.ledger.runs("first", 2)[-1]
    result = RunResult(state=RunState.SCORED, score=1.0, device=CARD, steps=10_000, secondary={"latency": latency})
    bench.ledger.close_run(run, result, AT)
    found = bench.judge()
    assert code_of(found) == said
    assert found.label == ("simplification" if said[0] is Decision.KEEP else None)


@pytest.mark.parametrize(("latency", "decision"), [(4.0, Decision.KEEP), (4.05, Decision.DISCARD)])
def test_a_change_that_is_worth_something_in_one_metric_is_not_taken_back(
    tmp_path: Path, latency: float, decision: Decision
) -> None:
    bench = front_of(tmp_path / "lab.db")
    bench.run(2, 0.9999, secondary={"latency": 4.0})
    bench.keep(2)
    bench.ledger.open_experiment(experiment(3, base=2, kind="prune"), [(7, "first")])
    run = bench.ledger.runs("first", 3)[-1]
    result = RunResult(state=RunState.SCORED, score=0.9999, device=CARD, steps=10_000, secondary={"latency": latency})
    bench.ledger.close_run(run, result, AT)
    bench.run(2, 0.9999, seed=7, secondary={"latency": 4.0})
    assert bench.judge(3).verdict.decision is decision


@pytest.mark.parametrize(
    ("secondary", "said"),
    [
        ({"latency": 5.0}, (Decision.KEEP, "gain")),
        ({"latency": 9.0}, (Decision.DISCARD, "trade_off")),
        ({}, (Decision.DISCARD, "no_score")),
        ({"latency": 1e120}, (Decision.DISCARD, "not_a_number")),
    ],
)
def test_a_metric_that_has_no_number_is_not_taken_for_one_that_is_no_worse(
    tmp_path: Path, secondary: dict[str, float], said: tuple[Decision, str]
) -> None:
    bench = front_of(tmp_path / "lab.db")
    bench.prove()
    bench.run(2, 0.9, secondary=secondary)
    assert code_of(bench.judge()) == said


def test_what_another_lab_claims_has_to_be_likely_here_in_every_metric(tmp_path: Path) -> None:
    bench = Bench(tmp_path / "lab.db", arena_of(more=FRONT))
    bench.ledger.open_experiment(experiment(2, base=1, kind="replication"), [(0, "first")])
    compared = bench.ledger.experiment("first", 2)
    given = gather(bench.ledger, bench.arena, bench.campaign, compared, compared)
    front = with_front(given, bench.ledger, bench.arena, compared, compared).front
    assert front is not None
    assert front[1]["latency"].policy.least == given.policy.least == LEAST_ADOPTED


@pytest.mark.parametrize("bound", ["", "secondary: {latency: {max: 6}}\n"])
def test_a_bound_does_not_choose_which_bet_of_several_metrics_counts(tmp_path: Path, bound: str) -> None:
    bench = front_of(tmp_path / "lab.db")
    bench.arena = arena_of(more=FRONT + bound)
    for seed in (0, 1):
        bench.run(2, 0.99, seed=seed, secondary={"latency": 9.0})
    found = bench.judge()
    compared, base = (bench.ledger.experiment("first", number) for number in (2, 1))
    given = gather(bench.ledger, bench.arena, bench.campaign, compared, base)
    assert found.verdict.code == ("bound_broken" if bound else "trade_off")
    alone = Case.of(given).evidence
    assert found.verdict.evidence == pytest.approx((alone + 1) / 2, rel=0.1)  # what is plainly a harm costs no bet


def test_what_lies_undecided_counts_by_all_metrics_of_a_front(tmp_path: Path) -> None:
    def lying(latency: float) -> float:
        bench = front_of(tmp_path / f"{latency}.db")
        for number in range(2, 8):
            bench.run(number, 1.0001, secondary={"latency": latency})
        return bench.judge(7).lying

    assert lying(5.03) < 0.95 * lying(4.97)  # whoever passes over what is slow must not gain by what is quick
