"""Guards relative to the incumbent: what counts is the bound of the interval, and what noise hides is no keep."""

from __future__ import annotations

import pytest

from mcp_server.judging.decide import decide
from mcp_server.judging.further.guards import fall, not_fallen, within_margin
from mcp_server.judging.verdict import Decision
from tests.judging.test_decide import slots


def test_a_metric_may_become_worse_by_its_margin_and_no_more() -> None:
    exact = [[10.0, 10.0, 10.0]]
    for value, broken in ((10.4, False), (10.5, False), (10.6, True), (9.0, False)):
        found = fall([value], [10.0], exact, 1.0, paired=False)
        assert bool(within_margin("latency_ms", found, 0.05, True).broken) == broken
    gone = within_margin("latency_ms", fall([], [10.0], exact, 1.0, paired=False), 0.05, True)
    assert gone.broken == ("latency_ms was not measured on both sides.",)


def test_the_margin_is_judged_on_the_bound_of_the_interval() -> None:
    noisy = fall([10.2], [10.0], [[9.8, 10.2, 10.0, 10.1]], 1.0, paired=False)
    assert noisy is not None
    told = within_margin("latency_ms", noisy, 0.05, True)
    assert not told.broken
    assert "may be worse than the incumbent's by up to" in told.unsure[0]
    # more looks bring the bound inside
    often = fall([10.2] * 6, [10.0] * 6, [[9.9, 10.1, 10.0, 10.1]], 1.0, paired=False)
    assert within_margin("latency_ms", often, 0.05, True) == within_margin("latency_ms", None, 1, True).__class__()


def test_in_slots_what_moved_both_halves_is_no_fall() -> None:
    found = fall([12.0, 18.1], [11.9, 18.0], [[0.05], [-0.05]], 1.0, paired=True)
    assert found is not None
    assert found.worse == pytest.approx(0.1)
    assert not within_margin("latency_ms", found, 0.05, True).unsure


def test_a_suite_is_broken_by_what_its_own_noise_does_not_explain() -> None:
    noise = [[0.80, 0.82, 0.81, 0.79]]
    assert not not_fallen("regressions", fall([0.80], [0.81], noise, -1.0, paired=False)).broken
    assert not_fallen("regressions", fall([0.60], [0.81], noise, -1.0, paired=False)).broken
    assert not_fallen("regressions", fall([0.80], [0.81], [], -1.0, paired=False)).broken  # nothing is known of it
    assert not not_fallen("regressions", fall([0.82], [0.81], [], -1.0, paired=False)).broken


def test_what_would_be_kept_is_asked_to_repeat_itself_while_a_guard_is_unsure() -> None:
    plain = slots(0.01)
    assert decide(plain).decision is Decision.KEEP
    unsure = decide(slots(0.01, unsure=("latency_ms may be worse.",)))
    assert (unsure.decision, unsure.code) == (Decision.CONFIRM, "guard_unsure")
    assert unsure.orders
    last = decide(slots(0.01, unsure=("latency_ms may be worse.",), runs_left=0))
    assert (last.decision, last.code) == (Decision.DISCARD, "guard_unsure")
    assert decide(slots(-0.01, unsure=("latency_ms may be worse.",))).code == "worse"
