"""A small slice of benchmarks/referee.py: whole campaigns under the real judge, with room for luck in the bounds."""

from __future__ import annotations

import pytest

from benchmarks.referee import (
    REFEREE,
    World,
    compare_rules,
    deal,
    drifting,
    lockstep,
    refereed,
    repeat_all,
    slow_walk,
    steady,
    step_at,
)
from mcp_server.noise import Noise


@pytest.mark.parametrize("sd", [1e-4, 7e-4])
def test_where_noise_is_small_little_gain_is_given_up_for_certainty(sd: float) -> None:
    found = {name: outcome.row() for name, outcome in compare_rules(sd, 100, seed=11).items()}
    best = max(row["gain"] for row in found.values())
    assert found[REFEREE]["gain"] > 0.93 * best
    assert found[REFEREE]["false"] < found["greedy"]["false"]
    assert found[REFEREE]["excess"] < 0.10


def test_where_noise_rivals_effects_repeats_pay_and_claims_stay_honest() -> None:
    found = {name: outcome.row() for name, outcome in compare_rules(2e-3, 150, seed=12).items()}
    ours = found[REFEREE]
    assert ours["gain"] > 1.05 * found["greedy"]["gain"]
    assert ours["excess"] < 0.4 * found["greedy"]["excess"]
    assert ours["confirmed_false"] < 0.3
    assert ours["doubted"] == pytest.approx(ours["false"], rel=0.25)


def test_where_noise_hides_everything_nothing_is_lost() -> None:
    found = {name: outcome.row() for name, outcome in compare_rules(1e-2, 60, seed=13).items()}
    assert found["greedy"]["gain"] < 0
    assert found[REFEREE]["gain"] >= -1e-4
    assert found[REFEREE]["keeps"] < 0.5


def test_the_believed_total_is_nearer_to_the_truth_than_the_greedy_claim() -> None:
    found = {name: outcome.row() for name, outcome in compare_rules(1e-3, 100, seed=14).items()}
    ours, greedy = found[REFEREE], found["greedy"]
    assert abs(ours["believed"] / ours["gain"] - 1) < greedy["excess"]


def test_no_campaign_spends_more_than_it_has() -> None:
    luck = deal(World(runs=23), 3e-3, 40, 1)
    outcome = refereed(luck)
    assert (outcome.extra <= 22).all()
    assert (lockstep(luck, repeat_all()).extra <= 22).all()


def test_a_null_campaign_keeps_nothing_and_repeats_next_to_nothing() -> None:
    null = World(improving=0.0, neutral=1.0, runs=260)
    found = drifting(deal(null, 1.1e-4, 12, 3), [step_at(when) for when in (20, 90, 200)], witness="steps")
    assert found.keeps <= 1 / 12
    assert found.extra <= 2


def test_edits_that_touch_the_seed_are_not_kept_however_lucky() -> None:
    null = World(improving=0.0, neutral=1.0, runs=40)
    luck = deal(null, 7e-4, 20, 4)
    assert drifting(luck, [steady], touched=("seeding",)).keeps == 0
    assert drifting(luck, [steady]).keeps > 0


@pytest.mark.parametrize(("witness", "sd"), [("speed", 1.1e-4), ("steps", 1.1e-4), ("speed", 4e-4)])
def test_a_machine_that_moves_brings_no_false_keep(witness: str, sd: float) -> None:
    luck = deal(World(), sd, 10, 5)
    moves = [step_at(20), step_at(60), slow_walk(126)]
    assert drifting(luck, moves, anchored=False).false > 0.2
    assert drifting(luck, moves, witness=witness).from_drift == 0


def test_a_noise_that_is_only_guessed_by_a_factor_of_two_still_serves() -> None:
    luck = deal(World(), 7e-4, 60, 6)
    told = refereed(luck).gain.mean()
    for wrong in (0.5, 2.0):
        assert refereed(luck, noise=Noise(sd=7e-4 * wrong, runs=3)).gain.mean() > 0.8 * told
