"""The numbers in CAPITALS at the top of a Python file, each with its place, and edits that move them. Pure."""

from __future__ import annotations

import ast
import functools
import operator
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

ARITHMETIC = {
    **{ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul},
    **{ast.Div: operator.truediv, ast.FloorDiv: operator.floordiv, ast.Pow: operator.pow},
}


@dataclass(frozen=True)
class Constant:
    """A number in CAPITALS at the top of a file. `start` and `end` are offsets of its text."""

    name: str
    value: float | int
    text: str
    start: int
    end: int


@dataclass(frozen=True)
class Move:
    """One constant from one value to another, each as Python writes it; a change of text has a name only."""

    name: str
    before: str
    after: str

    @property
    def up(self) -> bool:
        return evaluated(self.after) > evaluated(self.before)

    def __str__(self) -> str:
        return f"{self.name} {self.before} -> {self.after}" if self.after else self.name


@functools.lru_cache(maxsize=8)
def constants(source: str, device: str = "cpu") -> tuple[Constant, ...]:
    """The numbers in CAPITALS of a file, in order. Of a call with one value for each device the named one is taken."""
    content = source.encode()
    lines = [0]
    for line in content.splitlines(keepends=True):
        lines.append(lines[-1] + len(line))
    found = []
    for name, node in _assignments(ast.parse(source)):
        value_node = _for_device(node, device)
        if value_node is None or value_node.end_lineno is None or value_node.end_col_offset is None:
            continue
        # ast counts bytes of UTF-8, so offsets are of bytes
        start = lines[value_node.lineno - 1] + value_node.col_offset
        end = lines[value_node.end_lineno - 1] + value_node.end_col_offset
        text = content[start:end].decode()
        try:
            found.append(Constant(name, evaluated(text), text, start, end))
        except ValueError:
            continue
    return tuple(found)


def _assignments(tree: ast.Module) -> Iterator[tuple[str, ast.expr]]:
    for statement in tree.body:
        match statement:
            case ast.Assign([ast.Name(name)], value) | ast.AnnAssign(ast.Name(name), _, ast.expr() as value):
                if re.fullmatch(r"[A-Z][A-Z0-9_]*", name):
                    yield name, value


def _for_device(node: ast.expr, device: str) -> ast.expr | None:
    if isinstance(node, ast.Call):
        return next((word.value for word in node.keywords if word.arg == device.partition(":")[0]), None)
    return node


@functools.cache
def evaluated(text: str) -> float | int:
    """The value of a number or of plain arithmetic on numbers, such as 2**17. Raises ValueError for anything else."""
    try:
        return _value(ast.parse(text.strip(), mode="eval").body)
    except (SyntaxError, ArithmeticError):
        raise ValueError(f"{text} is no number") from None


def _value(node: ast.expr) -> float | int:
    if isinstance(node, ast.Constant) and isinstance(node.value, int | float) and not isinstance(node.value, bool):
        return node.value
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        return -_value(node.operand)
    if isinstance(node, ast.BinOp) and type(node.op) in ARITHMETIC:
        left, right = _value(node.left), _value(node.right)
        if not isinstance(node.op, ast.Pow) or (abs(left) <= 10 and 0 <= right <= 64):
            value: float | int = ARITHMETIC[type(node.op)](left, right)
            return value
    raise ValueError(f"{ast.unparse(node)} is no number")


def written(value: float | int, like: str) -> str:
    """A value as Python would write it, in the manner of the one it replaces."""
    if isinstance(evaluated(like), int):
        whole = max(1, round(value))
        power = whole.bit_length() - 1
        return f"2**{power}" if "**" in like and whole == 2**power else str(whole)
    return repr(float(f"{value:.3g}"))


def edited(source: str, moves: Sequence[Move], device: str = "cpu") -> str:
    """The source with the moves made. Raises ValueError when a constant is not there with the value it should have."""
    known = {constant.name: constant for constant in constants(source, device)}
    text = source.encode()
    for move in sorted(moves, key=lambda move: -known[move.name].start if move.name in known else 0):
        constant = known.get(move.name)
        if constant is None or constant.text != move.before:
            raise ValueError(f"{move.name} is not {move.before} here")
        text = text[: constant.start] + move.after.encode() + text[constant.end :]
    return text.decode()
