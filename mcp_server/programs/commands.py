"""A command of program.md as it is started: its program found in the environment that was chosen. Pure but for looks.

`python -m mcp_server...` is ours and means the server's Python; only a checkpoint is measured with the training's.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path

import mcp_server
from mcp_server.nouns.files import text_of
from mcp_server.nouns.records import UserEnvironment
from mcp_server.programs import uv

PYTHON_NAMES = ("python", "python3")
PRINTED = "mcp_server.scoring.printed"
PRINTED_FILE = Path(mcp_server.__file__).parent / "scoring" / "printed.py"
CHECKPOINT = "mcp_server.scoring.checkpoint"
CONDAS = ("conda", "mamba", "micromamba")
SYSTEM_PATH = ("/usr/local/bin", "/usr/bin", "/bin")


def is_ours(command: Sequence[str]) -> bool:
    """Whether a command runs a module of this package."""
    return len(command) > 2 and command[0] in PYTHON_NAMES and command[1] == "-m" and _own_module(command[2])


def _own_module(name: str) -> bool:
    return name.partition(".")[0] == "mcp_server"


def search_path(found: UserEnvironment | None) -> list[str]:
    """PATH of a run: the chosen environment, the system, and last the server's own programs."""
    own, extra = str(Path(sys.executable).parent), []
    if found is not None and found.uv is not None:
        extra = [str(found.uv.parent)]
    if found is None or found.prefix is None:
        return [own, *SYSTEM_PATH, *extra]
    return list(dict.fromkeys([str(found.python.parent), *SYSTEM_PATH, own, *extra]))


def command_line(
    command: Sequence[str],
    found: UserEnvironment | None,
    cwd: Path,
    tree: Path | None,
    readable: Sequence[Path] = (),
    alone: bool = True,
) -> list[str]:
    """The command to start in `cwd`; `tree` is the user's work tree, in which `.venv/bin/python` lies.

    alone: what lies above `cwd` is absent, and not only forbidden to look into.
    """
    program, *rest = command
    if is_ours(command) and command[2] == PRINTED:
        # as a file: where the package's own folder may not be listed, its name cannot be found
        return [sys.executable, "-P", str(PRINTED_FILE), *command[3:]]
    if is_ours(command) and command[2] == CHECKPOINT and found is not None and found.prefix is not None:
        # with the training's Python: it imports what the training does
        return [str(found.python), "-P", str(Path(str(PRINTED_FILE)).with_name("checkpoint.py")), *command[3:]]
    if is_ours(command) or (program in PYTHON_NAMES and (found is None or found.prefix is None)):
        return [sys.executable, *rest]
    if found is None:
        return list(command)
    if Path(program).name == "uv" and rest[:1] == ["run"]:
        return uv.command_line(command, found, alone)
    if program in CONDAS and rest[:1] == ["run"] and found.prefix is not None:
        return command_line(behind_conda(command), found, cwd, tree, readable, alone)
    if "/" in program:
        return [_placed(program, cwd, tree), *rest]
    if program in PYTHON_NAMES:
        return [str(found.python), *rest]
    place = which(program, found, readable)
    return [str(place) if place is not None else program, *rest]


def which(program: str, found: UserEnvironment | None, readable: Sequence[Path] = ()) -> Path | None:
    """Where a bare name leads in a run; `readable` folders on the person's PATH count too."""
    folders = [*search_path(found)]
    named = (mcp_server.plain(one) for one in os.environ.get("PATH", "").split(os.pathsep) if one)
    folders += [one for one in named if _below(Path(one), readable)]
    for folder in folders:
        place = Path(folder) / program
        if place.is_file() and os.access(place, os.X_OK):
            return place
    return None


def _below(path: Path, places: Sequence[Path]) -> bool:
    return any(path.is_relative_to(place) or path.resolve().is_relative_to(place) for place in places)


def _placed(program: str, cwd: Path, tree: Path | None) -> str:
    """A program given by its path: the snapshot's, else the one in the user's work tree, which git may ignore."""
    path = Path(program).expanduser()
    if not path.is_absolute() and (tree is None or (cwd / path).exists() or not (tree / path).exists()):
        return program
    return mcp_server.plain(str(path if tree is None else tree / path))


def behind_conda(command: Sequence[str]) -> list[str]:
    """What `conda run` would run."""
    rest = list(command[2:])
    while rest and rest[0].startswith("-"):
        valued = rest[0] in ("-n", "--name", "-p", "--prefix", "--cwd")
        rest = rest[2:] if valued else rest[1:]
    return rest or ["python"]


def conda_prefix(command: Sequence[str], environ: Mapping[str, str]) -> Path | None:
    """The folder of the environment that `conda run` names; None where there is none of that name."""
    if command[0] not in CONDAS or list(command[1:2]) != ["run"]:
        return None
    words = [part for word in command[2:] for part in (word.split("=", 1) if word.startswith("--") else [word])]
    for flag, value in pairwise(words):
        if flag in ("-p", "--prefix"):
            return Path(value).expanduser()
        if flag in ("-n", "--name"):
            return next((one for one in _conda_places(value, environ) if one.is_dir()), None)
    return Path(environ["CONDA_PREFIX"]) if environ.get("CONDA_PREFIX") else None


def _conda_places(name: str, environ: Mapping[str, str]) -> list[Path]:
    home = Path(environ.get("HOME") or Path.home())
    roots = [Path(environ[one]) for one in ("MAMBA_ROOT_PREFIX", "CONDA_ROOT", "_CONDA_ROOT") if environ.get(one)]
    if environ.get("CONDA_EXE"):
        roots.append(Path(environ["CONDA_EXE"]).parent.parent)
    roots += [home / one for one in ("miniconda3", "miniforge3", "anaconda3", "mambaforge", "micromamba")]
    places = [Path(one) / name for one in environ.get("CONDA_ENVS_PATH", "").split(os.pathsep) if one]
    places += [root / "envs" / name for root in roots]
    places += roots if name == "base" else []
    listed = text_of(home / ".conda" / "environments.txt").splitlines()
    return places + [Path(one) for one in listed if Path(one).name == name]
