"""The exam's interval against published quantiles and by coverage."""

from __future__ import annotations

import random

import pytest

from mcp_server.judging.student import examination, student_cdf, student_quantile


@pytest.mark.parametrize(
    ("degrees", "t"),
    [(1, 12.7062), (2, 4.3027), (3, 3.1824), (4, 2.7764), (5, 2.5706), (9, 2.2622), (10, 2.2281), (30, 2.0423)],
)
def test_quantiles_agree_with_the_published_table(degrees: int, t: float) -> None:
    assert student_quantile(0.975, degrees) == pytest.approx(t, abs=2e-4)


def test_the_interval_covers_the_true_gain_as_often_as_it_says() -> None:
    draw = random.Random(5)
    covered = 0
    for _ in range(2000):
        found = examination([draw.gauss(0.3, 1.0) for _ in range(3)])
        covered += found.low <= 0.3 <= found.high
    assert 0.935 < covered / 2000 < 0.965


def test_one_difference_has_no_interval() -> None:
    with pytest.raises(ValueError, match="no interval"):
        examination([0.1])


@pytest.mark.parametrize("degrees", [1, 1.7, 4, 33.3])
def test_the_quantile_is_where_the_distribution_says(degrees: float) -> None:
    for probability in (0.6, 0.975, 0.999):
        assert student_cdf(student_quantile(probability, degrees), degrees) == pytest.approx(probability, abs=1e-9)
    assert student_cdf(-1.5, degrees) == pytest.approx(1.0 - student_cdf(1.5, degrees))
