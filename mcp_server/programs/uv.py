"""uv inside a run: without a network, without a lock to renew, with the environment that was made before.

`uv run` by hand first makes the environment fit; in a run it must take it as it is, so the flags that forbid the rest
are added, and the same is said by variables for a uv that a script calls.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path

from mcp_server import plain
from mcp_server.nouns.records import UserEnvironment

FLAGS = ("--no-sync", "--frozen", "--offline")
USUAL_FOLDERS = (".local/bin", ".cargo/bin")  # of the home; a client's PATH often lacks them
# options of `uv run` that take a value, so that the program behind them is found
VALUED = (
    "--python", "-p", "--extra", "--group", "--only-group", "--no-group", "--package", "--directory", "--project",
    "--env-file", "--with", "--with-requirements", "--with-editable", "--index", "--color", "--cache-dir",
)  # fmt: skip


def uses_uv(text: str) -> bool:
    """Whether a command, or a script of a shell within it, calls uv."""
    return re.search(r"(^|[\s;&|('\"/])uvx?(\s|$)", text) is not None


def find_uv(environ: Mapping[str, str]) -> Path | None:
    """uv on this machine: PATH first, then where its installers put it."""
    home = Path(environ.get("HOME") or Path.home())
    folders = [environ.get("PATH", ""), *(str(home / one) for one in USUAL_FOLDERS), str(Path(sys.executable).parent)]
    found = shutil.which("uv", path=os.pathsep.join(folders))
    return Path(plain(found)) if found else None


def variables(found: UserEnvironment) -> dict[str, str]:
    """What tells every uv of a run the same as FLAGS."""
    said = {
        "UV_NO_SYNC": "1",
        "UV_FROZEN": "1",
        "UV_OFFLINE": "1",
        "UV_PYTHON_DOWNLOADS": "never",
        "UV_NO_PROGRESS": "1",
    }
    if found.prefix is not None:
        said["UV_PROJECT_ENVIRONMENT"] = str(found.prefix)
    return said


def told_alone(found: UserEnvironment) -> dict[str, str]:
    """The same for a uv that a script calls where the folders above are forbidden: see `command_line`."""
    return {"UV_NO_PROJECT": "1", "UV_NO_CONFIG": "1", "UV_PYTHON": str(found.python)}


def command_line(command: Sequence[str], found: UserEnvironment, alone: bool = True) -> list[str]:
    """`uv run ...` as a run starts it; without a uv on this machine the program is taken from the environment.

    uv looks for a project in every folder above; where one is forbidden and not absent (`alone` is False) it gives up,
    so there it is told the environment instead.
    """
    if found.uv is None:
        return _without(command, found)
    project = [] if found.prefix is not None and alone else ["--no-project", "--python", str(found.python)]
    project += [] if alone else ["--no-config"]
    kept = list(command[2:])
    return [str(found.uv), "run", *(flag for flag in FLAGS if flag not in kept), *project, *kept]


def _without(command: Sequence[str], found: UserEnvironment) -> list[str]:
    rest = list(command[2:])
    while rest and rest[0].startswith("-") and rest[0] not in ("-m", "--module", "--"):
        rest = rest[2:] if rest[0] in VALUED else rest[1:]
    rest = rest[1:] if rest[:1] == ["--"] else rest
    if rest and (rest[0].endswith(".py") or rest[0] in ("-m", "--module", "python", "python3")):
        rest = ["-m", *rest[1:]] if rest[0] == "--module" else rest
        return [str(found.python), *(rest[1:] if rest[0] in ("python", "python3") else rest)]
    return [str(found.python.parent / rest[0]), *rest[1:]] if rest else [str(found.python)]


def dependencies(tree: Path) -> list[str]:
    """What pyproject.toml asks for; empty where nothing has to be installed. An unreadable one asks for nothing."""
    try:
        project = tomllib.loads((tree / "pyproject.toml").read_text("utf-8"))
    except (OSError, ValueError):
        return []
    wanted = project.get("project", {}).get("dependencies", [])
    return [str(one) for one in wanted] if isinstance(wanted, list) else []
