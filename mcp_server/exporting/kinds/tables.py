"""What the three kinds of table files share: rows that stand in the file already, by their id, and its replacement.

Several campaigns and labs may go into one file: rows of others stay where they are.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from mcp_server.exporting.done import Done
from mcp_server.exporting.rows import Row
from mcp_server.nouns.errors import NotNow
from mcp_server.nouns.files import write_atomically

Record = Mapping[str, Any]


def into_file(
    where: str,
    rows: Sequence[Row],
    shape: Callable[[Row], Record],
    parse: Callable[[bytes], list[Record]],
    write: Callable[[list[Record]], bytes],
) -> Done:
    """Replace the file, if anything in it changes. Raises NotNow for one that is no export, or cannot be written."""
    path = Path(where)
    fresh = {row.id: shape(row) for row in rows}
    try:
        before = path.read_bytes() if path.exists() else b""
        old = _known(path, before, parse)
        wanted = {**old, **fresh}
        content = write(list(wanted.values()))
        if content != before:
            path.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(path, content)
    except OSError as error:
        raise NotNow(f"{path} cannot be written: {error.strerror or error}. Name another place with --out.") from None
    # compared as the file has them: the text of a CSV says nothing of types, and leaves out what is empty
    same = sum(
        name in old and write([{**dict.fromkeys(one), **old[name]}]) == write([one]) for name, one in fresh.items()
    )
    new = len(set(fresh) - set(old))
    return Done(str(path), new, len(fresh) - new - same, same)


def ours(names: Collection[str]) -> None:
    """Raises ValueError where these are not the names of an export."""
    if not {"id", "lab", "campaign", "experiment"} <= set(names):
        raise ValueError


def _known(path: Path, content: bytes, parse: Callable[[bytes], list[Record]]) -> dict[str, Record]:
    if not content:
        return {}
    try:
        found = parse(content)
        for one in found:
            ours(one)
        return {str(one["id"]): one for one in found}
    except (ValueError, KeyError, TypeError, AttributeError):
        raise NotNow(
            f"{path} is there and is no export of ours: nothing was written. Name another file with --out."
        ) from None
