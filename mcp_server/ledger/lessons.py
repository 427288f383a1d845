"""The table of learnings, and the words by which experiments and learnings are found."""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Sequence

from mcp_server.ledger.store import Store
from mcp_server.nouns.rows import Learning


def matching(query: str) -> str:
    """Any text as a question to a word index: any of its words, or one that begins so; "" where it has none."""
    return " OR ".join(f'"{word}"*' for word in re.findall(r"\w+", query.lower())[:32])


class Lessons(Store):
    """Learnings and words."""

    def add_learning(
        self, campaign: str | None, experiment: int | None, text: str, tags: Sequence[str], source: str, at: str
    ) -> int:
        with self._fact():
            key = self._db.execute(
                "INSERT INTO learnings (campaign, experiment, text, tags, source, at) VALUES (?,?,?,?,?,?)",
                (campaign, experiment, text, json.dumps(list(tags)), source, at),
            ).lastrowid
            assert key is not None
            self._index(text + "\n" + " ".join(tags), "learning", campaign or "", key)
        return key

    def learnings(self, *, last: int | None = None) -> list[Learning]:
        """Oldest first; only the last few when asked."""
        rows = self._rows("SELECT * FROM learnings ORDER BY id DESC LIMIT ?", -1 if last is None else last)
        return [_learning(row) for row in reversed(rows)]

    def count_learnings(self) -> int:
        return int(self._rows("SELECT count(*) FROM learnings")[0][0])

    def learnings_sharing(self, pieces: Sequence[str], newest: int) -> list[Learning]:
        """The learnings that have one of these pieces of text word for word, and the newest, oldest first."""
        match = " OR ".join('"' + piece.replace('"', " ") + '"' for piece in pieces)
        found = self._rows("SELECT key FROM words WHERE words MATCH ? AND kind = 'learning'", match) if match else []
        return self.learnings_with([int(row["key"]) for row in found], newest)

    def learnings_with(self, keys: Sequence[int], newest: int) -> list[Learning]:
        """The learnings named and the newest, oldest first."""
        marks = ",".join("?" for _ in keys)
        rows = self._rows(
            f"SELECT * FROM learnings WHERE id IN ({marks}) OR id > (SELECT coalesce(max(id), 0) FROM "
            "learnings) - ? ORDER BY id",
            *keys,
            newest,
        )
        return [_learning(row) for row in rows]

    def learnings_of(self, campaign: str, experiment: int) -> list[Learning]:
        return [
            _learning(row)
            for row in self._rows(
                "SELECT * FROM learnings WHERE campaign = ? AND experiment = ? ORDER BY id", campaign, experiment
            )
        ]

    def lessons_by_experiment(self, keys: Sequence[tuple[str, int]]) -> dict[tuple[str, int], list[str]]:
        """What was learned from each of many experiments, asked at once."""
        found: dict[tuple[str, int], list[str]] = {}
        if keys:
            rows = self._rows(
                f"WITH wanted (campaign, experiment) AS (VALUES {', '.join('(?, ?)' for _ in keys)})"
                " SELECT campaign, experiment, text FROM wanted JOIN learnings USING (campaign, experiment)"
                " ORDER BY id",
                *(value for key in keys for value in key),
            )
            for row in rows:
                found.setdefault((row["campaign"], row["experiment"]), []).append(row["text"])
        return found

    def _index(self, text: str, kind: str, campaign: str, key: int) -> None:
        self._db.execute(
            "INSERT INTO words (text, kind, campaign, key) VALUES (?,?,?,?)", (text, kind, campaign, str(key))
        )

    def search(self, query: str, limit: int = 50) -> list[tuple[str, str, int, float]]:
        """(kind, campaign, key, nearness) by words, best first; the nearest has 1. Any text is a query."""
        match = matching(query)
        columns = "kind, campaign, key, bm25(words) AS rank"
        question = f"SELECT {columns} FROM words WHERE words MATCH ? ORDER BY rank LIMIT ?"
        rows = self._rows(question, match, limit) if match else []
        return [(row["kind"], row["campaign"], int(row["key"]), row["rank"] / rows[0]["rank"]) for row in rows]

    def views_stamp(self, campaign: str) -> tuple[str, str]:
        """What changes whenever the table or the chart of this campaign would show something else, and its lessons."""
        row = self._rows(
            "SELECT (SELECT max(turn) FROM experiments WHERE campaign = ?1), (SELECT count(*) FROM experiments"
            " WHERE campaign = ?1 AND decision IS NOT NULL AND settled = 0),"
            # the plus keeps the planner on the label's index
            " (SELECT count(*) FROM experiments WHERE label = 'confirmed' AND +campaign = ?1),"
            " (SELECT count(*) FROM exams WHERE result IS NOT NULL),"
            # an incumbent is measured again after its decision, for somebody else's
            " (SELECT ticket FROM runs WHERE run > 1 ORDER BY ticket DESC LIMIT 1), (SELECT count(*) FROM runs WHERE "
            "run > 1 AND state IN ('queued', 'running', 'pending')), (SELECT max(id) FROM learnings)",
            campaign,
        )[0]
        *tables, lesson = (str(value) for value in row)
        return f"{campaign} {' '.join(tables)}", lesson


def _learning(row: sqlite3.Row) -> Learning:
    return Learning(
        row["id"],
        row["campaign"],
        row["experiment"],
        row["text"],
        tuple(json.loads(row["tags"])),
        row["source"],
        row["at"],
    )
