"""Honest totals: what was recorded, what to believe, and which keeps to test again."""

from __future__ import annotations

from dataclasses import replace

import pytest

from mcp_server.judging.totals import prune_order, totals
from mcp_server.nouns.decided import Decided
from mcp_server.nouns.records import Kind
from mcp_server.nouns.rows import Experiment
from tests.rules.records import experiment


def keep(number: int, gain: float, believed: float, probability: float, label: str = "", code: str = "") -> Experiment:
    verdict = Decided(change=gain, believed=believed, probability=probability, code=code)
    return experiment(number, decision="keep", label=label or "provisional", verdict=verdict)


KEEPS = (
    keep(3, 0.004, 0.0035, 0.99, "confirmed"),
    keep(7, 0.002, 0.001, 0.6),
    keep(9, -0.0001, 0.0, 0.1, code="simpler"),
    keep(12, 0.001, 0.0002, 0.3),
)


def test_claimed_is_as_recorded_and_believed_is_less() -> None:
    found = totals({0: -1.0, 1: -1.002}, {0: -0.994}, KEEPS)
    assert found.claimed == pytest.approx(0.007)
    assert found.believed == pytest.approx(0.0047)


def test_what_is_to_be_believed_is_never_above_the_claim() -> None:
    assert totals({0: -1.0}, {0: -0.998}, KEEPS).believed == pytest.approx(0.002)
    assert totals({0: -1.0}, {0: -1.001}, KEEPS).believed == 0.0


def test_while_nothing_is_proven_nothing_is_to_be_believed() -> None:
    found = totals({0: -1.0}, {0: -0.994}, KEEPS, proven=False)
    assert (found.claimed, found.believed) == (pytest.approx(0.006), 0.0)


def test_a_false_keep_is_one_that_claimed_to_be_better() -> None:
    assert totals({0: -1.0}, {0: -0.99}, KEEPS).false_keeps == pytest.approx(0.01 + 0.4 + 0.7)


def test_a_campaign_without_a_keep_claims_nothing() -> None:
    found = totals({0: -1.0}, {0: -1.0}, ())
    assert (found.claimed, found.believed, found.false_keeps) == (0.0, 0.0, 0.0)


def test_provisional_keeps_are_tested_again_backwards() -> None:
    assert prune_order(KEEPS) == (12, 7)


def test_with_few_runs_the_least_probable_are_tested() -> None:
    assert prune_order(KEEPS, runs_left=1) == (12,)
    assert prune_order((*KEEPS, keep(15, 0.001, 0.0009, 0.9)), runs_left=2) == (12, 7)
    assert prune_order(KEEPS, runs_left=0) == ()


def test_gains_of_slots_are_claimed_whatever_the_ends_scored_at_other_times() -> None:
    found = totals({0: -1.0}, {0: -1.02}, KEEPS, gained=0.0069)  # the machine had slowed down
    assert (found.claimed, found.believed) == (0.0069, pytest.approx(0.0047))


TAKEN_BACK = replace(
    keep(14, 0.0005, -0.0001, 0.2, code="simpler"), kind=Kind.PRUNE, description="without experiment 12: an idea"
)


def test_a_change_that_was_taken_back_is_neither_believed_nor_doubted_nor_tested_again() -> None:
    found = totals({0: -1.0}, {0: -0.99}, (*KEEPS, TAKEN_BACK))
    assert found.believed == pytest.approx(0.0045)
    assert found.false_keeps == pytest.approx(0.01 + 0.4)
    assert prune_order((*KEEPS, TAKEN_BACK)) == (7,)


def test_a_re_test_that_was_carried_on_still_names_what_it_takes_back() -> None:
    carried = replace(TAKEN_BACK, description=f"experiment 14 on 13: {TAKEN_BACK.description}")
    assert carried.takes_back == TAKEN_BACK.takes_back == 12
    assert replace(TAKEN_BACK, kind=Kind.ATTEMPT).takes_back is None  # an agent may say what it likes
