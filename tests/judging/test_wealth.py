"""The bet against "nothing here is better" wins nothing on average where nothing is better, however much it bets."""

from __future__ import annotations

import math

import numpy as np
import pytest

from mcp_server.judging.effects import WIDTHS, Effects, Look
from mcp_server.judging.wealth import Wealth

UNIT = Effects(typical=1.0)


def mean_stake_won(at: int, true: float, second: bool = False) -> float:
    """What one unit of wealth comes to on average at the width WIDTHS[at], by a sum over what may be measured."""
    width, total, steps = float(WIDTHS[at]), 0.0, np.arange(-8.0, 8.05, 0.1 if not second else 0.4)
    step = float(steps[1] - steps[0])
    for z in steps.tolist():
        density = step * math.exp(-0.5 * z * z) / math.sqrt(2.0 * math.pi)
        first = true + width * z
        if not second:
            wealth = Wealth.initial().after(Look(first), Look(first), UNIT)
            total += density * math.exp(wealth.bold[0, at] - wealth.null[0, at])
            continue
        for again in steps.tolist():
            mean = Look((first + true + width * again) / 2.0, 0.5)
            wealth = Wealth.initial().after(mean, Look(first), UNIT)
            chance = density * step * math.exp(-0.5 * again * again) / math.sqrt(2.0 * math.pi)
            total += chance * math.exp(wealth.bold[0, at] - wealth.null[0, at])
    return total


@pytest.mark.parametrize("at", [12, 20, 24, 28, 32])  # widths of 0.03 to 11 typical gains
def test_a_code_that_changes_nothing_wins_nothing(at: int) -> None:
    # where noise is small a part is won by luck of more than eight widths, which the sum leaves out
    assert (0.0 if at < 20 else 0.95) <= mean_stake_won(at, 0.0) <= 1.005


@pytest.mark.parametrize("at", [20, 24, 28])
@pytest.mark.parametrize("harm", [0.3, 1.0, 5.0])
def test_a_code_that_harms_wins_no_more_than_that(at: int, harm: float) -> None:
    assert mean_stake_won(at, -harm * float(WIDTHS[at])) <= 1.005


@pytest.mark.parametrize("at", [22, 26])
def test_whoever_looks_again_wins_nothing_by_it(at: int) -> None:
    assert mean_stake_won(at, 0.0, second=True) == pytest.approx(1.0, abs=0.03)


def test_a_plain_harm_costs_hardly_anything_and_a_plain_gain_wins_much() -> None:
    at = 20  # a third of a typical gain
    wins = {gain: Wealth.initial().after(Look(gain), Look(gain), UNIT) for gain in (-4.0, 0.0, 2.0)}
    found = {gain: math.exp(one.bold[0, at] - one.null[0, at]) for gain, one in wins.items()}
    assert 0.98 < found[-4.0] <= 1.0
    assert 0.6 < found[0.0] < 1.0
    assert found[2.0] > 100.0
