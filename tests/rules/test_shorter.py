"""What less code may cost: a loss within the noise and within a tenth of a typical improvement, whichever is less."""

from __future__ import annotations

import pytest

from mcp_server.judging.decide import decide
from tests.judging.test_decide import slots

TYPICAL = 0.0015  # of the table's arena; a tenth of it is 0.00015


@pytest.mark.parametrize(
    ("gain", "sd", "kept"),
    [
        (-0.00002, 2e-4, True),
        (-0.00009, 2e-4, True),  # under half a width
        (-0.00012, 2e-4, False),  # over it
        (-0.0001, 1e-3, True),  # a wide noise allows a tenth of a typical improvement
        (-0.0003, 1e-3, False),  # and no more, though it is a third of a width
        (-0.0007, 3e-3, False),
    ],
)
def test_less_code_may_lose_only_what_nobody_would_miss(gain: float, sd: float, kept: bool) -> None:
    assert (decide(slots(gain, sd=sd, saved=30)).code == "simpler") is kept


def test_as_much_code_may_lose_nothing() -> None:
    assert decide(slots(-0.00002, saved=0)).code != "simpler"
