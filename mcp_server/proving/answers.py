"""Lists of answers in files: found, made constant, and fitted into the form of another file. Pure.

A list is one value a line (the last field of it), a JSON list or dictionary of plain values, or such a one inside a
JSON document, or a literal in Python source.
"""

from __future__ import annotations

import ast
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from mcp_server.nouns.numbers import is_number

FEWEST = 8  # values that make a list of answers; fewer are parameters
Value = str | int | float | bool | None


def constant_answer(name: str, content: bytes) -> bytes | None:
    """The file with its most common answer everywhere; None if it holds no list, or nothing else already."""
    text = _text(content)
    if text is None:
        return None
    for keys, values in _lists(name, text):
        common = Counter(map(repr, values)).most_common(1)[0]
        if common[1] < len(values):
            wanted = next(value for value in values if repr(value) == common[0])
            return _rebuilt(text, keys, [wanted] * len(values))
    return None


def fitted(name: str, content: bytes, source: str, answers: bytes) -> Iterator[bytes]:
    """`content` with its values replaced by those of `answers`, for each list in it that fits."""
    text, known = _text(content), _text(answers)
    if text is None or known is None:
        return
    for keys, values in _lists(name, text):
        for other_keys, others in _lists(source, known):
            if keys is not None and other_keys is not None and set(keys) == set(other_keys):
                by_key = dict(zip(other_keys, others, strict=True))
                yield _rebuilt(text, keys, [by_key[key] for key in keys])
            elif len(values) == len(others):
                yield _rebuilt(text, keys, others)
    if name.rpartition(".")[2] == source.rpartition(".")[2] and not source.endswith(".py"):
        yield answers


def _text(content: bytes) -> str | None:
    try:
        return content.decode() if b"\0" not in content and len(content) < 4_000_000 else None
    except UnicodeDecodeError:
        return None


def _lists(name: str, text: str) -> Iterator[tuple[list[str] | None, Sequence[Value]]]:
    """Every list of at least FEWEST plain values, with the keys of its entries where it has some."""
    if name.endswith(".py"):
        try:
            tree = ast.parse(text)
        except (SyntaxError, ValueError):
            return
        for node in ast.walk(tree):
            if isinstance(node, ast.List | ast.Tuple | ast.Dict):
                try:
                    yield from _in_json(ast.literal_eval(node), deep=False)
                except (ValueError, TypeError, SyntaxError):
                    continue
        return
    try:
        found = json.loads(text)
    except ValueError:
        rows = [line.rpartition(",") for line in text.splitlines() if line.strip()]
        if len(rows) > FEWEST and _heading(rows):
            rows = rows[1:]
        if len(rows) >= FEWEST:
            yield ([key for key, _, _ in rows] if rows[0][1] else None), [value.strip() for _, _, value in rows]
        return
    yield from _in_json(found)


def _in_json(found: Any, deep: bool = True) -> Iterator[tuple[list[str] | None, Sequence[Value]]]:
    entries = (
        list(found.values()) if isinstance(found, dict) else list(found) if isinstance(found, list | tuple) else []
    )
    if len(entries) >= FEWEST and all(isinstance(entry, str | int | float | bool | None) for entry in entries):
        yield ([str(key) for key in found] if isinstance(found, dict) else None), entries
    elif deep:
        for entry in entries[:1000]:
            yield from _in_json(entry)


def _heading(rows: list[tuple[str, str, str]]) -> bool:
    """Whether the first line names columns: its value is of another kind than all the others."""
    return not is_number(rows[0][2]) and (all(is_number(row[2]) for row in rows[1:]) or "id" in rows[0][0].lower())


def _rebuilt(text: str, keys: list[str] | None, values: Sequence[Value]) -> bytes:
    """The file of `text` with other values in its first list."""
    try:
        found = json.loads(text)
    except ValueError:
        lines = [line for line in text.splitlines() if line.strip()]
        head = lines[: len(lines) - len(values)]
        body = [f"{key},{value}" for key, value in zip(keys, values, strict=True)] if keys else [str(v) for v in values]
        return ("\n".join([*head, *body]) + "\n").encode()
    return (json.dumps(_replaced(found, keys, list(values))[0]) + "\n").encode()


def _replaced(found: Any, keys: list[str] | None, values: list[Value]) -> tuple[Any, bool]:
    """The document with the first list that has as many entries replaced, and whether one was found."""
    if isinstance(found, dict):
        if keys is not None and [str(key) for key in found] == keys:
            return dict(zip(found, values, strict=True)), True
        out: dict[Any, Any] = {}
        done = False
        for key, entry in found.items():
            out[key], done = (entry, True) if done else _replaced(entry, keys, values)
        return out, done
    if isinstance(found, list):
        plain = all(isinstance(entry, str | int | float | bool | None) for entry in found)
        if keys is None and plain and len(found) == len(values):
            kind = type(found[0])
            same = kind in (int, float) and all(isinstance(value, str) for value in values)
            return ([_as(kind, value) for value in values] if same else values), True
        items: list[Any] = []
        done = False
        for entry in found:
            made, done = (entry, True) if done else _replaced(entry, keys, values)
            items.append(made)
        return items, done
    return found, False


def _as(kind: type, value: Value) -> Value:
    try:
        return float(str(value)) if kind is float else int(float(str(value)))
    except ValueError:
        return value
