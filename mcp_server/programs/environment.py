"""One Python environment as it lies on the disk: a venv, a conda prefix, an installation. Read, never run.

What `pyvenv.cfg` and `.pth` files name is believed only where it looks like a Python installation or a folder of
packages, and never when it would show a run the user's home, the repository or anything above them.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from mcp_server import plain
from mcp_server.nouns.files import text_of
from mcp_server.nouns.records import UserEnvironment
from mcp_server.runner.sandbox.confinement import SYSTEM

PYTHONS = ("python", "python3")
MOST_PTH_BYTES = 65_536


def server() -> UserEnvironment:
    """The interpreter that this very program runs on."""
    return UserEnvironment(source="the server's Python", prefix=None, python=Path(sys.executable))


def at(prefix: Path, source: str, *trees: Path) -> UserEnvironment | None:
    """The environment in `prefix`, for the repository with these work trees; None where no Python could start."""
    prefix = Path(plain(str(prefix)))  # `run: ../env/bin/python`, VIRTUAL_ENV=env
    python = next((prefix / "bin" / name for name in PYTHONS if os.access(prefix / "bin" / name, os.X_OK)), None)
    if python is None:
        return None
    read = [prefix, *_bases(prefix, python)]
    trees = tuple(dict.fromkeys(place for tree in trees for place in (tree, tree.resolve())))
    outside, inside = _linked(prefix, trees)
    kind = "CONDA_PREFIX" if (prefix / "conda-meta").is_dir() else "VIRTUAL_ENV"
    return UserEnvironment(
        source=source,
        prefix=prefix,
        python=python,
        shown=tuple(dict.fromkeys(path for path in (*read, *outside) if _showable(path, trees) or path == prefix)),
        sources=tuple(inside),
        variables={kind: str(prefix)},
    )


def of_program(program: Path, *trees: Path) -> UserEnvironment | None:
    """The environment whose `bin` holds this program; None for a program that belongs to none."""
    program = Path(plain(str(program)))
    prefix = program.parent.parent
    if program.parent.name != "bin":
        return None
    if (prefix / "pyvenv.cfg").is_file() or (prefix / "conda-meta").is_dir():
        return at(prefix, f"the environment that program.md names, {prefix}", *trees)
    if program.name.startswith("python") and _is_installation(prefix) and not in_system(program):
        found = at(prefix, f"the Python that program.md names, {program}", *trees)
        return found.model_copy(update={"python": program, "variables": {}}) if found else None
    return None


def in_system(path: Path) -> bool:
    """Whether every run sees it already."""
    return any(path.is_relative_to(place) for place in SYSTEM)


def settings(prefix: Path) -> dict[str, str]:
    """What `pyvenv.cfg` says; empty for what is no venv."""
    text = text_of(prefix / "pyvenv.cfg")[:MOST_PTH_BYTES]
    pairs = (line.partition("=") for line in text.splitlines())
    return {name.strip().lower(): value.strip() for name, _, value in pairs if value}


def _bases(prefix: Path, python: Path) -> Iterator[Path]:
    """The installations that a venv borrows its standard library from, by every name that leads there."""
    homes = [Path(settings(prefix).get("home", ""))]
    for _ in range(8):  # a link to a link, as pyenv, uv and Homebrew make them
        if not python.is_symlink():
            break
        python = python.parent / os.readlink(python)
        homes.append(Path(os.path.normpath(python)).parent)
    homes.append(python.resolve().parent)
    for home in homes:
        base = home.parent
        if home.name == "bin" and base.is_absolute() and not in_system(base) and _is_installation(base):
            yield from (base, base.resolve())


def _is_installation(base: Path) -> bool:
    return any(base.glob("lib*/python3*/os.py"))


def _linked(prefix: Path, trees: Sequence[Path]) -> tuple[list[Path], list[str]]:
    """Folders that `.pth` files add: outside of the repository, and those of the repository itself by relative path.

    An editable install of the repository, in whichever of its work trees, would show a run the user's files of now in
    place of the snapshot's.
    """
    outside: list[Path] = []
    inside: list[str] = []
    for file in sorted(prefix.glob("lib*/python3*/site-packages/*.pth")):
        for line in file.read_text("utf-8", errors="replace")[:MOST_PTH_BYTES].splitlines():
            if not line.startswith("/"):
                # a finder in place of a path; one of the two is where packages lie
                inside += [".", "src"] if "__editable__" in line else []
                continue
            place = Path(plain(line.strip()))
            tree = next((one for one in trees if place.is_relative_to(one)), None)
            if tree is not None and not place.is_relative_to(prefix):
                inside.append(place.relative_to(tree).as_posix())
            elif _holds_packages(place):
                outside.append(place)
    return outside, list(dict.fromkeys(inside))


def _holds_packages(place: Path) -> bool:
    """Whether Python could import from a folder: whoever may write a `.pth` would let a run read anything else."""
    with contextlib.suppress(OSError):
        names = *(f"{'*/' * deep}*.py" for deep in range(4)), "*.so", "*/*.so"
        return any(next(place.glob(name), None) for name in names)
    return False


def _showable(path: Path, trees: Sequence[Path]) -> bool:
    """Whether a run may be shown this folder for the sake of an environment: by its name, and by what that leads to."""
    kept = (Path.home(), Path.home().resolve(), *trees)
    return not any(one == own or one in own.parents for one in (path, path.resolve()) for own in kept)
