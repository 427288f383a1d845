"""Which environment the commands of an arena run in: one rule, sealed when a campaign begins. Reads files only.

1. An arena that our language-model scorer measures runs on the server's Python: the scorer imports train.py in it.
2. What `run` names: `.venv/bin/python`, `/opt/envs/x/bin/python`, `conda run -n x python`.
3. The repository's own `.venv` (also `venv`, or what UV_PROJECT_ENVIRONMENT names), in this work tree or the main one:
   every client, shell and terminal sees the same one.
4. The activated one: VIRTUAL_ENV, then CONDA_PREFIX.
5. The server's Python.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path

from mcp_server.arena.program import Arena
from mcp_server.nouns.records import UserEnvironment
from mcp_server.programs import environment
from mcp_server.programs.commands import conda_prefix, is_ours
from mcp_server.programs.uv import find_uv, uses_uv, variables

FOLDERS = (".venv", "venv")


def chosen(arena: Arena, tree: Path, main: Path, environ: Mapping[str, str], server_prefix: Path) -> UserEnvironment:
    """The environment for an arena in work tree `tree` of the repository whose first work tree is `main`."""
    found = _chosen(arena, tree, main, environ)
    if found is None or found.prefix is None or found.prefix.resolve() == server_prefix.resolve():
        found = environment.server()
    return with_programs(found, arena, tree, main, environ)


def _chosen(arena: Arena, tree: Path, main: Path, environ: Mapping[str, str]) -> UserEnvironment | None:
    if arena.scores_language_models:
        return None
    named = named_by(shlex.split(arena.run), tree, main, environ)
    if named is not None:
        return named
    trees = _trees(tree, main)
    for folder in dict.fromkeys((tree, main)):
        for name in filter(None, (environ.get("UV_PROJECT_ENVIRONMENT"), *FOLDERS)):
            prefix = folder / Path(name).expanduser()
            if (prefix / "pyvenv.cfg").is_file() or (prefix / "conda-meta").is_dir():
                found = environment.at(prefix, f"the repository's {prefix.name}", *trees)
                if found is not None:
                    return found
    for variable, word in (("VIRTUAL_ENV", "activated"), ("CONDA_PREFIX", "conda")):
        if environ.get(variable):
            found = environment.at(Path(environ[variable]), f"the {word} environment {environ[variable]}", *trees)
            if found is not None:
                return found
    return None


def named_by(command: list[str], tree: Path, main: Path, environ: Mapping[str, str]) -> UserEnvironment | None:
    """The environment that a command names itself; None when it leaves that open."""
    if is_ours(command):
        return None
    prefix = conda_prefix(command, environ)
    if prefix is not None:
        return environment.at(prefix, f"the conda environment {prefix}", *_trees(tree, main))
    if "/" not in command[0]:
        return None
    for folder in dict.fromkeys((tree, main)):
        program = folder / Path(command[0]).expanduser()
        if program.exists():
            return environment.of_program(program, *_trees(tree, main))
    return None


def _trees(tree: Path, main: Path) -> tuple[Path, ...]:
    """The work trees whose files a run has as the snapshot has them; `main` is one where git's folder lies in it."""
    return (tree, main) if (main / ".git").is_dir() else (tree,)


def with_programs(
    found: UserEnvironment, arena: Arena, tree: Path, main: Path, environ: Mapping[str, str]
) -> UserEnvironment:
    """The environment with what single commands need besides: another environment that one of them names, or uv."""
    read, more = list(found.shown), dict(found.variables)
    every = (arena.run, arena.score, *arena.checks)
    for text in () if arena.scores_language_models else every:
        named = named_by(shlex.split(text), tree, main, environ)
        read += named.shown if named is not None else ()
    uv = find_uv(environ) if any(uses_uv(text) for text in every) else None
    if uv is not None:
        more |= variables(found)
        read += [uv] if not environment.in_system(uv) else []
        read += [uv.resolve()] if uv.is_symlink() and not environment.in_system(uv.resolve()) else []
    return found.model_copy(update={"shown": tuple(dict.fromkeys(read)), "variables": more, "uv": uv})
