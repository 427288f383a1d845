"""Where in a YAML text a value stands, and that no key stands there twice: for errors that name their line.

`first` is the line of the file (1-based) in which the YAML begins.
"""

from __future__ import annotations

from collections.abc import Sequence

import yaml

from mcp_server.nouns.errors import ArenaError


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


def refuse_repeated_keys(node: yaml.Node, name: str, first: int = 1) -> None:
    """Raises ArenaError for a key that YAML would silently take the last of. `name` is the file's."""
    if isinstance(node, yaml.SequenceNode):
        for item in node.value:
            refuse_repeated_keys(item, name, first)
    if not isinstance(node, yaml.MappingNode):
        return
    seen: set[str] = set()
    for key, value in node.value:
        if key.value in seen:
            line = key.start_mark.line + first
            raise ArenaError(f"{name}, line {line}: `{key.value}` is given twice. Keep one of them.")
        seen.add(key.value)
        refuse_repeated_keys(value, name, first)
