"""When a campaign is over by its own rule, and that nothing ends it one too early or one too late."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from mcp_server.arena.stop import stop_reason
from mcp_server.campaign.progress import in_the_field, thinned
from mcp_server.nouns.rows import Spent
from tests.rules.records import AT, arena, campaign

BEGAN = datetime.fromisoformat(AT)


def reason(rule: str, made: int = 0, dry: int = 0, best: float | None = None, after: float = 0.0, **more: str) -> str:
    now = BEGAN + timedelta(hours=after)
    return stop_reason(arena(f"stop: {{{rule}}}\n", **more), campaign(), {"all": made}, dry, best, now)


@pytest.mark.parametrize(
    ("rule", "short_of_it", "over"),
    [
        ("experiments: 5", {"made": 4}, {"made": 5}),
        ("stale: 3", {"dry": 2}, {"dry": 3}),
        ("hours: 2", {"after": 1.99}, {"after": 2.0}),
        ("target: 0.5", {"best": 0.51}, {"best": 0.5}),
        ("target: 0.5", {"best": None}, {"best": 0.49}),
    ],
)
def test_a_rule_ends_a_campaign_exactly_where_it_says(rule: str, short_of_it: dict, over: dict) -> None:  # type: ignore[type-arg]
    assert reason(rule, **short_of_it) == ""
    assert reason(rule, **over)


@pytest.mark.parametrize(
    ("rule", "spent", "over"),
    [
        ("cost: 5", Spent(4.99), ""),
        ("cost: 5", Spent(5.0), "5.00 of 5.00 USD are spent"),
        ("cost: 5", Spent(None, 10**9), ""),  # nobody told a cost: that ends nothing
        ("tokens: 1000", Spent(9.0, 999), ""),
        ("tokens: 1000", Spent(None, 1000), "1,000 of 1,000 tokens are used up"),
        ("cost: 5, tokens: 10", Spent(1.0, 11), "11 of 10 tokens are used up"),
    ],
)
def test_money_ends_a_campaign_as_far_as_it_is_told(rule: str, spent: Spent, over: str) -> None:
    now = BEGAN + timedelta(hours=1)
    assert stop_reason(arena(f"stop: {{{rule}}}\n"), campaign(), {"all": 3}, 0, None, now, spent) == over


def test_a_target_is_reached_from_below_where_more_is_better() -> None:
    assert reason("target: 0.5", best=0.49, direction="maximize") == ""
    assert reason("target: 0.5", best=0.5, direction="maximize") == "the target 0.5 is reached"


def test_without_a_rule_nothing_ends_a_campaign() -> None:
    assert stop_reason(arena(), campaign(), {"all": 10**6}, 10**6, 0.0, BEGAN + timedelta(days=999)) == ""


def test_the_first_rule_that_holds_is_the_reason() -> None:
    assert reason("experiments: 2, stale: 1", made=2, dry=5).startswith("2 experiments were asked for")


@pytest.mark.parametrize(
    ("seconds", "words"), [(5, "5 s"), (89, "89 s"), (91, "2 min"), (5399, "90 min"), (7200, "2.0 h")]
)
def test_how_long_the_world_is_awaited_is_said_in_a_unit_one_reads(seconds: float, words: str) -> None:
    assert f"is in the field; the next answer is due in about {words}." in in_the_field([3], seconds)
    assert in_the_field([3, 4], seconds).startswith("Experiments 3, 4 are")


@pytest.mark.parametrize(
    ("count", "kept"), [(0, []), (3, [0, 1, 2]), (6, [0, 1, 2, 3, 4, 5]), (11, [0, 2, 4, 6, 8, 10])]
)
def test_a_thinned_curve_keeps_its_ends(count: int, kept: list[int]) -> None:
    assert thinned(list(range(count)), 6) == kept  # type: ignore[arg-type,comparison-overlap]  # any items will do
