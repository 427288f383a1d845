"""What an export did, and how it asks for the library of its target."""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from mcp_server.exporting.rows import Row
from mcp_server.nouns.errors import NotNow
from mcp_server.programs.installed import with_extra


@dataclass(frozen=True)
class Done:
    """How many attempts were not there before, had changed, or stood there as they are; and where all of them are."""

    where: str
    new: int = 0
    updated: int = 0
    unchanged: int = 0
    look: str = ""  # how one looks at them


def sorted_out(rows: Iterable[Row], known: Mapping[str, str]) -> tuple[list[Row], list[Row], int]:
    """New rows, changed ones, and how many are there already. known: digests by id."""
    rows = list(rows)
    new = [row for row in rows if row.id not in known]
    changed = [row for row in rows if known.get(row.id, row.digest) != row.digest]
    return new, changed, len(rows) - len(new) - len(changed)


def library(module: str, extra: str) -> Any:
    """A library that an extra brings. Raises NotNow that names the extra."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise NotNow(
            f"This needs the extra `{extra}`, whose library cannot be imported here ({error}). "
            f"Run `{with_extra(extra)}`."
        ) from None
