"""Money and quotas: what a command may print, what readings come to, when a window opens again. Row by row."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from mcp_server.campaign.money.accounts import Use, amounts, eligible, larger, read_in_all, uses_of
from mcp_server.campaign.money.spending import due
from mcp_server.campaign.money.window import latest
from mcp_server.ledger.live.spending import Reading
from mcp_server.nouns.rows import Spent
from mcp_server.personal.telling import printed
from mcp_server.views.comparison.courses import read_until

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)


def ago(hours: float) -> datetime:
    return NOW - timedelta(hours=hours)


@pytest.mark.parametrize(
    ("text", "spent"),
    [
        ("1.25", Spent(1.25)),
        ("3\n", Spent(3.0)),
        ("$4.50", Spent(4.5)),
        ("0", Spent(0.0)),
        ("looking ...\n2.5\n\n", Spent(2.5)),
        ('{"cost": 1.5, "tokens": 40000}', Spent(1.5, 40000)),
        ('{\n "cost_usd": 1.5\n}', Spent(1.5)),
        ('{"tokens": 12, "cost": null, "more": "x"}', Spent(None, 12)),
        ('done\n{"tokens": 12}', Spent(None, 12)),
    ],
)
def test_a_number_or_an_object_is_what_was_spent(text: str, spent: Spent) -> None:
    assert printed(text) == spent


@pytest.mark.parametrize(
    "text",
    ["", "about five", "NaN", "Infinity", "-1", "true", '"5"', "[5]", "{}", '{"cost": -1}', '{"tokens": 1.5}',
     '{"tokens": true}', '{"cost": "5"}', "1e300", '{"tokens": NaN}', '{"tokens": Infinity}', "1 2"],
)  # fmt: skip
def test_anything_else_is_no_amount(text: str) -> None:
    with pytest.raises(ValueError, match=r"cost|tokens|neither"):
        printed(text)


@pytest.mark.parametrize(
    ("values", "counter", "new"),
    [
        ([], False, []),
        ([5, 6, 6, 9], False, [5, 1, 0, 3]),
        ([5, 4, 6], False, [5, 0, 1]),  # corrected downwards: nothing was given back
        ([5, 6, 6, 9], True, [0, 1, 0, 3]),  # 5 was spent before anybody looked
        ([5, 8, 1, 2], True, [0, 3, 1, 1]),  # it began anew
    ],
)
def test_readings_come_to_what_they_grew_by(values: list[float], counter: bool, new: list[float]) -> None:
    assert amounts(values, counter) == new


def test_each_amount_is_followed_by_itself() -> None:
    read = [
        Reading("a", ago(hours).isoformat(), spent, counter=False)
        for hours, spent in ((3, Spent(1.0)), (2, Spent(None, 50)), (1, Spent(2.5, 70)))
    ]
    assert read_in_all(read) == Spent(2.5, 70)
    assert uses_of(read, "tokens") == [Use(ago(2), 50), Use(ago(1), 20)]
    assert read_in_all([]) == Spent()
    assert [read_until(uses_of(read, "cost_usd"), ago(hours).isoformat()) for hours in (4, 3, 0)] == [0, 1.0, 2.5]
    assert read_until([], NOW.isoformat()) is None


@pytest.mark.parametrize(
    ("one", "other", "both"),
    [
        (Spent(), Spent(), Spent()),
        (Spent(1.0), Spent(), Spent(1.0)),
        (Spent(1.0, 5), Spent(2.0), Spent(2.0, 5)),
        (Spent(3.0, 5), Spent(2.0, 9), Spent(3.0, 9)),
    ],
)
def test_neither_account_hides_what_the_other_saw(one: Spent, other: Spent, both: Spent) -> None:
    assert larger(one, other) == larger(other, one) == both


@pytest.mark.parametrize(
    ("used", "limit", "opens"),
    [
        ([], 1, None),
        ([(1, 1)], 2, None),
        ([(1, 1), (2, 1)], 2, 3),  # the one of two hours ago leaves in three
        ([(1, 1), (2, 1), (4, 1)], 2, 3),  # both older ones have to leave
        ([(1, 1), (5, 1)], 2, None),  # five hours ago is outside
        ([(4.99, 1), (1, 1)], 2, 0.01),
        ([(1, 9), (2, 1)], 2, 4),  # one alone is beyond the limit
        ([(4, 0.1), (3, 0.1), (2, 0.1)], 0.3, 1),
        ([(-1, 5)], 2, 6),  # the clock was set back since
    ],
)
def test_a_window_opens_when_enough_has_left_it(
    used: list[tuple[float, float]], limit: float, opens: float | None
) -> None:
    found = eligible([Use(ago(hours), amount) for hours, amount in used], limit, 5, NOW)
    assert found == (None if opens is None else NOW + timedelta(hours=opens))


def test_of_two_accounts_the_one_that_waits_longer_counts() -> None:
    told, read = [Use(ago(4), 3.0)], [Use(ago(1), 3.0)]
    assert latest([told, read], 3, 5, NOW) == NOW + timedelta(hours=4)
    assert latest([told, []], 3, 5, NOW) == NOW + timedelta(hours=1)
    assert latest([[], []], 3, 5, NOW) is None


@pytest.mark.parametrize(("seconds", "asked"), [(None, True), (0, False), (59, False), (60, True), (-5, True)])
def test_the_command_is_asked_once_a_minute(seconds: float | None, asked: bool) -> None:
    assert due(None if seconds is None else (NOW - timedelta(seconds=seconds)).isoformat(), NOW) is asked
