"""How each client names its own tools for files, the shell and skills, and their arguments."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from tests.e2e.script import Edit, Read, Shell, Skill, Step, Wake

Use = tuple[str, dict[str, Any]]
NAMES = (
    "mcp__autoresearch__",
    "mcp__plugin_autoresearch_autoresearch__",
    "autoresearch_",
    "autoresearch-",
    "mcp_autoresearch_",
)


def lab_tool(offered: Collection[str], name: str) -> str | None:
    """The full name under which a client offers one of the lab's tools; None while it does not."""
    return next((prefix + name for prefix in NAMES if prefix + name in offered), None)


def by_hand(step: Step, cwd: str, offered: Mapping[str, Collection[str]]) -> Use:
    """(tool, arguments) for a step; `offered` holds the arguments of each tool that the client offers now."""
    match step:
        case Read(path):
            tool = _first(offered, "Read", "read", "view", "read_file")
            return tool, {_first(offered[tool], "file_path", "filePath", "path"): f"{cwd}/{path}"}
        case Edit(path, old, new):
            return _edit(f"{cwd}/{path}", old, new, offered)
        case Shell(command):
            tool = _first(offered, "Bash", "bash", "run_shell_command")
            return tool, {"command": command, "description": "a step of the script"}
        case Skill(name):
            tool = _first(offered, "Skill", "skill", "activate_skill")
            return tool, {_first(offered.get(tool, ()), "skill", "name"): name}
        case Wake(None):
            return "ScheduleWakeup", {"stop": True}
        case Wake(seconds):
            again = {"prompt": "/loop autoresearch", "reason": "something is due", "noop": False}
            return "ScheduleWakeup", {"delaySeconds": seconds, **again}
        case _:
            raise TypeError(step)


def _edit(path: str, old: str, new: str, offered: Mapping[str, Collection[str]]) -> Use:
    tool = _first(offered, "Edit", "edit", "replace")
    taken = offered[tool]
    arguments = {
        _first(taken, "file_path", "filePath", "path"): path,
        _first(taken, "old_string", "oldString", "old_str"): old,
        _first(taken, "new_string", "newString", "new_str"): new,
    }
    return tool, arguments | ({"instruction": "a step of the script"} if "instruction" in taken else {})


def _first(offered: Collection[str], *names: str) -> str:
    """The first of these names that is offered; the first of all where none is, and the client says what it lacks."""
    return next((name for name in names if name in offered), names[0])
