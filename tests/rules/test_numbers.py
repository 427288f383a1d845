"""How numbers are written and rounded: whatever unit a score has, what is not zero does not look like it."""

from __future__ import annotations

import pytest

from mcp_server.campaign.progress import edges, rounded
from mcp_server.nouns.numbers import duration, fixed


@pytest.mark.parametrize(
    ("value", "decimals", "text"),
    [
        (0.9979, 6, "0.997900"),
        (0.0000123, 6, "0.000012"),
        (3.21e-6, 6, "3.21e-06"),
        (-4e-9, 6, "-4e-09"),
        (0.0, 6, "0.000000"),
        (12345.678, 2, "12345.68"),
        (1e300, 6, "1e+300"),
        (0.03, 1, "0.0"),  # of noise widths: nobody looks for less
    ],
)
def test_a_number_for_people(value: float, decimals: int, text: str) -> None:
    assert fixed(value, decimals) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.4, "0 s"),
        (89, "89 s"),
        (91, "2 min"),
        (5399, "90 min"),
        (5400, "1.5 h"),
        (172799, "48.0 h"),
        (172800, "2.0 days"),
    ],
)
def test_a_duration_is_said_in_a_unit_one_reads(seconds: float, text: str) -> None:
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("value", "digits", "found"),
    [
        (1.23456789, None, 1.234568),
        (5000.1234567, None, 5000.123457),
        (-0.123456789, None, -0.123457),
        (3.2123456789e-7, None, 3.21235e-7),
        (0.0, None, 0.0),
        (0.98765, 3, 0.988),
        (0.00004, 2, 0.0),
        (None, None, None),
    ],
)
def test_a_number_of_a_reply(value: float | None, digits: int | None, found: float | None) -> None:
    assert rounded(value, digits) == found


def test_an_interval_of_a_reply() -> None:
    assert edges((-1.23456789e-8, 2.0000000001)) == [-1.23457e-8, 2.0]
    assert edges(None) == edges(()) == []
