"""Noise estimation against noise that is known, and the comparison against brute-force least squares."""

from __future__ import annotations

import math
import random
from statistics import median

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mcp_server.judging.noise import Measured, Noise, compare, estimate, grain, pooled, typical_sd

untimed = settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
some_scores = st.dictionaries(st.integers(0, 5), st.floats(0.9, 1.1), min_size=1, max_size=5)


@pytest.mark.parametrize("true", [1e-4, 7e-4, 3e-3])
@pytest.mark.parametrize(("degrees", "factor"), [(2, 2.2), (4, 1.7), (20, 1.25)])
def test_few_runs_find_the_noise_within_a_factor(true: float, degrees: int, factor: float) -> None:
    draw = random.Random(3)
    found = [typical_sd(sum(draw.gauss(0, true) ** 2 for _ in range(degrees)), degrees, 7.5e-4) for _ in range(101)]
    assert true / factor < median(found) < true * factor


def test_two_equal_scores_do_not_prove_a_noise_of_zero_but_many_almost_do() -> None:
    few, many = (typical_sd(0.0, degrees, 7.5e-4) for degrees in (1, 10))
    assert 1e-4 < few < 7.5e-4
    assert 0.0 < many < 1e-6


@pytest.mark.parametrize("true", [0.2, 2.0])
def test_a_noise_far_above_what_was_expected_is_seen(true: float) -> None:
    draw = random.Random(3)
    assert typical_sd(sum(draw.gauss(0, true) ** 2 for _ in range(8)), 8, 7.5e-4) == pytest.approx(true, rel=0.5)


def test_a_repeat_that_diverged_is_a_large_noise_and_no_error() -> None:
    found = estimate([Measured("a", 0, 1.0), Measured("a", 0, 1e300), Measured("a", 1, -1e308)], effect=0.0015)
    assert found.sd is not None
    assert math.isfinite(found.sd)
    assert found.sd > 1


def test_nothing_measured_is_said_as_nothing() -> None:
    assert estimate([]) == Noise()
    assert estimate([Measured("a", 0, 1.0), Measured("b", 1, 0.9)]) == Noise()
    assert not Noise().known
    assert Noise(sd=0.0, runs=3).known


def test_repeat_seed_and_machine_noise_are_kept_apart() -> None:
    draw = random.Random(1)
    runs = []
    for code in range(12):
        for seed in range(3):
            luck = draw.gauss(0, 1e-3)
            for machine in ("left", "right"):
                moved = draw.gauss(0, 4e-3)
                runs += [Measured(code, seed, code + luck + moved + draw.gauss(0, 1e-4), machine) for _ in range(3)]
    found = estimate(runs)
    assert found.repeat_sd == pytest.approx(1e-4, rel=0.2)
    assert found.machine_sd == pytest.approx(4e-3, rel=0.3)
    # on one machine the code's seeds differ by luck and by what this machine did to each
    assert found.sd == pytest.approx(math.hypot(1e-3, 4e-3), rel=0.3)
    assert (found.repeats, found.machines) == (12 * 3 * 2 * 2, 12 * 3)


def test_a_repeat_on_the_same_seed_stands_in_until_a_second_seed_was_run() -> None:
    only_repeat = estimate([Measured("a", 0, 1.0), Measured("a", 0, 1.001)])
    with_seed = estimate([Measured("a", 0, 1.0), Measured("a", 0, 1.001), Measured("a", 1, 1.02)])
    assert only_repeat.sd == only_repeat.repeat_sd
    assert with_seed.sd > 3 * with_seed.repeat_sd


def test_paired_noise_is_learnt_from_confirmations_whatever_the_change_did() -> None:
    draw = random.Random(2)
    runs, pairings = [], []
    for number in range(10):
        effect = draw.gauss(0, 0.05)
        for seed in (0, 1, 2):
            luck = draw.gauss(0, 3e-3)
            runs.append(Measured(("old", number), seed, 1.0 + luck + draw.gauss(0, 2e-4)))
            runs.append(Measured(("new", number), seed, 1.0 + effect + luck + draw.gauss(0, 2e-4)))
        pairings.append((("new", number), ("old", number)))
    found = estimate(runs, pairings)
    assert found.sd == pytest.approx(3e-3, rel=0.3)
    assert found.paired_sd == pytest.approx(2e-4 * math.sqrt(2), rel=0.3)
    assert found.correlation(0.0015) > 0.98
    assert estimate(runs).paired_sd is None


def test_pairing_is_never_believed_to_harm() -> None:
    draw = random.Random(4)
    runs = [Measured(code, seed, draw.gauss(1, 1e-3)) for code in "ab" for seed in range(8)]
    found = estimate(runs, [("a", "b")])
    assert found.paired_sd <= math.sqrt(2) * found.sd
    assert 0.0 <= found.correlation(0.0015) < 1.0


def test_scores_that_are_no_numbers_say_nothing_of_noise() -> None:
    clean = [Measured("a", 0, 1.0), Measured("a", 1, 1.001)]
    assert estimate([*clean, Measured("a", 2, math.nan)]) == estimate(clean)


@untimed
@given(some_scores, some_scores, st.sampled_from([0.0, 0.3, 0.9, 0.9999]))
def test_a_comparison_is_the_generalised_least_squares_one(ours, theirs, correlation) -> None:
    observed = [(0, seed, value) for seed, value in ours.items()] + [(1, seed, value) for seed, value in theirs.items()]
    covariance = np.array(
        [[1.0 if a == b else correlation if a[1] == b[1] else 0.0 for b in observed] for a in observed]
    )
    design = np.array([[one[0] == 0, one[0] == 1] for one in observed], float)
    inverse = np.linalg.inv(covariance)
    spread = np.linalg.inv(design.T @ inverse @ design)
    means = spread @ design.T @ inverse @ np.array([one[2] for one in observed])
    # with correlation 0 < rho and partly shared seeds this is the best estimate; with equal sets it is the paired mean
    delta, width = compare(ours, theirs, 2.0, correlation)
    assert delta == pytest.approx(means[0] - means[1], abs=1e-7)
    assert width == pytest.approx(2.0 * math.sqrt(max(spread[0, 0] + spread[1, 1] - 2 * spread[0, 1], 0.0)), abs=1e-6)


@untimed
@given(some_scores, some_scores, st.sampled_from([0.0, 0.5, 0.9999]))
def test_exchanging_the_two_turns_the_difference_round(ours, theirs, correlation) -> None:
    forth, back = compare(ours, theirs, 1.0, correlation), compare(theirs, ours, 1.0, correlation)
    assert forth[0] == pytest.approx(-back[0], abs=1e-9)
    assert forth[1] == pytest.approx(back[1])


@pytest.mark.parametrize(
    ("codes", "step"),
    [
        ([[0.90, 0.90], [0.905], [0.92]], 0.005),  # equal repeats, and scores in steps
        ([[0.90, 0.905], [0.92]], 0.0),  # no repeat was equal: noise shows itself
        ([[1.0, 1.0], [1.0]], 0.0),  # nothing but one score
        ([[0.9, 0.9], [0.91234], [0.95678]], 0.0),  # exact, and in no steps
        ([[2.53297, 2.53297], [2.53311]], 0.0),  # exact: some step lies between any two
        ([[4.0, 4.0], [1.0]], 1.0),  # may be a count, whose step nobody has shown yet
        ([[0.3, 0.3], [0.1 + 0.2], [0.4]], 0.1),  # what sums in another order differ by is no step
    ],
)
def test_the_step_of_coarse_scores_is_seen_where_repeats_are_equal(codes: list[list[float]], step: float) -> None:
    assert grain(codes) == pytest.approx(step)


@pytest.mark.parametrize(
    ("own", "earlier", "together"),
    [
        ((2.0, 2.0), [], (2.0, 2.0)),
        ((2.0, 2.0), [(10.0, 10.0)], (9.0, 9.0)),  # one campaign ago counts 0.7
        ((2.0, 2.0), [(0.0, 0.0), (10.0, 10.0)], (6.9, 6.9)),  # two ago 0.49
        ((2.0, 2.0), [(100.0, 100.0)], (22.0, 22.0)),  # never more than twenty differences
        ((20.0, 2.0), [(10.0, 10.0)], (20.0, 2.0)),  # noise is ten times what it was: only today counts
        ((0.0, 0.0), [(10.0, 10.0)], (7.0, 7.0)),
    ],
)
def test_what_earlier_campaigns_measured_counts_less_than_today(
    own: tuple[float, float], earlier: list[tuple[float, float]], together: tuple[float, float]
) -> None:
    assert pooled(own, earlier) == pytest.approx(together)
