"""Whose undecided edit stands in the way of another attempt in the same work tree."""

from __future__ import annotations

from typing import Any

import pytest

from mcp_server.campaign.trees.company import SHARED, Session, company_in, in_the_way
from mcp_server.nouns.errors import NotNow
from tests.rules.records import AT, experiment

HERE = "/lab"
THEIRS: dict[str, Any] = {"session": "theirs", "tree": HERE}
LIVING = {"mine": Session("mine", "codex", HERE, AT), "theirs": Session("theirs", "claude", HERE, AT)}


@pytest.mark.parametrize(
    ("given", "stands"),
    [
        (THEIRS, True),
        ({**THEIRS, "session": "mine"}, False),
        ({**THEIRS, "session": ""}, False),  # begun at a terminal
        ({**THEIRS, "session": "dead"}, False),
        ({**THEIRS, "tree": "/another"}, False),
        ({**THEIRS, "kind": "baseline"}, False),
    ],
)
def test_only_an_attempt_of_another_living_session_in_this_tree_stands_in_the_way(
    given: dict[str, Any], stands: bool
) -> None:
    assert bool(in_the_way([experiment(**given)], "mine", HERE, LIVING)) is stands


def test_the_refusal_names_the_session_and_a_person_can_allow_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(SHARED, raising=False)
    with pytest.raises(NotNow, match=r"Experiment 2 of another session \(claude, here since 00:00 UTC\).*tree="):
        company_in([experiment(**THEIRS)], "mine", HERE, lambda: LIVING)
    monkeypatch.setenv(SHARED, "1")
    assert "credited to the wrong one" in company_in([experiment(**THEIRS)], "mine", HERE, lambda: LIVING)[0]


def test_who_lives_is_asked_only_where_somebody_elses_attempt_is_open() -> None:
    def asked() -> dict[str, Session]:
        raise AssertionError("the sessions were looked up")

    assert company_in([experiment(session="mine"), experiment(session="")], "mine", HERE, asked) == []
