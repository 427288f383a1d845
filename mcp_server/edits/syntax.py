"""Source text as a normalised syntax tree: comments, layout, docstrings and the spelling of literals are gone.

Two texts with the same tree behave the same. The reverse is not promised: renaming a variable gives another tree.
"""

from __future__ import annotations

import ast
import copy
import operator
import re
import warnings
from collections.abc import Callable, Iterator, Mapping
from typing import Any

Source = str | bytes
Sources = Mapping[str, Source] | Source

# Beyond this a folded literal is bigger than the expression it came from: 9**9**9 must not be worked out.
FOLDED_BITS = 4096

_BINARY: dict[type[ast.operator], Callable[[Any, Any], complex]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.BitOr: operator.or_,
    ast.BitAnd: operator.and_,
    ast.BitXor: operator.xor,
    ast.LShift: operator.lshift,
    ast.RShift: operator.rshift,
    ast.Pow: operator.pow,
}
_UNARY: dict[type[ast.unaryop], Callable[[Any], complex]] = {
    ast.USub: operator.neg,
    ast.UAdd: operator.pos,
    ast.Invert: operator.invert,
}
_DROPPED_FIELDS = frozenset({"ctx", "kind", "type_comment", "type_ignores"})
_TOKEN = re.compile(r"\w+|[^\w\s]")


def named(sources: Sources) -> dict[str, Source]:
    """One text or several by file name, as several by file name."""
    if isinstance(sources, str | bytes):
        return {"train.py": sources}
    return dict(sources)


def is_python(name: str) -> bool:
    return name.endswith((".py", ".pyi"))


def tree_of(name: str, source: Source) -> ast.Module | None:
    """The normalised tree of a Python file; None for other files and for text that does not parse."""
    if not is_python(name):
        return None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # "\d" in a string of the agent's is no business of our log
            tree = ast.parse(source)
        _Normalise(keep_docstrings=_reads_docstrings(tree)).visit(tree)
        return tree
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def flat(source: Source) -> str:
    """A file that has no tree, as text: line ends, trailing space and a closing newline do not count."""
    if isinstance(source, bytes):
        if b"\0" in source:
            return source.hex()
        source = source.decode("utf-8", "surrogateescape")
    lines = source.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    return "\n".join(line.rstrip() for line in lines).strip("\n")


def canonical(node: ast.AST) -> str:
    """The tree as one line of text, alike in all Python versions: empty fields are left out."""
    parts: list[str] = []
    _spell(node, parts)
    return "".join(parts)


def heading(statement: ast.stmt) -> ast.stmt:
    """The statement without the statements inside it."""
    bare = copy.copy(statement)
    for field, value in ast.iter_fields(statement):
        if isinstance(value, list):
            setattr(bare, field, [part for part in value if not isinstance(part, ast.stmt)])
    return bare


def walk(node: ast.AST) -> Iterator[ast.AST]:
    """Every node that stands for something written: contexts (load, store) are left out."""
    return (child for child in ast.walk(node) if not isinstance(child, ast.expr_context))


def tokens(text: str) -> int:
    return len(_TOKEN.findall(text))


def dotted(node: ast.AST, aliases: Mapping[str, str] | None = None) -> str:
    """`torch.optim.AdamW` of a name or attribute chain, imported names resolved; the last names alone behind a call."""
    names: list[str] = []
    while isinstance(node, ast.Attribute):
        names.append(node.attr)
        node = node.value
    if isinstance(node, ast.Name):
        names.append((aliases or {}).get(node.id, node.id))
    return ".".join(reversed(names))


def imported(tree: ast.AST) -> dict[str, str]:
    """What each imported name really is: {"F": "torch.nn.functional", "seed": "prepare.seed"}."""
    found: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                root = alias.name.partition(".")[0]
                found[alias.asname or root] = alias.name if alias.asname else root
        elif isinstance(node, ast.ImportFrom):
            for alias in node.names:
                found[alias.asname or alias.name] = f"{node.module or ''}.{alias.name}".lstrip(".")
    return found


def _spell(value: object, parts: list[str]) -> None:
    if isinstance(value, ast.AST):
        parts.append(type(value).__name__)
        parts.append("(")
        for field, child in ast.iter_fields(value):
            if child is None and not isinstance(value, ast.Constant):
                continue
            if field in _DROPPED_FIELDS or child == []:
                continue
            parts.append(field)
            parts.append("=")
            _spell(child, parts)
            parts.append(",")
        parts.append(")")
    elif isinstance(value, list):
        parts.append("[")
        for child in value:
            _spell(child, parts)
            parts.append(",")
        parts.append("]")
    else:
        parts.append(repr(value))


def _reads_docstrings(tree: ast.AST) -> bool:
    return any(isinstance(node, ast.Attribute | ast.Name) and _name(node) == "__doc__" for node in ast.walk(tree))


def _name(node: ast.Attribute | ast.Name) -> str:
    return node.attr if isinstance(node, ast.Attribute) else node.id


def _is_number(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant) and type(node.value) in (int, float, complex)


class _Normalise(ast.NodeTransformer):
    """Drops docstrings and folds arithmetic between plain numbers, exactly as Python would work it out."""

    def __init__(self, keep_docstrings: bool) -> None:
        self.keep_docstrings = keep_docstrings

    def visit(self, node: ast.AST) -> ast.AST:
        self.generic_visit(node)
        if isinstance(node, ast.BinOp):
            return _folded_binary(node)
        if isinstance(node, ast.UnaryOp):
            return _folded_unary(node)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            self._drop_docstring(node)
        return node

    def _drop_docstring(self, node: ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        if self.keep_docstrings or not node.body:
            return
        first = node.body[0]
        if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str):
            rest = node.body[1:]
            # `class A: "text"` and `class A: pass` are the same class
            node.body = rest or ([] if isinstance(node, ast.Module) else [ast.copy_location(ast.Pass(), first)])


def _folded_unary(node: ast.UnaryOp) -> ast.AST:
    work = _UNARY.get(type(node.op))
    if work is None or not isinstance(node.operand, ast.Constant) or not _is_number(node.operand):
        return node
    try:
        return ast.copy_location(ast.Constant(work(node.operand.value)), node)
    except (TypeError, ArithmeticError):  # ~0.5
        return node


def _folded_binary(node: ast.BinOp) -> ast.AST:
    work = _BINARY.get(type(node.op))
    left, right = node.left, node.right
    if work is None or not isinstance(left, ast.Constant) or not isinstance(right, ast.Constant):
        return node
    if not (_is_number(left) and _is_number(right)) or _too_big(node.op, left.value, right.value):
        return node
    try:
        return ast.copy_location(ast.Constant(work(left.value, right.value)), node)
    except (TypeError, ValueError, ArithmeticError):  # 1 / 0, 1 << -1: the run will say so
        return node


def _too_big(op: ast.operator, left: object, right: object) -> bool:
    if not isinstance(left, int) or not isinstance(right, int):
        return False
    if isinstance(op, ast.Pow):
        return right > 0 and left.bit_length() * right > FOLDED_BITS
    if isinstance(op, ast.LShift):
        return left.bit_length() + right > FOLDED_BITS
    return left.bit_length() + right.bit_length() > FOLDED_BITS
