"""Beliefs against simulation: what is said must come true as often as it says, with the noise hardly known."""

from __future__ import annotations

import math
import random

import pytest

from mcp_server.judging.belief import Widths, learn
from mcp_server.judging.effects import Effects, Look, usual_luck


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
    known = Widths.unknown(effects).measured(200 * width * width, 200)
    looks = []
    for _ in range(6_000):
        true = draw_effect(draw, effects)
        looks.append((known.belief(Look(true + draw.gauss(0, width))), true))
    looks.sort(key=lambda look: look[0].probability)
    for part in range(0, 6_000, 1_500):
        some = looks[part : part + 1_500]
        said = sum(belief.probability for belief, _ in some) / len(some)
        assert sum(true > 0 for _, true in some) / len(some) == pytest.approx(
            said, abs=0.05
        )  # one improvement in twenty is thought to be of any size
        gain = sum(belief.gain for belief, _ in some) / len(some)
        assert sum(true for _, true in some) / len(some) == pytest.approx(gain, abs=4e-4)


@pytest.mark.parametrize("width", [2e-4, 1e-3, 4e-3])
def test_evidence_against_nothing_is_on_average_at_most_one_where_nothing_helps(width: float) -> None:
    draw, found = random.Random(9), 0.0
    for _ in range(2_000):
        known = Widths.unknown(Effects()).measured(sum(draw.gauss(0, width) ** 2 for _ in range(4)), 4)
        found += min(known.belief(Look(draw.gauss(0, width))).evidence, 100.0)
    assert found / 2_000 < 1.1


def test_the_fewer_differences_were_measured_the_less_is_believed() -> None:
    sure = [Widths.unknown(Effects()).measured(n * 1e-6, n).belief(Look(0.004)).probability for n in (1, 2, 8, 64)]
    assert sure == sorted(sure)
    assert sure[0] < 0.6
    assert sure[-1] > 0.9


def test_a_candidates_own_scatter_tells_of_the_noise() -> None:
    known = Widths.unknown(Effects()).measured(2e-8, 2)
    alike, apart = (known.belief(Look(0.002, 0.5, squares, 1.0)).probability for squares in (1e-8, 8e-6))
    assert alike > 0.9 > apart


def test_a_gain_on_a_scale_that_nobody_expected_is_believed_once_it_repeats_itself() -> None:
    known = Widths.unknown(Effects(typical=1e-4)).measured(2 * 4e-4, 2)
    assert known.belief(Look(5.0, 1 / 3, 8e-4, 2.0)).probability > 0.9


def test_a_noise_beyond_all_effects_leaves_the_prior() -> None:
    found = Widths.unknown(Effects(typical=1e-12)).measured(2.0, 2).belief(Look(1.0))
    assert (found.probability, found.evidence) == (0.12, 1.0)


@pytest.mark.parametrize("typical_gains", [0.03, 0.3, 1.0, 3.0, 30.0])
def test_the_interval_covers_the_truth_in_19_of_20_though_two_differences_told_the_noise(typical_gains: float) -> None:
    draw, sd, covered = random.Random(5), typical_gains * Effects().typical, 0
    for _ in range(400):
        known = Widths.unknown(Effects()).measured(draw.gauss(0, sd) ** 2 + draw.gauss(0, sd) ** 2, 2)
        covered += abs(draw.gauss(0, sd)) <= known.reach(Look(0.0))
    assert 0.93 <= covered / 400 <= 0.97


def test_the_interval_is_a_normals_once_the_noise_is_known() -> None:
    known = Widths.unknown(Effects()).measured(500 * 1e-6, 500)
    assert known.reach(Look(0.3)) == pytest.approx(1.96e-3, rel=0.08)
    assert known.reach(Look(0.3, 1 / 4)) == pytest.approx(0.98e-3, rel=0.08)
    assert known.reach(Look(0.3, machine=2e-3)) == pytest.approx(1.96e-3 * 5**0.5, rel=0.08)


def test_looks_at_codes_that_do_nothing_show_the_noise_as_well() -> None:
    draw, known = random.Random(3), Widths.unknown(Effects()).measured(2e-8, 2)  # luck: a tenth of the truth
    for _ in range(30):
        known = known.after(Look(draw_effect(draw, Effects()) + draw.gauss(0, 1e-3)))
    assert 5e-4 < known.belief(Look(0.0)).width < 2e-3


def test_luck_grows_with_noise_up_to_a_bound() -> None:
    lucks = [usual_luck(sd * math.sqrt(2.0), Effects()) / sd for sd in (1e-5, 1e-4, 4e-4, 7e-4, 2e-3, 1e-1)]
    assert lucks == sorted(lucks)
    assert lucks[0] < 0.01
    assert lucks[-1] < 1.71


@pytest.mark.parametrize("typical", [0.005, 0.02])
def test_a_night_of_large_gains_teaches_the_arenas_own_scale(typical: float) -> None:
    draw, true = random.Random(5), Effects(typical=typical)
    width = 0.1 * typical
    looks = [(draw_effect(draw, true) + draw.gauss(0, width), width) for _ in range(60)]
    assert 0.4 * typical < learn(Effects(), looks).typical < 2.0 * typical


@pytest.mark.parametrize("width", [1.5e-4, 1e-3, 5e-3])
def test_a_night_in_which_nothing_helps_makes_no_luck_count_for_more(width: float) -> None:
    draw, nothing = random.Random(6), Effects(improving=0.0, harmful=0.3)
    assert (
        learn(Effects(), [(draw_effect(draw, nothing) + draw.gauss(0, width), width) for _ in range(60)]) == Effects()
    )


def test_one_lucky_win_does_not_set_the_scale() -> None:
    assert learn(Effects(), [(0.05, 1e-4)]).typical < 0.016


def test_what_was_won_long_ago_says_nothing_of_what_is_left() -> None:
    assert learn(Effects(), [(0.05, 2e-4)] * 20 + [(-0.001, 2e-4)] * 60) == Effects()


def test_nothing_seen_teaches_nothing() -> None:
    assert learn(Effects(), []) == Effects()
    assert learn(Effects(), [(math.nan, 1.0), (1.0, 0.0)]) == Effects()
