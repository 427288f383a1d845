"""A small slice of benchmarks/referee.py: whole campaigns under the lab's own rule, with room for luck."""

from __future__ import annotations

import pytest

from benchmarks.referee import MACHINES, campaigns
from benchmarks.rivals import NULL, World, rival, simple_rules


@pytest.mark.parametrize("sd", [1e-4, 7e-4])
def test_where_noise_is_small_little_gain_is_given_up_for_certainty(sd: float) -> None:
    found = campaigns(World(), sd, 25, seed=11).row()
    assert found["gain"] > 0.8 * rival(World(), sd, 500, 11, simple_rules()["greedy"], slot=True).gain
    assert found["sure_true"] >= 0.9
    assert found["over_claim"] == 0.0


def test_where_noise_rivals_effects_repeats_pay() -> None:
    found = campaigns(World(), 2e-3, 25, seed=12).row()
    assert found["gain"] > 0.0 > rival(World(), 2e-3, 500, 12, simple_rules()["greedy"], slot=True).gain
    assert found["confirmed_false"] < 0.2


@pytest.mark.parametrize("sd", [1.1e-4, 2e-3])
def test_in_a_night_in_which_nothing_helps_nothing_is_kept_or_believed(sd: float) -> None:
    found = campaigns(NULL, sd, 12, seed=13).row()
    assert found["nights"] <= 1 / 12
    assert found["first_kept"] == 0.0
    assert found["believed"] <= 1e-3


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize("slot", [True, False])
def test_no_machine_that_moves_makes_null_edits_into_keeps(machine: str, slot: bool) -> None:
    assert campaigns(NULL, 4e-4, 4, seed=14, slot=slot, machine=MACHINES[machine]).row()["keeps"] <= 0.5


def test_whoever_calls_unlucky_runs_off_keeps_no_more() -> None:
    assert campaigns(NULL, 7e-4, 8, seed=15, buys_luck=True).row()["keeps"] == 0.0


def test_no_campaign_spends_more_than_it_has() -> None:
    for slot in (True, False):
        assert min(campaigns(World(runs=23), 3e-3, 6, slot=slot).extra) >= 0
