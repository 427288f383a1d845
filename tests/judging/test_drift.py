"""When the incumbent must be measured again, when it must not, and when the machine explains everything."""

from __future__ import annotations

import math

import pytest

from mcp_server.judging.drift import Conditions, Scatter, machine_could, must_anchor, repeat_disagrees, scatter

EFFECT, WIDTH = 0.0015, 1.5e-4
THEN = Conditions("H200", "550", speed=1.0)
PROBED, PACED = Scatter(speed=0.001), Scatter(pace=0.001)


def asks(
    now: Conditions, spare: float | None = None, then: Conditions = THEN, known: Scatter = PROBED, width: float = WIDTH
) -> str:
    return must_anchor(now, then, known, width, EFFECT, spare)


def test_another_device_or_driver_always_asks() -> None:
    assert asks(Conditions("H100", "550", speed=1.0)) == "device_changed"
    assert asks(Conditions("H200", "560", speed=1.0)) == "driver_changed"


def test_an_unchanged_machine_never_asks() -> None:
    for spare in (None, 0.001):
        assert asks(THEN, spare) == ""
    paced = Conditions("H200", pace=170.0)
    assert asks(paced, 0.0, paced, PACED) == ""


def test_a_win_that_a_faster_machine_explains_asks() -> None:
    assert asks(Conditions("H200", "550", speed=1.027), 0.001) == "speed_changed"


def test_a_narrow_win_asks_although_the_probes_see_no_faster_machine() -> None:
    assert asks(Conditions("H200", "550", speed=0.9995), 1e-4) == "speed_changed"
    assert asks(Conditions("H200", "550", speed=0.99), 1e-4) == ""


def test_a_win_far_larger_than_the_machine_explains_stands() -> None:
    assert asks(Conditions("H200", "550", speed=1.002), 0.019) == ""


def test_a_much_slower_machine_hides_wins_and_asks_even_for_a_loss() -> None:
    assert asks(Conditions("H200", "550", speed=0.998), 0.001) == ""
    assert asks(Conditions("H200", "550", speed=0.95)) == "speed_changed"


@pytest.mark.parametrize("pace", [0.98, 1.02])
def test_the_pace_is_a_witness_either_way_for_a_win_and_costs_no_run_for_a_loss(pace: float) -> None:
    then = Conditions("H200", pace=1.0)
    assert asks(Conditions("H200", pace=pace), 0.001, then, PACED) == "steps_changed"
    assert asks(Conditions("H200", pace=pace), None, then, PACED) == ""
    assert asks(Conditions("H200", pace=1.0 + (pace - 1.0) / 20), 0.01, then, PACED) == ""


def test_a_machine_whose_equal_runs_scatter_is_not_asked_about_what_it_always_does() -> None:
    busy, now, then = Scatter(pace=0.05), Conditions("cpu", pace=1.03), Conditions("cpu", pace=1.0)
    assert asks(now, 0.001, then, PACED, 1e-4) == "steps_changed"
    assert asks(now, 0.001, then, busy, 3e-3) == ""


@pytest.mark.parametrize("gain", [0.004, -0.004])
def test_a_difference_that_the_machines_own_scatter_explains_says_nothing_whatever_its_sign(gain: float) -> None:
    here = Conditions("cpu", pace=1.0)
    assert machine_could(gain, here, here, Scatter(pace=0.03), 1e-3, EFFECT)
    assert not machine_could(gain, here, here, Scatter(pace=0.001), 1e-3, EFFECT)
    assert not machine_could(10 * gain, here, here, Scatter(pace=0.03), 1e-3, EFFECT)


def test_a_loss_on_a_machine_that_became_slower_says_nothing_but_a_gain_on_it_does() -> None:
    now, then = Conditions("cpu", pace=0.9), Conditions("cpu", pace=1.0)
    assert machine_could(-0.004, now, then, Scatter(pace=0.002), 1e-3, EFFECT)
    assert not machine_could(0.004, now, then, Scatter(pace=0.002), 1e-3, EFFECT)


def test_the_scatter_is_that_of_equal_code_and_unknown_without_a_repeat() -> None:
    runs = [[Conditions(pace=100.0, speed=1.0), Conditions(pace=110.0, speed=1.0)], [Conditions(pace=1.0)], []]
    found = scatter(runs)
    assert found.pace == pytest.approx(math.log(1.1) / math.sqrt(2.0))
    assert found.speed == 0.0
    assert scatter([[Conditions(pace=3.0)]]) == Scatter()


def test_what_was_not_recorded_decides_nothing() -> None:
    assert asks(Conditions("H200"), 0.001) == ""
    assert not machine_could(0.001, Conditions(), Conditions(), Scatter(), 1e-4, EFFECT)


def test_a_repeat_that_moved_beyond_its_noise_disagrees() -> None:
    assert not repeat_disagrees(1.0, 1.0004, 1.1e-4)
    assert repeat_disagrees(1.0, 0.9984, 1.1e-4)
    assert repeat_disagrees(1.0, math.nan, 1.1e-4)
