"""The one answer of a score command: well-formed or nothing."""

from __future__ import annotations

import pytest

from mcp_server.runner.scorer import Failure, Pending, Rejection, Score, parse


def test_the_last_json_object_is_the_answer() -> None:
    answer = parse('{"score": 9}\nsome words\n{"score": 0.5, "interval": [0.4, 0.6], "secondary": {"n": 3}}\nbye\n')
    assert answer == Score(score=0.5, interval=(0.4, 0.6), secondary={"n": 3.0})


def test_a_whole_number_is_a_score() -> None:
    assert parse('{"score": 3}') == Score(score=3.0)


def test_a_wait_and_a_rejection_are_answers() -> None:
    assert parse('{"pending": true, "retry_after_seconds": 3600}') == Pending(pending=True, retry_after_seconds=3600.0)
    assert parse('{"rejected": "non_causal", "detail": "it looks ahead"}') == Rejection(
        rejected="non_causal", detail="it looks ahead"
    )


def test_an_audit_comes_along() -> None:
    audit = '{"correction": 0, "correction_sd": 0.1, "largest_difference": 0, "positions": 8, "tolerance": 0.001}'
    answer = parse(f'{{"score": 1, "audit": {audit}}}')
    assert isinstance(answer, Score)
    assert answer.audit is not None
    assert answer.audit.positions == 8


@pytest.mark.parametrize(
    "stdout",
    [
        "",
        "val_bpb: 0.01",
        "0.5",
        "[0.5]",
        "{}",
        '{"score": null}',
        '{"score": true}',
        '{"score": "0.5"}',
        '{"score": NaN}',
        '{"score": Infinity}',
        '{"score": 1e999}',
        '{"score": 1, "interval": [2, 1]}',
        '{"score": 1, "interval": [0, 1e999]}',
        '{"score": 1, "interval": [0]}',
        '{"score": 1, "secondary": {"a": NaN}}',
        '{"score": 1, "secondary": {"a": "b"}}',
        '{"score": 1, "secondary": {"\\u001b[31m": 1}}',
        '{"score": 1, "pending": true, "retry_after_seconds": 1}',
        '{"score": 1, "surprise": 1}',
        '{"pending": false, "retry_after_seconds": 1}',
        '{"pending": true, "retry_after_seconds": -1}',
        '{"pending": true, "retry_after_seconds": 1e18}',
        '{"rejected": "Not A Code"}',
        '{"rejected": ""}',
        '{"score": 1, "audit": {"correction": 1e999, "correction_sd": 0, "largest_difference": 0, "positions": 1, '
        '"tolerance": 0}}',
        '{"score": 1, "secondary": {' + ",".join(f'"m{n}": 1' for n in range(65)) + "}}",
    ],
)
def test_anything_else_is_a_failure_of_the_scorer(stdout: str) -> None:
    answer = parse(stdout)
    assert isinstance(answer, Failure)
    assert answer.reason == "scorer_failed"
    assert len(answer.detail) < 1000
