"""Constants at the top of a Python file, read without running it: time budgets, and the folders that data lie in."""

from __future__ import annotations

import ast
from collections.abc import Mapping

Value = str | float


def constants(source: str, known: Mapping[str, Value] = {}) -> dict[str, Value]:  # only read
    """The module's names whose values are numbers or paths; a home is written `~`. What is not understood is absent."""
    found: dict[str, Value] = dict(known)
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError):
        return {}
    for node in tree.body:
        targets = (
            node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
        )
        value = _value(node.value, found) if isinstance(node, ast.Assign | ast.AnnAssign) and node.value else None
        for target in targets:
            if isinstance(target, ast.Name) and value is not None:
                found[target.id] = value
    return found


def _value(node: ast.expr, known: Mapping[str, Value]) -> Value | None:
    match node:
        case ast.Constant(value=bool()):
            return None
        case ast.Constant(value=str() | int() | float() as value):
            return float(value) if isinstance(value, int | float) else value
        case ast.Name(id=name):
            return known.get(name)
        case ast.BinOp(left=left, op=ast.Mult(), right=right):
            one, two = _value(left, known), _value(right, known)
            return one * two if isinstance(one, float) and isinstance(two, float) else None
        case ast.BinOp(left=left, op=ast.Div(), right=right):
            one, two = _value(left, known), _value(right, known)
            return f"{one}/{two}" if isinstance(one, str) and isinstance(two, str) else None
        case ast.Call(func=function, args=arguments):
            return _called(ast.unparse(function), [_value(one, known) for one in arguments])
    return None


def _called(name: str, values: list[Value | None]) -> Value | None:
    texts = [one for one in values if isinstance(one, str)]
    if len(texts) != len(values):
        return None
    last = name.rpartition(".")[2]
    if name in ("Path.home", "pathlib.Path.home"):
        return "~"
    if last in ("expanduser", "Path", "str", "abspath", "normpath") and len(texts) == 1:
        return texts[0]
    if last == "join" and "path" in name and texts:
        return "/".join(texts)
    return None


def data_folders(values: Mapping[str, Value]) -> list[str]:
    """Folders in the home that the constants name, the innermost of each."""
    places = {value.rstrip("/") for value in values.values() if isinstance(value, str) and value.startswith("~/")}
    return sorted(one for one in places if not any(other.startswith(f"{one}/") for other in places))
