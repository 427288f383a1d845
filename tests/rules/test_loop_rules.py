"""When a loop of fresh agents goes on, rests and ends, and what its agents' last words say: rules, without agents."""

from __future__ import annotations

import json

import pytest

from mcp_server.ralph.pacing import End, Lap, Limits, Outcome, over, rest, spent
from mcp_server.ralph.telling import told

K, R, N, C, H, L = (
    *(Outcome.KEPT, Outcome.REVERTED, Outcome.NOTHING),
    *(Outcome.CRASHED, Outcome.HUNG, Outcome.LIMITED),
)


@pytest.mark.parametrize(
    ("outcomes", "limits", "end"),
    [
        ([K, R, N, R], Limits(stall=3), End.STALLED),
        ([K, R, N, K], Limits(stall=3), None),
        ([C, H, C, C, C], Limits(stall=None), End.CRASHES),
        ([C, C, L, C, C], Limits(stall=None), None),
        ([K, K, L, L], Limits(iterations=3), None),
        ([K, K, K], Limits(iterations=3), End.ITERATIONS),
        ([L] * 24, Limits(), End.UNSERVED),
        ([K, Outcome.OUT, Outcome.OUT, Outcome.OUT], Limits(stall=2), None),
        ([K], Limits(cost_usd=5.0), End.COST_UNKNOWN),
        ([L, C, H], Limits(cost_usd=5.0), None),
        ([], Limits(cost_usd=5.0), None),
        ([Outcome.MISUSED], Limits(), End.MISUSED),
    ],
)
def test_a_loop_ends_when_it_should(outcomes: list[Outcome], limits: Limits, end: End | None) -> None:
    assert over([Lap(outcome) for outcome in outcomes], limits, hours=1.0) is end


def test_a_killed_turn_counts_as_the_dearest_one() -> None:
    laps = [Lap(K, 1.0), Lap(H, None), Lap(R, 2.0), Lap(L, None)]
    assert spent(laps) == 5.0
    assert over(laps, Limits(cost_usd=5.0), 0.0) is End.COST
    assert over(laps, Limits(cost_usd=5.5), 0.0) is None


def test_rests_grow_with_each_failure_and_listen_to_the_service() -> None:
    limits = Limits(rest_seconds=1.0)
    assert [rest([Lap(L)] * count, limits) for count in (1, 2, 3, 20)] == [60, 120, 240, 3600]
    assert rest([Lap(L, retry_seconds=5000.0)], limits) == 5000
    assert rest([Lap(L, retry_seconds=1e9)], limits) == 6 * 3600
    assert [rest([Lap(C)] * count, limits) for count in (1, 2, 20)] == [5, 10, 300]
    assert rest([Lap(C), Lap(K)], limits) == 1.0
    assert [rest([Lap(K), *[Lap(N)] * count], limits) for count in (1, 2, 3, 20)] == [1, 5, 10, 300]
    assert rest([Lap(N), Lap(N)], Limits(rest_seconds=60.0)) == 60.0
    assert rest([], limits) == 0.0


CLAUDE = json.dumps({"type": "result", "is_error": False, "result": "Story 2\nis in.", "total_cost_usd": 0.173})
CODEX = "\n".join(
    json.dumps(one)
    for one in (
        {"type": "item.completed", "item": {"type": "agent_message", "text": "done"}},
        {"type": "turn.completed", "usage": {"input_tokens": 900, "output_tokens": 100}},
    )
)


def test_the_cost_is_read_where_it_is_told_and_unknown_elsewhere() -> None:
    assert (told(CLAUDE, 0).cost_usd, told(CLAUDE, 0).words) == (0.173, "is in.")
    assert told(json.dumps(json.loads(CLAUDE), indent=2), 0).cost_usd == 0.173
    assert (told(CODEX, 0).cost_usd, told(CODEX, 0).tokens) == (None, 1000)
    assert told("I am done.\nReally.", 0).words == "Really."
    assert told('{"total_cost_usd": true}', 0).cost_usd is None
    assert told("", 0).cost_usd is None


@pytest.mark.parametrize(
    ("text", "status", "seconds"),
    [
        ("API Error: 429 rate limit, retry after 90 seconds", 1, 90.0),
        ("You've hit your usage limit. Try again in 5 min", 1, 300.0),
        ('{"type": "result", "is_error": true, "result": "API Error: 529 Overloaded"}', 0, None),
        ("You've hit your session limit · resets 3:45pm (Europe/Berlin)", 1, None),
        ("You've hit your limit · resets Feb 16, 11am", 1, None),
        ("Attempt 1 failed, retrying after 6173ms\nYour quota will reset after 8h44m7s.", 1, 31447.0),
        ("You have exhausted your daily quota on this model.", 1, None),
        ("You exceeded your current quota, please check your plan", 1, None),
        ("Rate limit reached on tokens per min. Please try again in 286ms.", 1, 0.286),
        ("You've hit your usage limit. Upgrade, or try again in 2 hours 30 minutes.", 1, 9000.0),
        ("429: try again in 3 days, 1 hour and 5 s", 1, 262805.0),
        ('{"error": {"type": "usage_limit_reached", "resets_in_seconds": 5400}}\nERROR: limit reached', 1, 5400.0),
    ],
)
def test_a_refusal_of_the_service_is_told_from_a_crash(text: str, status: int, seconds: float | None) -> None:
    assert told(text, status).limited
    assert told(text, status).retry_seconds == (seconds if seconds is None else pytest.approx(seconds))
    assert not told("I wrote a test for the rate limit of the API", 0).limited


USAGE = """\
error: unexpected argument '--full-auto' found

  tip: to pass '--full-auto' as a value, use '-- --full-auto'

Usage: codex exec [OPTIONS] [PROMPT]

For more information, try '--help'.
"""
FAILED = json.dumps({"type": "turn.failed", "error": {"message": "stream disconnected: no route to host"}})


def test_an_agents_reason_is_its_error_and_not_the_hint_below_it() -> None:
    assert told(USAGE, 2).words == "error: unexpected argument '--full-auto' found"
    assert told(f"{CODEX}\n{FAILED}", 1).words == "stream disconnected: no route to host"
    assert told(CODEX, 0).words == "done"  # what it did becomes the experiment's words


@pytest.mark.parametrize(
    ("text", "status", "misused"),
    [
        (USAGE, 2, True),
        ("error: unknown option '--nosuch'", 1, True),
        ("usage: agent [-h]\nagent: error: unrecognized arguments: --x", 2, True),
        ("sh: 1: my-agent: not found", 127, True),
        ("Traceback (most recent call last):\nValueError: bad", 1, False),
        (f"{CODEX}\nbash: foo: command not found", 1, False),
        (USAGE, 0, False),
    ],
)
def test_a_command_line_that_is_refused_is_told_from_a_crash(text: str, status: int, misused: bool) -> None:
    assert told(text, status).misused is misused
