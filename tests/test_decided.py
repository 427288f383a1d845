"""What the ledger keeps of a decision, in rows of every age."""

from __future__ import annotations

import json
import math

import pytest

from mcp_server.nouns.decided import UNDECIDED, VERSION, Decided


def test_a_row_of_the_first_version_is_read_with_what_it_has() -> None:
    old = {
        "score": 0.9,
        "change": 0.1,
        "noise_widths": 2.0,
        "seeds": [3, 4],
        "against": 1,
        "reason": "it clears the bar",
    }
    found = Decided.read(json.dumps(old))
    assert (found.version, found.change, found.seeds, found.against) == (1, 0.1, (3, 4), 1)
    assert (found.low, found.comparison, found.within_machine) == (None, "", False)


@pytest.mark.parametrize("text", [None, "", "null", "[]", "{", "7", '"text"', '{"change": {"a": 1}, "seeds": "x"}'])
def test_a_row_that_is_no_decision_is_an_empty_one(text: str | None) -> None:
    assert Decided.read(text) == UNDECIDED


def test_a_field_that_is_not_what_it_should_be_does_not_hide_the_others() -> None:
    found = Decided.read('{"change": "fast", "score": 0.5, "against": null, "from a later version": 1}')
    assert (found.change, found.score) == (None, 0.5)


def test_what_is_written_is_read_again_and_has_a_version() -> None:
    said = Decided(score=-1.0, change=0.0, reason="no gain", seeds=(1,), probability=0.25, within_machine=True)
    assert Decided.read(said.text()) == said.model_copy(update={"version": VERSION})
    assert "low" not in json.loads(said.text())


@pytest.mark.parametrize("value", [math.inf, -math.inf, math.nan])
def test_no_infinity_reaches_the_ledger(value: float) -> None:
    assert Decided(change=value).change is None
