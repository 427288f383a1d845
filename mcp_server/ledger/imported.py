"""The table of imported attempts: what logs of other tools tell. Searched with the lab's own, and never counted so."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from dataclasses import asdict

from mcp_server.ledger.lessons import Lessons
from mcp_server.nouns.rows import Imported

PLACE = "@imported"  # in place of a campaign; no tag begins so
_COLUMNS = tuple(name for name in Imported.__dataclass_fields__ if name != "id")


class Histories(Lessons):
    """Attempts of origin `imported`."""

    def add_imported(self, rows: Sequence[Imported]) -> int:
        """Remember attempts, as one fact; those that are known already stay as they are. How many were new."""
        new = 0
        with self._fact():
            for row in rows:
                values = {**asdict(row), "knobs": json.dumps(row.knobs)}
                cursor = self._db.execute(
                    f"INSERT OR IGNORE INTO imported ({', '.join(_COLUMNS)})"
                    f" VALUES ({', '.join(':' + name for name in _COLUMNS)})",
                    values,
                )
                if cursor.rowcount and cursor.lastrowid is not None:
                    new += 1
                    moved = " ".join(f"{name} {before} {after}" for name, before, after in row.knobs)
                    self._index(f"{row.description}\n{row.reasoning}\n{moved}", "experiment", PLACE, cursor.lastrowid)
        return new

    def imported_count(self) -> int:
        return int(self._rows("SELECT count(*) FROM imported")[0][0])

    def imported_digests(self) -> set[str]:
        return {row[0] for row in self._rows("SELECT digest FROM imported")}

    def imported_with(self, keys: Sequence[int], knobs: Sequence[str], limit: int) -> list[Imported]:
        """The attempts named, and the newest that moved one of the constants; oldest first."""
        marks = ",".join("?" for _ in keys)
        moved = " OR ".join("instr(lower(knobs), lower(?))" for _ in knobs) or "0"
        rows = self._rows(
            f"SELECT * FROM imported WHERE id IN ({marks}) UNION"
            f" SELECT * FROM (SELECT * FROM imported WHERE {moved} ORDER BY id DESC LIMIT ?) ORDER BY id",
            *keys,
            *knobs,
            limit,
        )
        return [_imported(row) for row in rows]


def _imported(row: sqlite3.Row) -> Imported:
    return Imported(**{**dict(row), "knobs": tuple(tuple(one) for one in json.loads(row["knobs"]))})
