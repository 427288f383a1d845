"""Which way a constant moved: up, down, or to something else. Pure."""

from __future__ import annotations

import ast
import functools
from collections.abc import Iterable
from enum import StrEnum

ABSENT = "absent"  # as the ledger writes a constant that was not there
# what Python raises for a text that is no literal; TypeError: a key or member that cannot be hashed, `{[]: 1}`
NO_LITERAL = (ValueError, SyntaxError, TypeError, RecursionError, MemoryError)


class Direction(StrEnum):
    UP = "up"
    DOWN = "down"
    ON = "on"  # it came, or became true
    OFF = "off"
    OTHER = "other"


def sign(way: Direction) -> int:
    """1 for up and on, -1 for down and off, 0 for what is neither."""
    return (way in (Direction.UP, Direction.ON)) - (way in (Direction.DOWN, Direction.OFF))


def direction(before: str, after: str) -> Direction:
    """From two values as Python writes them: numbers, and tuples of numbers that all move one way, go up or down."""
    if before == ABSENT or after == ABSENT:
        return Direction.ON if before == ABSENT else Direction.OFF
    old, new = _value(before), _value(after)
    if isinstance(new, bool) and isinstance(old, bool):
        return Direction.ON if new else Direction.OFF
    pairs = _pairs(old, new)
    if pairs and all(a <= b for a, b in pairs) and any(a < b for a, b in pairs):
        return Direction.UP
    if pairs and all(a >= b for a, b in pairs) and any(a > b for a, b in pairs):
        return Direction.DOWN
    if old in (None, False, 0, 0.0, "") and new not in (None, False, 0, 0.0, ""):
        return Direction.ON
    if new in (None, False, 0, 0.0, "") and old not in (None, False, 0, 0.0, ""):
        return Direction.OFF
    return Direction.OTHER


def moved(knobs: Iterable[tuple[str, str, str]]) -> list[tuple[str, str, float | None, float | None]]:
    """(constant, direction, before, after) of every constant that an edit changed; numbers where they are such."""
    return [(name, str(direction(was, now)), number(was), number(now)) for name, was, now in knobs]


def number(text: str) -> float | None:
    """The value of a constant, where it is one number."""
    return _number(_value(text))


def _number(value: object) -> float | None:
    try:
        return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
    except OverflowError:
        return None


@functools.lru_cache(maxsize=4096)
def _value(text: str) -> object:
    try:
        return ast.literal_eval(text)
    except NO_LITERAL:
        pass
    try:
        # `2**19` and `DEPTH * 64` are written as they stand; the first is a number all the same
        tree = ast.parse(text, mode="eval").body
    except NO_LITERAL:
        return text
    if isinstance(tree, ast.BinOp) and isinstance(tree.left, ast.Constant) and isinstance(tree.right, ast.Constant):
        left, right = _number(tree.left.value), _number(tree.right.value)
        if left is not None and right is not None:
            return _worked_out(tree.op, left, right, text)
    return text


def _worked_out(op: ast.operator, left: float, right: float, text: str) -> object:
    try:
        if isinstance(op, ast.Pow):
            return left**right
        if isinstance(op, ast.LShift):
            return left * 2.0**right
        if isinstance(op, ast.Mult):
            return left * right
        if isinstance(op, ast.Div):
            return left / right
    except (ArithmeticError, ValueError):
        pass
    return text


def _pairs(old: object, new: object) -> list[tuple[float, float]]:
    if isinstance(old, tuple | list) and isinstance(new, tuple | list) and len(old) == len(new):
        found = [pair for a, b in zip(old, new, strict=True) for pair in _pairs(a, b)]
        return found if len(found) == len(old) else []
    was, now = _number(old), _number(new)
    return [] if was is None or now is None else [(was, now)]
