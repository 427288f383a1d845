"""Deliberate harm and improvement, as variants of the editable files. Pure.

Harm that nobody has to think of: less work, constants far from where they were, most of a text gone. The user's own
better and worse versions are files, folders, patches or values of constants.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from mcp_server.edits.movable import Move, constants, edited
from mcp_server.nouns.errors import NotNow
from mcp_server.proving.attacks import WORK, Sources, in_python, moved

MOST = 5  # harms that are worth trying before one gives up
NUMBER = re.compile(r"(?<![\w.])-?\d+(?:\.\d+)?(?![\w.])")
VALUES = re.compile(r"\s*[A-Z][A-Z0-9_]*\s*=[^=].*")


def harmed(sources: Sources) -> list[tuple[str, dict[str, bytes]]]:
    """Harms to try, the likeliest first: what was done, and the files."""
    return list(_harms(sources))[:MOST]


def _harms(sources: Sources) -> Iterator[tuple[str, dict[str, bytes]]]:
    found: list[tuple[str, dict[str, bytes]]] = []
    found += list(moved(sources, WORK, 0.1))[:2]
    # far away, but not where a run would only take forever
    for place, factor in enumerate((0.1, -10.0, 10.0, 0.4)):
        options = list(moved(sources, ("",), factor))
        found += options[place % len(options) :][:1] if options else []  # each on another constant, if there are some
    for name, content in sources.items():
        if name in in_python(sources):
            continue
        try:
            text = content.decode()
        except UnicodeDecodeError:
            continue
        words = text.split(" ")
        if name.endswith((".json", ".yaml", ".yml", ".toml", ".ini", ".cfg", ".csv")):
            if NUMBER.search(text):
                tenfold = NUMBER.sub(lambda number: str(float(number[0]) * 10).removesuffix(".0"), text)
                found.append((f"every number of {name} tenfold", {**sources, name: tenfold.encode()}))
        elif len(words) > 3:
            found.append((f"a quarter of {name} left", {**sources, name: " ".join(words[: len(words) // 4]).encode()}))
    seen = []
    for said, files in found:
        if files not in seen:
            seen.append(files)
            yield said, files


def as_told(sources: Sources, told: str, folder: Path) -> dict[str, bytes] | Path:
    """The user's version: NAME=VALUE[,NAME=VALUE], or a path. A patch comes back as its path, for git to apply.

    Raises NotNow with what is allowed.
    """
    path = folder / told
    if path.is_dir():
        return {**sources, **_of_folder(sources, path)}
    if path.is_file():
        if path.suffix in (".patch", ".diff"):
            return path
        text = path.read_text("utf-8", errors="replace").strip()
        if text and all(VALUES.fullmatch(line) for line in text.splitlines()) and path.suffix == ".txt":
            return with_values(sources, dict(_pairs(text.splitlines())))
        names = [name for name in sources if Path(name).suffix == path.suffix]
        same = [name for name in names if Path(name).name == path.name]
        if len(same or names) != 1:
            raise NotNow(
                f"{told} could stand for {', '.join(names) or 'no editable file'}. Give a folder with the editable "
                "files as they should be, a .patch, or a file of the same name as the one it replaces."
            )
        return {**sources, (same or names)[0]: path.read_bytes()}
    if VALUES.fullmatch(told):
        return with_values(sources, dict(_pairs(told.split(","))))
    raise NotNow(f"There is no {told}. Give a file, a folder, a .patch, or values such as RATE=0.1,DEPTH=4.")


def _of_folder(sources: Sources, folder: Path) -> Mapping[str, bytes]:
    found = {name: (folder / name).read_bytes() for name in sources if (folder / name).is_file()}
    if not found:
        raise NotNow(
            f"{folder} holds none of the editable files ({', '.join(sources)}). Lay them there by their paths."
        )
    return found


def _pairs(parts: list[str]) -> Iterator[tuple[str, str]]:
    for part in parts:
        if part.strip():
            name, _, value = part.partition("=")
            yield name.strip(), value.strip()


def with_values(sources: Sources, values: Mapping[str, str]) -> dict[str, bytes]:
    """The Python files with constants set. Raises NotNow that names one that is not there."""
    changed, missing = dict(sources), set(values)
    for name, source in in_python(sources).items():
        moves = [Move(one.name, one.text, values[one.name]) for one in constants(source) if one.name in values]
        missing -= {move.name for move in moves}
        changed[name] = edited(source, moves).encode()
    if missing:
        raise NotNow(f"No editable Python file has the constant {', '.join(sorted(missing))} as a plain number.")
    return changed
