"""Edits that make a run learn, or use up data, before its budget begins: found by following what a file does in order.

A file is read as it would be run: its own statements, and in their place the functions of the file that they call, up
to the call that starts the budget. Compared are two files: what was there before is nobody's doing. Methods, and code
made of strings, are not followed; the clock charges what those cost.
"""

from __future__ import annotations

import ast
import builtins
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from mcp_server.edits.syntax import dotted

LOADER = re.compile(r"loader|batches|blocks|sampler|dataset|shards", re.IGNORECASE)
_CLOCK = re.compile(r"(^|\.)Budget$")
_LEARNS = frozenset({"backward", "step", "zero_grad", "grad", "fit", "partial_fit", "train_on_batch"})
_CONSUMES = frozenset({"next", "list", "tuple", "zip", "islice", "enumerate", "sum", "map", "deque", "__next__"})
_DEEPEST = 12  # functions that call functions
_MOST = 50_000  # statements followed; loops in loops are read several times, and a file may be made to be slow


@dataclass(frozen=True)
class Happening:
    """A call, or a loop over data: what it is called, and how it stands there."""

    kind: str  # "call", "data", "learning", "start"
    name: str
    text: str
    in_training: bool  # inside a loop that learns


def early_work(old: ast.Module, new: ast.Module, here: Mapping[str, str], there: Mapping[str, str]) -> Iterator[str]:
    """What `new` does before the budget that `old` did not, and which data it takes that no step learns from."""
    was, now = list(_happenings(old, here)), list(_happenings(new, there))
    if not any(one.kind == "start" for one in was):
        return
    if not any(one.kind == "start" for one in now):
        yield "budget: nothing says any more that training starts"
        return
    before_was, after_was = _split(was)
    before_now, after_now = _split(now)
    for kind, word in (("data", "data order"), ("learning", "budget")):
        for text in _more(before_was, before_now, kind):
            yield f"{word}: {text} before the start"
    outside = ([one for one in after_was if not one.in_training], [one for one in after_now if not one.in_training])
    for text in _more(*outside, "data"):
        yield f"data order: {text} outside the training loop"
    names_was, names_now = (
        Counter(one.name for one in part if one.kind == "call") for part in (before_was, before_now)
    )
    left_was, left_now = (Counter(one.name for one in part if one.kind == "call") for part in (after_was, after_now))
    for name in (names_now - names_was) & (left_was - left_now):
        yield f"budget: {name} moved before the start"


def _more(was: list[Happening], now: list[Happening], kind: str) -> Iterator[str]:
    """How the happenings of a kind read that are more often in `now`."""
    texts = {one.name: one.text for one in now}
    more = Counter(one.name for one in now if one.kind == kind) - Counter(one.name for one in was if one.kind == kind)
    yield from (texts[name] for name in more)


def _split(all_of_it: list[Happening]) -> tuple[list[Happening], list[Happening]]:
    at = next(place for place, one in enumerate(all_of_it) if one.kind == "start")
    return all_of_it[:at], all_of_it[at + 1 :]


def _happenings(tree: ast.Module, aliases: Mapping[str, str]) -> Iterator[Happening]:
    return _Reader(tree, aliases).run(tree.body, (), False)


class _Reader:
    """Follows one file."""

    def __init__(self, tree: ast.Module, aliases: Mapping[str, str]) -> None:
        self._aliases, self._left = aliases, _MOST
        self._functions = {
            node.name: node for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        }
        bound = [(name, value) for node in ast.walk(tree) for name, value in _bindings(node)]
        calls = [(name, dotted(value.func, aliases)) for name, value in bound if isinstance(value, ast.Call)]
        self._clocks = {name for name, called in calls if _CLOCK.search(called)}
        self._loaders = {name for name, called in calls if LOADER.search(called)}
        # another name for the same thing, and what wraps it: iter(batches), warm = batches
        for name, value in bound * 2:
            if any(isinstance(part, ast.Name) and part.id in self._loaders for part in _wrapped(value)):
                self._loaders.add(name)

    def run(self, body: list[ast.stmt], stack: tuple[str, ...], in_training: bool) -> Iterator[Happening]:
        for statement in body:
            yield from self._statement(statement, stack, in_training)

    def _statement(self, node: ast.stmt, stack: tuple[str, ...], in_training: bool) -> Iterator[Happening]:
        self._left -= 1
        if self._left < 0 or isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            return
        within = in_training
        if isinstance(node, ast.For | ast.While | ast.AsyncFor):
            within = in_training or self._learns(node.body, stack)
            if isinstance(node, ast.For | ast.AsyncFor) and self._is_data(node.iter):
                yield Happening("data", "data", f"for … in {ast.unparse(node.iter)}", within)
        for field, value in ast.iter_fields(node):
            inner = within if field in ("body", "test", "iter") else in_training
            for part in value if isinstance(value, list) else [value]:
                if isinstance(part, ast.stmt):
                    yield from self._statement(part, stack, inner)
                elif isinstance(part, ast.ExceptHandler | ast.match_case):
                    yield from self.run(part.body, stack, inner)
                elif isinstance(part, ast.AST):
                    yield from self._expression(part, stack, inner)

    def _expression(self, node: ast.AST, stack: tuple[str, ...], in_training: bool) -> Iterator[Happening]:
        if isinstance(node, ast.Lambda):
            return
        if isinstance(node, ast.comprehension) and self._is_data(node.iter):
            yield Happening("data", "data", f"for … in {ast.unparse(node.iter)}", in_training)
        for child in ast.iter_child_nodes(node):  # arguments are worked out first
            yield from self._expression(child, stack, in_training)
        if isinstance(node, ast.Call):
            yield from self._call(node, stack, in_training)

    def _call(self, node: ast.Call, stack: tuple[str, ...], in_training: bool) -> Iterator[Happening]:
        name = dotted(node.func, self._aliases)
        last = name.rpartition(".")[2] or (node.func.attr if isinstance(node.func, ast.Attribute) else "")
        owner = node.func.value if isinstance(node.func, ast.Attribute) else None
        text = ast.unparse(node)
        if isinstance(owner, ast.Name) and owner.id in self._clocks:
            if last == "start":
                yield Happening("start", name, text, in_training)
            return  # the clock's own methods
        if isinstance(node.func, ast.Name) and node.func.id in self._functions and len(stack) < _DEEPEST:
            if node.func.id not in stack:
                body = self._functions[node.func.id].body
                yield from self.run(body, (*stack, node.func.id), in_training)
            yield Happening("call", name, text, in_training)
        elif last in _CONSUMES and any(map(self._is_data, (*node.args, *([owner] if owner else [])))):
            yield Happening("data", "data", text, in_training)
        elif last in _LEARNS:
            yield Happening("learning", last, text, in_training)
        elif name and not hasattr(builtins, name):
            yield Happening("call", name if isinstance(node.func, ast.Name) or "." in name else last, text, in_training)

    def _is_data(self, node: ast.AST) -> bool:
        """Whether taking from `node` takes from a loader."""
        for part in _wrapped(node):
            if isinstance(part, ast.Name) and part.id in self._loaders:
                return True
            if isinstance(part, ast.Call) and LOADER.search(dotted(part.func, self._aliases)):
                return True
        return False

    def _learns(self, body: list[ast.stmt], stack: tuple[str, ...]) -> bool:
        return any(one.kind == "learning" for one in self.run(body, stack, True))


def _bindings(node: ast.AST) -> Iterator[tuple[str, ast.expr]]:
    """(name, value) of an assignment, tuples taken apart."""
    if isinstance(node, ast.NamedExpr):
        yield node.target.id, node.value
    targets = node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
    value = node.value if isinstance(node, ast.Assign | ast.AnnAssign) else None
    for target in targets:
        if isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple):
            pairs = zip(target.elts, value.elts, strict=False)
            yield from ((name.id, one) for name, one in pairs if isinstance(name, ast.Name))
        elif isinstance(target, ast.Name) and value is not None:
            yield target.id, value


def _wrapped(node: ast.AST) -> Iterator[ast.AST]:
    """`node`, and what it is a thin wrapper of: iter(x), enumerate(x), zip(x, y), islice(x, 3)."""
    yield node
    if isinstance(node, ast.Call):
        last = dotted(node.func).rpartition(".")[2]
        if last in ("iter", "enumerate", "zip", "islice", "chain", "tqdm", "cycle"):
            for argument in node.args:
                yield from _wrapped(argument)
