"""Whether an edit does nothing but give other names."""

from __future__ import annotations

import ast

import pytest

from mcp_server.edits.renaming import only_renamed

BEFORE = "def f(width, depth):\n    return g(width) + depth\n"


def renamed(before: str, after: str) -> bool:
    return only_renamed(ast.parse(before), ast.parse(after))


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (BEFORE, BEFORE),
        (BEFORE, BEFORE.replace("width", "breadth")),
        (BEFORE, BEFORE.replace("width", "w").replace("depth", "width")),
        ("a = 1\nb = a\n", "b = 1\na = b\n"),  # exchanged
        ("class A:\n    x = 1\n", "class B:\n    y = 1\n"),
        ("m.head = 1\nprint(m.head)\n", "m.out = 1\nprint(m.out)\n"),
        ("head = 1\nd = {'head': head}\n", "out = 1\nd = {'out': out}\n"),  # a key that moved with its name
        ("head = 1\nd = {'head': head}\n", "out = 1\nd = {'head': out}\n"),  # or a word that stayed
        ("async def f(*, a):\n    return a\n", "async def f(*, b):\n    return b\n"),
    ],
)
def test_another_name_for_the_same_thing_is_only_a_rename(before: str, after: str) -> None:
    assert renamed(before, after)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (BEFORE, BEFORE.replace("+", "-")),
        (BEFORE, BEFORE.replace("depth):", "depth=1):")),
        (BEFORE, BEFORE.replace("g(width)", "h(width)")),  # a name that the file does not give
        ("a = 1\nb = 2\nprint(a, b)\n", "a = 1\na = 2\nprint(a, a)\n"),  # two become one
        ("a = 1\na = 2\nprint(a, a)\n", "a = 1\nb = 2\nprint(a, b)\n"),  # one becomes two
        ("a = 1\nprint(a)\n", "b = 1\nprint(a)\n"),  # only half of it
        ("a = 1\n", "a = True\n"),
        ("a = 1\n", "a = 1.0\n"),
        ("a = 1\n", "a = 1\nb = 2\n"),
    ],
)
def test_whatever_else_differs_is_more_than_a_rename(before: str, after: str) -> None:
    assert not renamed(before, after)
