"""Beliefs against integration and simulation."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from mcp_server.belief import Effects, learn, posterior, usual_luck

untimed = settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def draw_effect(draw: random.Random, effects: Effects) -> float:
    kind = draw.random()
    if kind < effects.improving:
        return draw.expovariate(1.0 / effects.typical)
    if kind < 1.0 - effects.harmful:
        return 0.0
    return -draw.expovariate(1.0 / (effects.typical * effects.harm))


@pytest.mark.parametrize("width", [2e-4, 1e-3, 4e-3])
def test_a_probability_comes_true_as_often_as_it_says_and_a_gain_is_what_it_says(width: float) -> None:
    draw, effects = random.Random(8), Effects()
    looks = []
    for _ in range(20_000):
        true = draw_effect(draw, effects)
        looks.append((posterior(true + draw.gauss(0, width), width, effects), true))
    looks.sort(key=lambda look: look[0].probability)
    for part in range(0, 20_000, 4_000):
        some = looks[part : part + 4_000]
        said = sum(belief.probability for belief, _ in some) / len(some)
        came = sum(true > 0 for _, true in some) / len(some)
        assert came == pytest.approx(said, abs=0.03)
        gain = sum(belief.gain for belief, _ in some) / len(some)
        assert sum(true for _, true in some) / len(some) == pytest.approx(gain, abs=2e-4)


@untimed
@given(st.floats(), st.floats(min_value=0), st.floats(min_value=0))
@example(-1.0, 5e-324, 0.0015)  # once divided by zero
def test_a_belief_is_always_a_finite_probability(gain: float, width: float, typical: float) -> None:
    effects = Effects(typical=typical)
    belief = posterior(gain, width, effects)
    assert 0.0 <= belief.probability <= 1.0
    assert math.isfinite(belief.gain)
    assert 0.0 <= usual_luck(width, effects) < 1.71


@pytest.mark.parametrize("width", [0.04, 0.05, 10.0])
def test_a_measurement_that_says_nothing_leaves_the_prior(width: float) -> None:
    effects = Effects()
    belief = posterior(0.0, width, effects)
    before = effects.typical * (effects.improving - effects.harmful * effects.harm)
    assert belief.probability == pytest.approx(effects.improving, rel=0.02)
    assert belief.gain == pytest.approx(before, rel=0.05)


@untimed
@given(st.floats(-0.05, 0.05), st.floats(0, 0.05), st.sampled_from([0.0, 1e-5, 1e-4, 1e-3, 1e-2]))
def test_a_larger_gain_is_never_believed_less(gain: float, more: float, width: float) -> None:
    less_sure, surer = posterior(gain, width, Effects()), posterior(gain + more, width, Effects())
    assert surer.probability >= less_sure.probability - 1e-9
    assert surer.gain >= less_sure.gain - 1e-9


def test_luck_grows_with_noise_up_to_a_bound() -> None:
    lucks = [usual_luck(sd, Effects()) for sd in (1e-5, 1e-4, 4e-4, 7e-4, 2e-3, 1e-1)]
    assert lucks == sorted(lucks)
    assert lucks[0] < 0.01
    assert lucks[-1] < 1.71


@pytest.mark.parametrize("typical", [0.005, 0.02])
def test_a_night_of_large_gains_teaches_the_arenas_own_scale(typical: float) -> None:
    draw, true = random.Random(5), Effects(typical=typical)
    width = 0.1 * typical
    gains = [draw_effect(draw, true) + draw.gauss(0, width) for _ in range(60)]
    found = learn(Effects(), gains, [width] * 60)
    assert 0.4 * typical < found.typical < 2.0 * typical


@pytest.mark.parametrize("width", [1.5e-4, 1e-3, 5e-3])
def test_a_night_in_which_nothing_helps_makes_no_luck_count_for_more(width: float) -> None:
    draw, nothing = random.Random(6), Effects(improving=0.0, harmful=0.3)
    gains = [draw_effect(draw, nothing) + draw.gauss(0, width) for _ in range(60)]
    assert learn(Effects(), gains, [width] * 60) == Effects()


def test_one_lucky_win_does_not_set_the_scale() -> None:
    assert learn(Effects(), [0.05], [1e-4]).typical < 0.016


def test_what_was_won_long_ago_says_nothing_of_what_is_left() -> None:
    gains = [0.05] * 20 + [-0.001] * 60
    assert learn(Effects(), gains, [2e-4] * 80) == Effects()


def test_nothing_seen_teaches_nothing() -> None:
    assert learn(Effects(), [], []) == Effects()
    assert learn(Effects(), [math.nan, 1.0], [1.0, 0.0]) == Effects()


def test_effects_follow_the_scale_of_the_score() -> None:
    assert Effects.near(-2000.0).typical == pytest.approx(3.0)
    assert Effects.near(0.0) == Effects.near(math.nan) == Effects()
