"""The one question before a campaign, a proof or a diagnosis: would the arena's commands find what they need?"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Collection, Mapping
from pathlib import Path

from mcp_server.arena.program import Arena
from mcp_server.nouns.errors import WorkspaceError
from mcp_server.nouns.records import UserEnvironment
from mcp_server.programs.choose import chosen
from mcp_server.programs.lacks import lacks
from mcp_server.programs.missing import Missing, Place, missing
from mcp_server.programs.readable import shown, sources


def looked_over(
    arena: Arena, tree: Path, main: Path, committed: Callable[[str], bool], environ: Mapping[str, str] = os.environ
) -> tuple[UserEnvironment, list[Missing]]:
    """The environment that would be chosen now, and what the commands of the arena would miss in it."""
    found = chosen(arena, tree, main, environ, Path(sys.prefix))
    places = sources(arena.readable, tree, main)
    place = Place(tree, _never_raising(committed), (*places, *shown(places)))
    lost = [
        Missing("readable", f"This machine lacks {path}. Make it, or take it out of `readable`.", stops=False)
        for path, source in zip(arena.readable, places, strict=True)
        if not source.exists()
    ]
    return found, [*missing(arena, found, place, environ), *lost]


def refuse_missing(arena: Arena, tree: Path, main: Path, committed: Callable[[str], bool]) -> None:
    """Raises WorkspaceError that names all that stops the arena's commands."""
    found, said = looked_over(arena, tree, main, committed)
    stops = [f"program.md, {one}" for one in said if one.stops]
    if stops:
        raise WorkspaceError("\n".join([*stops, f"`python` would be {found.words()}. Nothing was started."]))


def foreseen(arena: Arena, tree: Path, main: Path, texts: Mapping[str, bytes], own: Collection[str]) -> list[str]:
    """What the code of a first run will ask for in vain, as far as its text tells; it may know better.

    texts: the editable files, by path. own: all files of the commit.
    """
    code = [content.decode("utf-8", "replace") for path, content in texts.items() if path.endswith(".py")]
    return lacks(code, chosen(arena, tree, main, os.environ, Path(sys.prefix)), tree, own)


def _never_raising(committed: Callable[[str], bool]) -> Callable[[str], bool]:
    def asked(path: str) -> bool:
        try:
            return committed(path)
        except (WorkspaceError, OSError, ValueError):  # a word that cannot be a path of the repository
            return False

    return asked
