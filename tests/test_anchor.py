"""When the incumbent must be measured again, and when it must not."""

from __future__ import annotations

import math

from mcp_server.anchor import Conditions, needs_anchor, repeat_disagrees

EFFECT, WIDTH = 0.0015, 1.5e-4
THEN = Conditions("H200", "550", speed=1.0)


def asks(now: Conditions, keep: bool, spare: float | None = None, then: Conditions = THEN) -> str:
    return needs_anchor(now, then, WIDTH, EFFECT, keep, spare)


def test_another_device_or_driver_always_asks() -> None:
    assert asks(Conditions("H100", "550", speed=1.0), keep=False) == "device_changed"
    assert asks(Conditions("H200", "560", speed=1.0), keep=False) == "driver_changed"


def test_an_unchanged_machine_never_asks() -> None:
    for keep in (True, False):
        assert asks(THEN, keep, spare=0.001) == ""
    counted = Conditions("H200", steps=10_000)
    assert asks(counted, keep=True, spare=0.0, then=counted) == ""


def test_a_win_that_a_faster_machine_explains_asks() -> None:
    assert asks(Conditions("H200", "550", speed=1.027), keep=True, spare=0.001) == "speed_changed"


def test_a_narrow_win_asks_although_the_probes_see_no_faster_machine() -> None:
    assert asks(Conditions("H200", "550", speed=0.9995), keep=True, spare=1e-4) == "speed_changed"
    assert asks(Conditions("H200", "550", speed=0.99), keep=True, spare=1e-4) == ""


def test_a_win_far_larger_than_the_machine_explains_stands() -> None:
    assert asks(Conditions("H200", "550", speed=1.002), keep=True, spare=0.019) == ""


def test_a_slower_machine_explains_no_win_but_a_much_slower_one_hides_wins() -> None:
    assert asks(Conditions("H200", "550", speed=0.998), keep=True, spare=0.001) == ""
    assert asks(Conditions("H200", "550", speed=0.95), keep=False) == "speed_changed"


def test_steps_are_a_witness_either_way_for_a_win_and_none_for_a_loss() -> None:
    before = Conditions("H200", steps=10_000)
    for steps in (9_800, 10_200):
        now = Conditions("H200", steps=steps)
        assert asks(now, keep=True, spare=0.001, then=before) == "steps_changed"
        assert asks(now, keep=False, then=before) == ""
    assert asks(Conditions("H200", steps=9_960), keep=True, spare=0.01, then=before) == "steps_changed"
    assert asks(Conditions("H200", steps=9_990), keep=True, spare=0.01, then=before) == ""


def test_what_was_not_recorded_decides_nothing() -> None:
    assert asks(Conditions("H200"), keep=True, spare=0.001) == ""


def test_a_repeat_that_moved_beyond_its_noise_disagrees() -> None:
    assert not repeat_disagrees(1.0, 1.0004, 1.1e-4)
    assert repeat_disagrees(1.0, 0.9984, 1.1e-4)
    assert repeat_disagrees(1.0, math.nan, 1.1e-4)
