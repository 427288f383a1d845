"""Whether an edit does nothing but give other names.

It changes no behaviour save one: parameters draw their first values from a stream that is keyed by their name.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator


def only_renamed(old: ast.Module, new: ast.Module) -> bool:
    """Whether the two differ in nothing but names that the file itself gives."""
    own = frozenset(_given(old)), frozenset(_given(new))
    # a string equal to a name may be a key that moved with it, or a word that stayed
    return any(_Renaming(*own, strings).explains(old, new) for strings in (True, False))


class _Renaming:
    """One name for another, each way round, found while two trees are compared."""

    def __init__(self, old_names: frozenset[str], new_names: frozenset[str], strings: bool) -> None:
        self._own = old_names, new_names
        self._strings = strings
        self._new_of: dict[str, str] = {}
        self._old_of: dict[str, str] = {}

    def explains(self, old: object, new: object, field: str = "") -> bool:
        if type(old) is not type(new):
            return False
        if isinstance(old, ast.AST) and isinstance(new, ast.AST):
            for (name, one), (other_name, other) in zip(ast.iter_fields(old), ast.iter_fields(new), strict=True):
                key = "key" if isinstance(old, ast.Constant) and self._strings else name
                if name != other_name or not self.explains(one, other, key):
                    return False
            return True
        if isinstance(old, list) and isinstance(new, list):
            return len(old) == len(new) and all(map(self.explains, old, new))
        if isinstance(old, str) and isinstance(new, str) and field in ("id", "attr", "arg", "name", "key"):
            return self._same_name(old, new, field)
        return repr(old) == repr(new)

    def _same_name(self, old: str, new: str, field: str) -> bool:
        given = old in self._own[0], new in self._own[1]
        if not all(given):
            # a variable that only one of the files gives is another thing in the other one: a builtin, or nothing
            return old == new and not (field == "id" and any(given))
        return self._new_of.setdefault(old, new) == new and self._old_of.setdefault(new, old) == old


def _given(tree: ast.Module) -> Iterator[str]:
    """The names that a file gives: variables, attributes, functions, classes, parameters."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Name | ast.Attribute) and isinstance(node.ctx, ast.Store):
            yield node.id if isinstance(node, ast.Name) else node.attr
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.arg):
            yield node.arg
