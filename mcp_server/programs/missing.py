"""What a run would not find, told before it is started, each with the key or command that mends it.

Read from program.md and the disk; nothing is started. `stops` tells what cannot work from what only may not.
"""

from __future__ import annotations

import os
import shlex
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from mcp_server import plain
from mcp_server.arena.program import Arena
from mcp_server.arena.shellwords import SHELLS
from mcp_server.nouns.records import UserEnvironment
from mcp_server.programs import uv
from mcp_server.programs.commands import CONDAS, PYTHON_NAMES, behind_conda, conda_prefix, is_ours, which
from mcp_server.programs.environment import in_system
from mcp_server.runner.sandbox.confinement import interpreter_paths

BUILT_IN = ("cd", "source", ".", "export", "set", "ulimit", "eval", "exec", "time")  # words of a shell, no programs
WITH_OWN_ENVIRONMENT = ("poetry", "pipenv", "pdm", "hatch", "pixi", "rye")
SCRIPTS = (".py", ".sh", ".bash")


@dataclass(frozen=True)
class Missing:
    """One thing: the command of program.md it is about, and two sentences."""

    key: str
    said: str
    stops: bool = True

    def __str__(self) -> str:
        return f"`{self.key}`: {self.said}"


@dataclass(frozen=True)
class Place:
    """Where an arena lies: the work tree, what of it is committed, and what a run may read besides."""

    tree: Path
    committed: Callable[[str], bool]
    readable: tuple[Path, ...] = ()


def missing(arena: Arena, found: UserEnvironment, place: Place, environ: Mapping[str, str]) -> Iterator[Missing]:
    """Everything that the commands of an arena would miss."""
    keys = [("run", arena.run), ("score", arena.score)]
    keys += [(f"checks.{turn}", text) for turn, text in enumerate(arena.checks)]
    for key, text in keys:
        command = shlex.split(text)
        if is_ours(command):
            continue
        said = _own_environment(arena, command) or _program(command, found, place, environ)
        if said:
            yield Missing(key, said)
        yield from _words(key, command, found, place)


def _own_environment(arena: Arena, command: list[str]) -> str:
    """Why an environment that a command names cannot be had; "" where it can."""
    named = (Path(command[0]).name.startswith("python") and "/" in command[0]) or command[0] in CONDAS
    if not arena.scores_language_models or not named:
        return ""
    return (
        "the language-model scorer imports train.py in the server's Python, so training runs in it too, and no other "
        "is shown to a run: it could hold copies of the sealed text. Write: python train.py"
    )


def _program(command: list[str], found: UserEnvironment, place: Place, environ: Mapping[str, str]) -> str:
    """Why the program of a command cannot be started; "" when it can."""
    program = command[0]
    if program in BUILT_IN:
        quoted = shlex.quote(shlex.join(command))
        return f"{program!r} is a word of the shell, and no shell reads this. Write: bash -c {quoted}"
    if program in WITH_OWN_ENVIRONMENT and command[1:2] == ["run"]:
        return (
            f"`{program} run` keeps its environment where a run cannot look it up. Write the command behind it and "
            f"activate the environment first, or name its Python: /path/of/the/environment/bin/python"
        )
    if program == "uv" and command[1:2] == ["run"]:
        return _uv(found, place)
    if program in CONDAS and command[1:2] == ["run"]:
        prefix = conda_prefix(command, environ)
        if prefix is None or not (prefix / "bin").is_dir():
            named = next((word for flag, word in pairwise(command) if flag in ("-n", "--name", "-p", "--prefix")), "")
            return f"There is no conda environment {named!r} on this machine. `conda env list` names those there are."
        return _program(behind_conda(command), found, place, environ)
    if "/" in program:
        return _placed(program, found, place)
    if program in PYTHON_NAMES or which(program, found, place.readable) is not None:
        return ""
    outside = shutil.which(program, path=environ.get("PATH", ""))
    if outside is None:
        return f"There is no program {program!r} on this machine. Install it, or write its whole path."
    folder = Path(outside).parent
    return (
        f"The program {program!r} is {outside}, which a run cannot see. Let it in with readable: [{folder}] "
        f"(and what else it needs), or write the path of another one."
    )


def _uv(found: UserEnvironment, place: Place) -> str:
    wanted = uv.dependencies(place.tree)
    repository = found.prefix is not None and found.prefix.is_relative_to(place.tree)
    if wanted and not repository and found.source.startswith("the server's"):
        names = ", ".join(one.split(";")[0].strip() for one in wanted[:6]) + (", …" if len(wanted) > 6 else "")
        return (
            f"`uv run` takes the repository's environment, and there is no .venv in {place.tree} yet. Make it with "
            f"`uv sync` there (it needs the network, which runs have not): pyproject.toml asks for {names}."
        )
    if found.uv is None and found.prefix is None:
        return "There is no uv on this machine, nor a .venv in the repository. Install uv, or write: python train.py"
    return ""


def _placed(program: str, found: UserEnvironment, place: Place) -> str:
    path = Path(program).expanduser()
    if path.is_absolute():
        if not path.exists():
            return f"There is no program {program}. Correct the path."
        return "" if _seen(path, found, place.readable) else _let_in(path, "The program")
    if place.committed(path.as_posix()):
        return ""
    here = place.tree / path
    if _seen(here, found, place.readable):
        return ""
    if here.exists():
        return (
            f"{program} is in the work tree but not in the commit that runs are made from. Commit it: git add {program}"
        )
    if here.is_symlink():
        return f"{program} leads to {os.readlink(here)}, which is not there. Make the environment again."
    if path.parent.name == "bin":
        return f"There is no {program} in {place.tree}. Make the environment first: `uv sync`, or `python -m venv`."
    return f"There is no {program} in the repository. Correct the path."


def _let_in(path: Path, what: str) -> str:
    return f"{what} {path} lies outside of what a run may read. Let it in with readable: [{path}]"


def _seen(path: Path, found: UserEnvironment, readable: Sequence[Path]) -> bool:
    """Whether a run sees this file, by its name and by what the name leads to."""
    places, path = (*found.shown, *readable, *interpreter_paths()), Path(plain(str(path)))
    return all(in_system(one) or any(one.is_relative_to(place) for place in places) for one in (path, path.resolve()))


def _words(key: str, command: list[str], found: UserEnvironment, place: Place) -> Iterator[Missing]:
    """Files that a command names and a run would not find. Its script stops a run; of other words one cannot know."""
    if Path(command[0]).name in SHELLS:
        return
    script = next((word for word in command[1:] if word.endswith(SCRIPTS)), None)
    for word in command[1:]:
        name = word.partition("=")[2] if word.startswith("-") else word
        path = Path(name).expanduser()
        if not name or name in (".", "..") or "\0" in name:
            continue
        if path.is_absolute():
            if path.exists() and not _seen(path, found, place.readable):
                yield Missing(key, _let_in(path, "The file" if path.is_file() else "The folder"), stops=name == script)
            continue
        here = place.tree / path
        if _exists(here) and not place.committed(path.as_posix()) and not _seen(here, found, place.readable):
            top = path.parts[0] if len(path.parts) > 1 else path.as_posix()
            mend = f"Commit it: git add {name}" if name == script else f"Let it in with readable: [{top}], or commit it"
            said = f"{name} is in the work tree but not in the commit that runs are made from. {mend}"
            yield Missing(key, said, stops=name == script)
        elif name == script and not _exists(here) and not place.committed(path.as_posix()):
            yield Missing(key, f"There is no {name} in the repository. Correct the path, or commit the file.")


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:  # too long a word is no file
        return False
