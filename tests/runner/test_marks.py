"""What a trainer says about itself: taken if it makes sense, dropped if not, bounded always."""

from __future__ import annotations

import itertools
import json
import math

import pytest

from mcp_server.nouns.records import CurvePoint
from mcp_server.runner.process.marks import CURVE_POINTS, LINE_BYTES, TOTAL_BYTES, Marks, Step, parse


def line(**fields: object) -> bytes:
    return json.dumps(fields).encode() + b"\n"


def step(number: int, loss: float = 1.0) -> bytes:
    return line(event="step", step=number, tokens=number * 10, loss=loss)


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"hello",
        b"[]",
        b'"start"',
        b"{}",
        b'{"event": "stop"}',
        b'{"event": "step"}',
        b'{"event": "step", "step": -1, "tokens": 1, "loss": 1}',
        b'{"event": "step", "step": 1, "tokens": -1, "loss": 1}',
        b'{"event": "step", "step": 1.5, "tokens": 1, "loss": 1}',
        b'{"event": "step", "step": true, "tokens": 1, "loss": 1}',
        b'{"event": "step", "step": 1, "tokens": 1, "loss": NaN}',
        b'{"event": "step", "step": 1, "tokens": 1, "loss": 1e999}',
        b'{"event": "step", "step": 1, "tokens": 1, "loss": 1e300}',  # no mean can be made of such
        b'{"event": "step", "step": 1, "tokens": 1, "loss": "1"}',
        b'{"event": "step", "step": 1, "tokens": 1, "loss": true}',
        b'{"event": "step", "step": 1, "tokens": 1, "loss": ' + b"9" * 400 + b"}",
        b'{"event": "step", "step": 99999999999999999999, "tokens": 1, "loss": 1}',
        b"\xff\xfe",
        b"[" * 4000,
    ],
)
def test_nonsense_is_nothing(raw: bytes) -> None:
    assert parse(raw) is None


def test_a_start_and_a_step_are_understood() -> None:
    assert parse(b'{"event": "start"}') is True
    assert parse(step(3, loss=2)) == Step(3, 30, 2.0)


def test_a_curve_of_losses_that_blow_up_can_be_written_and_read() -> None:
    marks = Marks()
    for number in range(300):
        loss = (9e99, -9e99, 1.7e308, -1.7e308)[number % 4]
        marks.feed(line(event="step", step=number, tokens=2**40 * number, loss=loss), 0.0)
    assert len(marks.curve()) > 50
    for point in marks.curve():
        assert CurvePoint.model_validate_json(point.model_dump_json()) == point


def test_steps_that_go_back_are_dropped() -> None:
    marks = Marks()
    marks.feed(step(5) + step(4) + step(5) + step(6), 0.0)
    assert marks.latest == Step(6, 60, 1.0)
    assert marks.ignored == 2


def test_lines_may_come_in_pieces() -> None:
    marks = Marks()
    for byte in line(event="start") + step(1):
        marks.feed(bytes([byte]), 0.0)
    assert marks.started
    assert marks.latest == Step(1, 10, 1.0)


def test_the_curve_is_bounded_evenly_spread_and_ends_with_the_newest() -> None:
    marks = Marks()
    for number in range(10_001):
        marks.feed(step(number), number / 100)
    curve = marks.curve()
    assert len(curve) <= CURVE_POINTS + 1
    assert curve[0].step <= 10_001 // (CURVE_POINTS // 2)
    assert curve[-1].step == 10_000
    gaps = {later.step - earlier.step for earlier, later in itertools.pairwise(curve[:-1])}
    assert len(gaps) == 1


def test_an_endless_line_is_not_kept() -> None:
    marks = Marks()
    for _ in range(100):
        marks.feed(b"x" * 65536, 0.0)
        assert len(marks._rest) <= LINE_BYTES
    marks.feed(b"\n" + step(1), 0.0)
    assert marks.latest == Step(1, 10, 1.0)
    assert marks.ignored == 1


def test_a_flood_is_noted_and_no_longer_read() -> None:
    marks = Marks()
    for _ in range(TOTAL_BYTES // (1 << 20) + 1):
        marks.feed(b"x" * ((1 << 20) - 1) + b"\n", 0.0)
    assert marks.flooded
    marks.feed(step(1), 0.0)
    assert marks.latest is None


def test_the_curve_holds_finite_numbers_only() -> None:
    marks = Marks()
    marks.feed(step(1, loss=3.5) + b'{"event":"step","step":2,"tokens":1,"loss":Infinity}\n', 1.0)
    assert all(math.isfinite(point.loss) for point in marks.curve())


def test_a_flood_of_tiny_lines_is_thinned_out_but_both_ends_are_read() -> None:
    marks = Marks()
    marks.feed(line(event="start") + b"{}\n" * 20_000 + step(9), 0.0)
    assert marks.started
    assert marks.latest == Step(9, 90, 1.0)
    assert marks.ignored == 20_000
