"""The constants of a source file and which of them an edit changed, read from the syntax tree.

A knob is a module constant in CAPITALS, a literal inside its call (`DEPTH = pick(cpu=2, cuda=9)` gives `DEPTH.cpu`),
a class default (`Config.width`), a parameter's default (`norm.eps`), a literal argument of a call (`AdamW.lr`,
`Dropout[0]`) or a local name set to a literal (`forward.softcap`).
"""

from __future__ import annotations

import ast
import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

from mcp_server.edits.syntax import Sources, dotted, named, tree_of

VALUE_CHARACTERS = 60
_CAPITALS = re.compile(r"_?[A-Z][A-Z0-9_]*$")
_Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class KnobChange:
    """One constant before and after an edit; None where it did not exist."""

    name: str
    before: str | None
    after: str | None

    def __str__(self) -> str:
        if self.before is None:
            return f"{self.name}: added {_short(self.after or '')}"
        if self.after is None:
            return f"{self.name}: removed {_short(self.before)}"
        return f"{self.name}: {_short(self.before)} → {_short(self.after)}"


@dataclass(frozen=True)
class _Sighting:
    name: str
    value: str
    owner: str  # what a missing knob must be missing from to count as added or removed: "" or a callee


def knobs(sources: Sources) -> dict[str, str]:
    """Every knob with its value as Python would write it; a name seen again gets [2], [3] ..."""
    found: dict[str, str] = {}
    seen: Counter[str] = Counter()
    for sighting in _sightings(sources)[0]:
        seen[sighting.name] += 1
        count = seen[sighting.name]
        found[sighting.name if count == 1 else f"{sighting.name}[{count}]"] = sighting.value
    return found


def knob_changes(before: Sources, after: Sources) -> tuple[KnobChange, ...]:
    """What changed, CAPITALS first. Calls that came or went are a change of structure, not of a knob."""
    old, old_calls = _sightings(before)
    new, new_calls = _sightings(after)
    values_before, values_after = _by_name(old), _by_name(new)
    owners = {sighting.name: sighting.owner for sighting in (*old, *new)}
    changes: list[KnobChange] = []
    for name in dict.fromkeys((*values_before, *values_after)):
        was, now = values_before.get(name, []), values_after.get(name, [])
        if len(was) == len(now):
            pairs = dict.fromkeys((a, b) for a, b in zip(was, now, strict=True) if a != b)
            changes += [KnobChange(name, a, b) for a, b in pairs]
        elif len(was) + len(now) == 1 and old_calls[owners[name]] == new_calls[owners[name]]:
            changes.append(KnobChange(name, was[0] if was else None, now[0] if now else None))
    return tuple(sorted(changes, key=lambda change: not _CAPITALS.match(change.name.partition(".")[0])))


def _short(text: str) -> str:
    return text if len(text) <= VALUE_CHARACTERS else text[: VALUE_CHARACTERS - 1] + "…"


def _by_name(sightings: list[_Sighting]) -> dict[str, list[str]]:
    grouped: defaultdict[str, list[str]] = defaultdict(list)
    for sighting in sightings:
        grouped[sighting.name].append(sighting.value)
    return grouped


def _sightings(sources: Sources) -> tuple[list[_Sighting], Counter[str]]:
    """All knobs in the order of the text, and how often each function is called."""
    found: list[_Sighting] = []
    calls: Counter[str] = Counter()
    for name, source in sorted(named(sources).items()):
        tree = tree_of(name, source)
        if tree is not None:
            found += _of_block(tree.body, "", calls)
    return found, calls


def _of_block(body: list[ast.stmt], scope: str, calls: Counter[str]) -> Iterator[_Sighting]:
    for statement in body:
        yield from _of_statement(statement, scope, calls)


def _of_statement(statement: ast.stmt, scope: str, calls: Counter[str]) -> Iterator[_Sighting]:
    if isinstance(statement, _Function):
        yield from _defaults(statement)
        yield from _of_block(statement.body, statement.name, calls)
        return
    if isinstance(statement, ast.ClassDef):
        for inner in statement.body:
            if isinstance(inner, ast.Assign | ast.AnnAssign):
                yield from _of_class_field(inner, statement.name)
            else:
                yield from _of_statement(inner, statement.name, calls)
        return
    if isinstance(statement, ast.Assign | ast.AnnAssign):
        claimed = list(_of_assignment(statement, scope))
        yield from claimed
        if claimed and scope == "":
            return  # the literals inside CAPITALS' own calls carry the constant's name already
    blocks = [value for _, value in ast.iter_fields(statement) if isinstance(value, list) and _is_block(value)]
    for node in _expressions(statement):
        yield from _of_call(node, calls)
    for block in blocks:
        for inner in block:
            if isinstance(inner, ast.stmt):
                yield from _of_statement(inner, scope, calls)
            else:
                yield from _of_block(getattr(inner, "body", []), scope, calls)


def _is_block(value: list[object]) -> bool:
    return bool(value) and isinstance(value[0], ast.stmt | ast.excepthandler | ast.match_case)


def _expressions(statement: ast.stmt) -> Iterator[ast.AST]:
    """Every node of a statement's own expressions, in the order of the text; nested statements are left out."""
    for child in ast.iter_child_nodes(statement):
        if isinstance(child, ast.stmt | ast.excepthandler | ast.match_case):
            continue
        yield from _in_order(child)


def _in_order(node: ast.AST) -> Iterator[ast.AST]:
    yield node
    for child in ast.iter_child_nodes(node):
        yield from _in_order(child)


def _literal(node: ast.AST | None) -> str | None:
    """The value as Python would write it, for numbers, strings, None, booleans and containers of them."""
    if isinstance(node, ast.Constant):
        return None if node.value is ... else repr(node.value)
    if isinstance(node, ast.Tuple | ast.List | ast.Set) and node.elts:
        return ast.unparse(node) if all(_literal(item) is not None for item in node.elts) else None
    if isinstance(node, ast.Dict) and node.keys:
        whole = all(_literal(key) is not None and _literal(value) is not None for key, value in _items(node))
        return ast.unparse(node) if whole else None
    return None


def _items(node: ast.Dict) -> Iterator[tuple[ast.AST | None, ast.AST]]:
    return iter(list(zip(node.keys, node.values, strict=True)))


def _of_assignment(statement: ast.Assign | ast.AnnAssign, scope: str) -> Iterator[_Sighting]:
    targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
    value = statement.value
    for target in targets:
        if isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple) and len(target.elts) == len(value.elts):
            for name, part in zip(target.elts, value.elts, strict=True):
                yield from _of_target(name, part, scope)
        elif value is not None:
            yield from _of_target(target, value, scope)


def _of_target(target: ast.AST, value: ast.AST, scope: str) -> Iterator[_Sighting]:
    name = dotted(target)
    if isinstance(target, ast.Name) and _CAPITALS.match(name):
        yield from _inside(name, value)
    elif scope and name and (text := _literal(value)) is not None:
        yield _Sighting(f"{scope}.{name.removeprefix('self.')}", text, scope)


def _inside(name: str, value: ast.AST) -> Iterator[_Sighting]:
    """A constant itself, or the literals within its call or dictionary, each under the constant's name."""
    if isinstance(value, ast.Dict) and value.keys:
        for key, item in _items(value):
            if isinstance(key, ast.Constant) and isinstance(key.value, str) and (text := _literal(item)) is not None:
                yield _Sighting(f"{name}.{key.value}", text, "")
    elif (text := _literal(value)) is not None:
        yield _Sighting(name, text, "")
    elif isinstance(value, ast.Call):
        for place, argument in enumerate(value.args):
            if (text := _literal(argument)) is not None:
                yield _Sighting(f"{name}[{place}]", text, "")
        for keyword in value.keywords:
            if keyword.arg:
                yield from _inside(f"{name}.{keyword.arg}", keyword.value)
    elif not any(isinstance(node, ast.Call | ast.Lambda) for node in ast.walk(value)):
        yield _Sighting(name, ast.unparse(value), "")  # DIM = DEPTH * 64


def _of_class_field(statement: ast.Assign | ast.AnnAssign, scope: str) -> Iterator[_Sighting]:
    target = statement.targets[0] if isinstance(statement, ast.Assign) else statement.target
    value: ast.AST | None = statement.value
    if isinstance(value, ast.Call) and dotted(value.func).endswith("field"):
        value = next((word.value for word in value.keywords if word.arg == "default"), None)
    if isinstance(target, ast.Name) and value is not None:
        yield from _inside(f"{scope}.{target.id}", value)


def _defaults(function: _Function) -> Iterator[_Sighting]:
    positional = (*function.args.posonlyargs, *function.args.args)
    with_default = positional[len(positional) - len(function.args.defaults) :]
    pairs = [*zip(with_default, function.args.defaults, strict=True)]
    pairs += [(a, d) for a, d in zip(function.args.kwonlyargs, function.args.kw_defaults, strict=True) if d is not None]
    for argument, default in pairs:
        if (text := _literal(default)) is not None:
            yield _Sighting(f"{function.name}.{argument.arg}", text, "")


def _of_call(node: ast.AST, calls: Counter[str]) -> Iterator[_Sighting]:
    if not isinstance(node, ast.Call):
        return
    callee = dotted(node.func).rpartition(".")[2]
    if not callee:
        return
    calls[callee] += 1
    for place, argument in enumerate(node.args):
        text = _literal(argument)
        # a bare string is a key or a message, not a setting
        if text is not None and not (isinstance(argument, ast.Constant) and isinstance(argument.value, str)):
            yield _Sighting(f"{callee}[{place}]", text, callee)
    for keyword in node.keywords:
        if keyword.arg and (text := _literal(keyword.value)) is not None:
            yield _Sighting(f"{callee}.{keyword.arg}", text, callee)
