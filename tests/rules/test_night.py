"""What a night has proven, decision by decision, and what its simplifications have cost."""

from __future__ import annotations

import math

import pytest

from mcp_server.judging.verdict import Record


def after(*looks: float | None, lost: float = 0.0) -> Record:
    record = Record()
    for evidence in looks:
        record = record.after(evidence, lost)
    return record


@pytest.mark.parametrize(
    ("looks", "proven"),
    [
        ((), False),
        ((49.0,), False),
        ((51.0,), True),
        ((25.0, 3.0), True),  # evidence multiplies
        ((25.0, 0.1, 3.0), False),
        ((51.0, 0.001), True),  # once is enough, in at most one of fifty nights that help nothing
        ((None, 49.0), False),  # a decision without a score says nothing
        ((0.0, 1e3), False),
        ((25.0, 0.0, 1e13), True),  # and even nothing can be outweighed
    ],
)
def test_a_night_is_proven_once_its_evidence_was_fifty(looks: tuple[float | None, ...], proven: bool) -> None:
    assert after(*looks).proven is proven


def test_the_evidence_of_a_night_is_kept_as_a_logarithm() -> None:
    assert after(2.0, 8.0).evidence == pytest.approx(math.log(16.0))


def test_what_simplifications_lost_adds_up_and_a_gain_gives_nothing_back() -> None:
    assert after(1.0, 1.0, 1.0, lost=0.25).spent == pytest.approx(0.75)
    assert after(1.0, lost=0.25).after(1.0, -5.0).spent == pytest.approx(0.25)
