"""The one answer of a score command: well-formed or nothing."""

from __future__ import annotations

import pytest

from mcp_server.runner.answers import Failure, Pending, Rejection, Score, parse


def test_the_last_json_object_is_the_answer() -> None:
    answer = parse('{"score": 9}\nsome words\n{"score": 0.5, "interval": [0.4, 0.6], "secondary": {"n": 3}}\nbye\n')
    assert answer == Score(score=0.5, interval=(0.4, 0.6), secondary={"n": 3.0})


def test_an_answer_is_one_line_whatever_its_words_hold() -> None:
    """An end of line of Unicode's own cut it in two, and an older line was taken for the answer."""
    said = '{"score": 9}\nbar 1\rbar 2\r{"rejected": "too_long", "detail": "one\u2028two\u0085three"}\r\n'
    assert parse(said) == Rejection(rejected="too_long", detail="one\u2028two\u0085three")


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
        '{"score": 1, "interval": [2, 1]}',
        '{"score": 1, "interval": [0, 1e999]}',
        '{"score": 1, "interval": [0]}',
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
    assert not any(word in answer.detail for word in ("pydantic", "Input should", "http"))


@pytest.mark.parametrize(
    "stdout",
    [
        '{"score": NaN}',
        '{"score": Infinity}',
        '{"score": -Infinity, "secondary": {"a": 1}}',
        '{"score": 1e999}',
        '{"score": -1e200}',  # finite, and its square is not
        '{"score": 1, "secondary": {"a": 1e160}}',
        '{"score": "nan"}',
        '{"score": 1, "secondary": {"a": NaN}}',
    ],
)
def test_a_number_that_is_none_points_at_the_training_and_not_at_the_scorer(stdout: str) -> None:
    answer = parse(stdout)
    assert isinstance(answer, Failure)
    assert answer.reason == "not_a_number"
    assert "training" in answer.detail


@pytest.mark.parametrize(
    ("stdout", "said"),
    [
        ("", "printed nothing."),
        ("epoch 3\n0.98\n", "nothing but '0.98'"),
        ('{"loss": 0.98, "acc": 1}', "`loss`, `acc` but no `score`"),
        ('{"score": null}', "`score` must be a number (it is None)"),
        ('{"score": "0.98"}', "`score` must be a number (it is '0.98')"),
        ('{"score": 0.98, "loss": 2}', "`loss` is not known here; further numbers belong into `secondary`"),
        ('{"score": 1, "secondary": [1]}', "`secondary` must be"),
    ],
)
def test_a_wrong_answer_is_told_with_the_one_that_is_wanted(stdout: str, said: str) -> None:
    answer = parse(stdout)
    assert isinstance(answer, Failure)
    assert said in answer.detail
    assert '{"score": 0.98, "secondary": {' in answer.detail
