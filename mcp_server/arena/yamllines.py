"""YAML as people write it: read with the place of each value in mind, so that errors name their line.

A key that stands twice is refused, where YAML would silently take the last one. Of YAML 1.1's surprises none is left:
`no` and `off` are words, 8:30 is not 510, 010 is ten, a date is text, and 1e3 is a number.
`first` is the line of the file (1-based) in which the YAML begins.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import yaml

from mcp_server.nouns.errors import ArenaError

INT, FLOAT = "tag:yaml.org,2002:int", "tag:yaml.org,2002:float"
SURPRISING = (INT, FLOAT, "tag:yaml.org,2002:bool", "tag:yaml.org,2002:timestamp")


Read = tuple[yaml.Node | None, Any]


class Loader(yaml.SafeLoader):
    """Knows words, numbers, true, false and null."""


Loader.yaml_implicit_resolvers = {
    letter: [(tag, pattern) for tag, pattern in known if tag not in SURPRISING]
    for letter, known in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
for tag, pattern, letters in (
    ("tag:yaml.org,2002:bool", r"(?i:true|false)", "tTfF"),
    (INT, r"[-+]?\d[\d_]*", "-+0123456789"),
    (FLOAT, r"[-+]?(\d[\d_]*(\.[\d_]*)?|\.\d+)([eE][-+]?\d+)?|[-+]?\.(?i:inf)|\.(?i:nan)", "-+.0123456789"),
):
    Loader.add_implicit_resolver(tag, re.compile(rf"^(?:{pattern})$", re.ASCII), list(letters))
Loader.add_constructor(INT, lambda _, node: int(node.value))


def read(text: str, name: str, first: int = 1, hint: str = "", loader: type[yaml.SafeLoader] = Loader) -> Read:
    """The values of a text, and the nodes that know their lines. Raises ArenaError. `name` is the file's."""
    try:
        node, data = yaml.compose(text, Loader=loader), yaml.load(text, Loader=loader)
    except RecursionError:
        raise ArenaError(f"{name}: its values are nested too deeply. {hint}") from None
    except (yaml.YAMLError, ValueError) as error:
        mark = getattr(error, "problem_mark", None)
        where = f", line {mark.line + first}" if mark else ""
        raise ArenaError(f"{name}{where}: not valid YAML: {getattr(error, 'problem', None) or error}. {hint}") from None
    if node is not None:
        _refuse_repeated_keys(node, name, first, set())
    return node, data


def line_of(node: yaml.Node, place: Sequence[str | int], first: int = 1) -> int:
    """The line of the value at `place`, or of the nearest thing around it."""
    line = node.start_mark.line
    for step in place:
        child: yaml.Node | None = None
        if isinstance(node, yaml.MappingNode):
            for key, value in node.value:
                if key.value == str(step):
                    child, line = value, key.start_mark.line
        elif isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
            child = node.value[step]
            line = child.start_mark.line
        if child is None:
            break
        node = child
    return int(line) + first


def _refuse_repeated_keys(node: yaml.Node, name: str, first: int, looked: set[int]) -> None:
    """looked: nodes that were, since an alias may stand for one many times, and inside of itself."""
    if id(node) in looked:
        return
    looked.add(id(node))
    if isinstance(node, yaml.SequenceNode):
        for item in node.value:
            _refuse_repeated_keys(item, name, first, looked)
    if not isinstance(node, yaml.MappingNode):
        return
    seen: set[str] = set()
    for key, value in node.value:
        if key.value in seen:
            line = key.start_mark.line + first
            raise ArenaError(f"{name}, line {line}: `{key.value}` is given twice. Keep one of them.")
        seen.add(key.value)
        _refuse_repeated_keys(value, name, first, looked)
