"""Who may change which key of program.md while a campaign runs, stricter or looser: row by row."""

from __future__ import annotations

import pytest

from mcp_server.campaign.beginning.keys import changes
from tests.rules.records import arena


@pytest.mark.parametrize(
    ("before", "after", "holder"),
    [
        ("stop: {experiments: 5}", "stop: {experiments: 9}", "anybody"),
        ("stop: {cost: 5}", "stop: {cost: 4}", "anybody"),
        ("stop: {cost: 5}", "stop: {cost: 6}", "person"),
        ("stop: {cost: 5}", "stop: {cost: null}", "person"),
        ("stop: {cost: null}", "stop: {cost: 5}", "anybody"),
        ("stop: {tokens: 5}", "stop: {tokens: 6}", "person"),
        ("stop: {tokens: 5}", "stop: {tokens: 4}", "anybody"),
        ("style: bold", "style: careful", "anybody"),
        ("frozen: [score.py]", "frozen: [other.py]", "nobody"),
        ("secondary: {size: {min: 2}}", "secondary: {size: {min: 1}}", "person"),
        ("secondary: {size: {min: 2}}", "secondary: {size: {min: 3}}", "anybody"),
        ("secondary: {size: {min: 2}}", "secondary: {size: {min: 2, max: 9}}", "anybody"),
        ("secondary: {size: {min: 2}}", "secondary: {size: {max: 9}}", "person"),
        ("secondary: {size: {max: 2}}", "secondary: {size: {max: 3}}", "person"),
        ("secondary: {size: {max: 2}}", "secondary: {size: {max: 1}}", "anybody"),
        ("secondary: {size: {max: 2}}", "secondary: {size: {min: 1}}", "person"),
        ("secondary: {size: {max: 2}}", "secondary: {time: {max: 2}}", "person"),
        ("checks: [a]", "checks: [a, b]", "anybody"),
        ("checks: [a, b]", "checks: [a]", "person"),
        ("readable: [/a, /b]", "readable: [/a]", "anybody"),
        ("readable: [/a]", "readable: [/b]", "person"),
        ("require_sandbox: false", "require_sandbox: true", "anybody"),
        ("require_sandbox: true", "require_sandbox: false", "person"),
        ("keep: {min_delta: 0.1}", "keep: {min_delta: 0.2}", "anybody"),
        ("keep: {min_delta: 0.2}", "keep: {min_delta: 0.1}", "person"),
        ("keep: {min_delta: 0.2}", "keep: {min_delta: auto}", "person"),
        ("keep: {confirm: auto}", "keep: {confirm: always}", "anybody"),
        ("keep: {confirm: always}", "keep: {confirm: auto}", "person"),
        ("keep: {simplicity: true}", "keep: {simplicity: false}", "anybody"),
        ("keep: {simplicity: false}", "keep: {simplicity: true}", "person"),
        ("keep: {pairing: auto}", "keep: {pairing: sequential}", "person"),
        ("threads: 2", "threads: 1", "person"),
    ],
)
def test_an_edit_may_ask_more_and_a_person_may_ask_less(before: str, after: str, holder: str) -> None:
    (found,) = changes(arena(f"{before}\n"), arena(f"{after}\n"))
    assert found.holder == holder


def test_another_metric_is_another_campaign() -> None:
    (found,) = changes(arena(), arena(direction="maximize"))
    assert (found.key, found.holder) == ("metric", "nobody")


def test_what_stays_is_no_change() -> None:
    assert changes(arena("checks: [a]\n"), arena("checks: [a]\n")) == []
