"""Arms over whole campaigns: differences, power and what a comparison may say. Pure."""

from __future__ import annotations

import random
from statistics import fmean

import pytest

from mcp_server.judging.arms import ALPHA, campaigns_needed, difference, power
from mcp_server.nouns.errors import NotNow
from mcp_server.views.comparison.compare import Arm, arms_of, compare, default_arms, pairs
from mcp_server.views.comparison.courses import Course, Point
from mcp_server.views.comparison.picture import svg


def course(tag: str, *gains: float, block: str = "", **more: object) -> Course:
    """A campaign whose best gain went so, an experiment an hour."""
    points = tuple(Point(n, float(n), n / 2, 0.25 * n, gain) for n, gain in enumerate(gains, 1))
    told: dict[str, object] = {
        **{"contract": "c" * 32, "metric": "loss", "unit": "nats", "program": "p1", "style": "", "agent": "made-up 1"},
        **{"engine": "local", "machine": "m", "began_at": "2026-03-15T10:00:00+00:00", "hours": float(len(gains))},
        **{"kept": 1, "false_keeps": 0.2, "duplicates": 0, "crashes": 0, "exam_gain": gains[-1] if gains else None},
    }
    return Course(**{"lab": "", "tag": tag, "points": points, "tokens": 10, "block": block, **told, **more})  # type: ignore[arg-type]


def test_equal_arms_are_told_apart_no_more_often_than_promised() -> None:
    draw = random.Random(1)
    claims = sum(
        difference([draw.gauss(0, 1) for _ in range(5)], [draw.gauss(0, 1) for _ in range(5)]).claim != 0
        for _ in range(400)
    )
    assert claims / 400 <= 2 * ALPHA


@pytest.mark.parametrize("paired", [True, False])
@pytest.mark.parametrize("effect", [0.5, 1.5, 3.0])
def test_the_power_that_is_stated_is_the_share_that_is_found(effect: float, paired: bool) -> None:
    draw, many = random.Random(2), 400
    found = sum(
        difference([draw.gauss(effect, 1) for _ in range(6)], [draw.gauss(0, 1) for _ in range(6)], paired).claim > 0
        for _ in range(many)
    )
    assert power(effect, 2**0.5, 6, paired) == pytest.approx(found / many, abs=0.08)


def test_as_many_campaigns_as_are_said_to_settle_a_difference_do_so() -> None:
    needed = campaigns_needed(1.0, 2.0)
    assert needed is not None
    assert power(1.0, 2.0, needed) >= 0.8 > power(1.0, 2.0, needed - 1)
    assert campaigns_needed(0.0, 1.0) is None


def test_a_campaign_that_has_only_begun_takes_no_comparison_from_the_others() -> None:
    begun = course("tonight", exam_gain=None, began_at="2026-03-17T10:00:00+00:00")
    courses = [course("night-1", 0.1, 0.3), course("night-2", 0.1, 0.2), begun]
    reply = compare(default_arms(courses))
    assert [one.arm for one in reply.arms] == ["night-1", "night-2"]
    assert (reply.budget, reply.differences[0].difference) == (2, 0.1)
    named = compare(arms_of(["night-1", "tonight"], courses))
    assert named.budget == 0
    assert "Without an attempt yet, so that nothing can be compared: tonight." in named.notes
    assert [one.name for one in default_arms([begun])] == ["tonight"]


def test_arms_are_chosen_by_what_their_campaigns_are() -> None:
    courses = [
        course("night-1", 0.1, agent="claude-code opus", style="bold"),
        course("night-2", 0.2, agent="codex gpt", program="p2"),
        course("day", 0.3, agent="claude-code opus"),
    ]
    assert [[c.tag for c in arm.courses] for arm in arms_of(["a=night-*", "b=day"], courses)] == [
        ["night-1", "night-2"],
        ["day"],
    ]
    arms = arms_of(["agent:claude-code", "agent:codex*"], courses)
    assert [[c.tag for c in arm.courses] for arm in arms] == [["night-1", "day"], ["night-2"]]
    assert arms_of(["style:bold", "program:p2"], courses)[1].courses[0].tag == "night-2"
    with pytest.raises(NotNow, match="No campaign fits"):
        arms_of(["evening"], courses)
    with pytest.raises(NotNow, match="stands in"):
        compare(arms_of(["a=night-1", "b=night-*"], courses))


def test_only_campaigns_of_one_contract_are_compared() -> None:
    with pytest.raises(NotNow, match="do not measure the same"):
        compare([Arm("a", (course("a", 0.1),)), Arm("b", (course("b", 0.1, contract="d" * 32),))])
    old, new = course("old", 0.1, contract="d" * 32, began_at="2025-01-01T00:00:00+00:00"), course("new", 0.1)
    assert [arm.name for arm in default_arms([old, new])] == ["new"]


def test_a_comparison_goes_as_far_as_all_of_its_campaigns_went() -> None:
    short, long = course("short", 0.1, 0.2), course("long", 0.1, 0.1, 0.1, 0.9)
    reply = compare([Arm("short", (short,)), Arm("long", (long,))], target=0.15)
    assert reply.budget == 2
    assert [arm.gain for arm in reply.arms] == [0.2, 0.1]
    assert [arm.reached[:6] for arm in reply.arms] == ["1 of 1", "1 of 1"]
    assert reply.arms[0].area == pytest.approx(0.05)
    assert "nobody can say" in reply.differences[0].verdict


def test_campaigns_that_stood_beside_each_other_are_paired() -> None:
    draw = random.Random(3)
    days = [draw.gauss(0, 1) for _ in range(6)]  # what the machine and the seeds of a block do to both
    first = tuple(course(f"a{n}", day + 0.3, block=str(n)) for n, day in enumerate(days))
    second = tuple(course(f"b{n}", day + draw.gauss(0, 0.05), block=str(n)) for n, day in reversed([*enumerate(days)]))
    assert [(a.block, b.block) for a, b in pairs(first, second)] == [(str(n), str(n)) for n in range(6)]
    found = compare([Arm("a", first), Arm("b", second)]).differences[0]
    assert found.paired
    assert found.verdict == "a is better than b"
    apart = difference([one.gain for one in first], [one.gain for one in second])
    assert apart.claim == 0, "without the pairs nobody could say"


def test_exams_are_compared_where_all_campaigns_have_one() -> None:
    good, none = course("a", 0.1), course("b", 0.1, exam_gain=None)
    with pytest.raises(NotNow, match="exam"):
        compare([Arm("a", (good,)), Arm("b", (none,))], measure="exam")
    # nor are those left out that have none: it would be a choice among campaigns
    with pytest.raises(NotNow, match="exam"):
        compare(
            [Arm("a", (good, course("c", 0.2), course("d", 0.3))), Arm("b", (none, course("e", 0.2)))], measure="exam"
        )


def test_the_picture_has_every_arm_and_takes_no_name_for_a_tag() -> None:
    courses = [course(f"c{n}", 0.1 * n, 0.2 * n) for n in (1, 2)]
    drawn = svg(compare([Arm("<script>", tuple(courses)), Arm("plain", (course("d", 0.3, 0.4),))]))
    assert "<script>" not in drawn
    assert drawn.count("<polyline") == 2
    assert drawn.count("<polygon") == 1


def test_the_interval_of_a_difference_covers_the_truth() -> None:
    draw = random.Random(4)
    covered = []
    for _ in range(250):
        found = difference([draw.gauss(1, 1) for _ in range(4)], [draw.gauss(0, 2) for _ in range(6)])
        assert found.low is not None
        assert found.high is not None
        covered.append(found.low <= 1 <= found.high)
    assert fmean(covered) >= 0.92
