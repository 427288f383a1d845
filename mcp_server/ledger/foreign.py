"""What other labs tried, as a database of its own: read from their journals, and made again from them when it is lost.

One row an attempt, newest correction first; constants with their directions beside it; words for searching. Nothing in
it is an acknowledged fact of this lab, so it is written without waiting for the disk, and thrown away when damaged.
"""

from __future__ import annotations

import contextlib
import json
import sqlite3
import weakref
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mcp_server.ledger.lessons import matching
from mcp_server.ledger.store import transaction
from mcp_server.nouns.exchanged import Attempt
from mcp_server.nouns.files import mend, private_file, private_folder

VERSION = 7  # of the schema below: another one is made anew
SCHEMA = """
CREATE TABLE labs (
    lab TEXT PRIMARY KEY, tip TEXT NOT NULL, name TEXT NOT NULL DEFAULT '', own INTEGER NOT NULL DEFAULT 0,
    hidden INTEGER NOT NULL DEFAULT 0,   -- distrusted: kept, and shown nowhere
    forked TEXT NOT NULL DEFAULT '',     -- the other tip, when its owner has signed two histories
    fresh_at TEXT NOT NULL DEFAULT ''    -- when something new was last read
) STRICT;
CREATE TABLE records (
    id INTEGER PRIMARY KEY, lab TEXT NOT NULL, n INTEGER NOT NULL, rev INTEGER NOT NULL,
    mark TEXT NOT NULL, contract TEXT NOT NULL, code TEXT NOT NULL, edit TEXT NOT NULL, status TEXT NOT NULL,
    label TEXT NOT NULL, theme TEXT NOT NULL, machine TEXT NOT NULL, line TEXT NOT NULL,
    measured INTEGER NOT NULL, helped INTEGER NOT NULL, failed INTEGER NOT NULL, gain REAL, deviation REAL,
    repeats TEXT NOT NULL,               -- LAB/n of the attempt elsewhere that it repeats
    UNIQUE (lab, n)
) STRICT;
CREATE INDEX records_by_code ON records (code);
CREATE INDEX records_by_edit ON records (edit);
CREATE INDEX records_by_repeated ON records (repeats) WHERE repeats != '';
CREATE INDEX records_by_mark ON records (lab, mark);
CREATE INDEX records_by_contract ON records (contract);
CREATE INDEX records_by_lab ON records (contract, lab);
CREATE INDEX records_that_helped ON records (contract, edit) WHERE helped = 1;
CREATE TABLE moved (
    record INTEGER NOT NULL REFERENCES records (id) ON DELETE CASCADE, contract TEXT NOT NULL, name TEXT NOT NULL,
    direction TEXT NOT NULL, before REAL, after REAL, alone INTEGER NOT NULL,
    -- of its record: what is pooled is read here, where a row is short
    lab TEXT NOT NULL, machine TEXT NOT NULL, measured INTEGER NOT NULL, helped INTEGER NOT NULL,
    failed INTEGER NOT NULL, gain REAL, deviation REAL
) STRICT;
CREATE INDEX moved_by_record ON moved (record);
CREATE INDEX moved_by_constant ON moved (contract, name, direction);
CREATE INDEX moved_by_name ON moved (name COLLATE NOCASE);
CREATE TABLE seen (lab TEXT NOT NULL, n INTEGER NOT NULL, rev INTEGER NOT NULL, line TEXT NOT NULL,
    PRIMARY KEY (lab, n, rev)) STRICT, WITHOUT ROWID;
CREATE TABLE posts (
    id INTEGER PRIMARY KEY, lab TEXT NOT NULL, p INTEGER NOT NULL, mark TEXT NOT NULL, contract TEXT NOT NULL,
    day TEXT NOT NULL, line TEXT NOT NULL, UNIQUE (lab, p)
) STRICT;
CREATE TABLE held (lab TEXT NOT NULL, n INTEGER, why TEXT NOT NULL) STRICT;
CREATE TABLE refused (lab TEXT NOT NULL, tip TEXT NOT NULL, why TEXT NOT NULL, PRIMARY KEY (lab, tip)) STRICT;
CREATE TABLE notes (name TEXT PRIMARY KEY, text TEXT NOT NULL) STRICT;
CREATE VIRTUAL TABLE words USING fts5 (text, tokenize = 'porter unicode61');
"""


HELD_FOR_ITS_DATE = "its date is "  # and the day
UNUSABLE = (sqlite3.Error, OSError)  # what a reader meets where the file cannot be used
# a lab that signed two histories is kept and counts for nothing, like one that the user distrusts
_SHOWN = "labs.hidden = 0 AND labs.forked = ''"


# (constant, direction, before, after) of each constant that an attempt moved; numbers where they are such
Moved = Sequence[tuple[str, str, float | None, float | None]]


@dataclass(frozen=True)
class Known:
    """One attempt of some lab, with whose it is."""

    lab: str
    own: bool
    attempt: Attempt


@dataclass(frozen=True)
class Pooled:
    """All attempts that moved one constant one way, and nothing else with it. Gains are positive when better."""

    name: str
    way: str
    tried: int  # with a measured gain
    helped: int
    failed: int  # crashed, timed out or rejected
    labs: int
    machines: int
    gain: float | None  # mean, each weighed by its own width where all have one
    error: float | None  # its standard error
    starts: tuple[float, float] | None  # lowest and highest value before
    ends: tuple[float, float] | None
    newest: int  # place of the newest record


@dataclass(frozen=True)
class LabRow:
    """One lab as its journal tells."""

    lab: str
    name: str
    own: bool
    forked: str
    fresh_at: str
    attempts: int


class Foreign:
    """An open database of records. Safe for many processes; a reader never waits for a writer."""

    def __init__(self, path: Path) -> None:
        self.path = path
        private_folder(path.parent)
        try:
            self._open()
            if self._db.execute("PRAGMA user_version").fetchone()[0] != VERSION:
                self._anew()
        except sqlite3.OperationalError:  # busy, a full disk, no rights: nothing that is damaged
            raise
        except sqlite3.DatabaseError:
            self._anew()

    def _open(self) -> None:
        private_file(self.path)
        mend(*(self.path.with_name(self.path.name + ending) for ending in ("-wal", "-shm")))
        self._db = sqlite3.connect(self.path, timeout=10.0, isolation_level=None, check_same_thread=False)
        weakref.finalize(self, self._db.close).atexit = False
        self._db.row_factory = sqlite3.Row
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = NORMAL")
        self._db.execute("PRAGMA foreign_keys = ON")

    def _anew(self) -> None:
        """An empty database: everything in it is read again from the journals."""
        with contextlib.suppress(AttributeError, sqlite3.Error):
            self._db.close()
        for ending in ("", "-wal", "-shm"):
            self.path.with_name(self.path.name + ending).unlink(missing_ok=True)
        self._open()
        with self.writing():
            if self._db.execute("PRAGMA user_version").fetchone()[0] == VERSION:
                return  # another process was first
            for statement in SCHEMA.split(";\n"):
                if statement.strip():
                    self._db.execute(statement)
            self._db.execute(f"PRAGMA user_version = {VERSION}")

    def close(self) -> None:
        self._db.close()

    def writing(self) -> AbstractContextManager[None]:
        """One transaction: all of it or nothing."""
        return transaction(self._db)

    def _rows(self, sql: str, *values: Any) -> list[sqlite3.Row]:
        return self._db.execute(sql, values).fetchall()

    # --- what came in -------------------------------------------------------------------------------------------------

    def take(
        self,
        lab: str,
        tip: str,
        attempts: Sequence[tuple[Attempt, Moved]],
        held: Sequence[tuple[int | None, str]],
        *,
        name: str | None = None,
        own: bool = False,
        at: str = "",
    ) -> None:
        """What is new in one journal, and how far it was read: call within `writing`."""
        self._db.execute(
            "INSERT INTO labs (lab, tip, own, fresh_at) VALUES (?1, ?2, ?3, ?4) ON CONFLICT (lab) DO UPDATE SET"
            " tip = ?2, own = ?3, fresh_at = ?4",
            (lab, tip, own, at),
        )
        if name is not None:
            self._db.execute("UPDATE labs SET name = ? WHERE lab = ?", (name, lab))
        for attempt, moved in attempts:
            self._put(lab, attempt, moved)
        self._db.executemany("INSERT INTO held VALUES (?, ?, ?)", [(lab, n, why) for n, why in held])

    def _put(self, lab: str, a: Attempt, moved: Moved) -> None:
        line = a.whole().decode()
        self._db.execute("INSERT OR IGNORE INTO seen VALUES (?, ?, ?, ?)", (lab, a.n, a.rev, line))
        before = self._rows("SELECT id, rev FROM records WHERE lab = ? AND n = ?", lab, a.n)
        if before and before[0]["rev"] >= a.rev:
            return
        if before:
            self._db.execute("DELETE FROM words WHERE rowid = ?", (before[0]["id"],))
            self._db.execute("DELETE FROM records WHERE id = ?", (before[0]["id"],))
        gain, deviation = (a.gain, a.deviation) if a.compared else (None, None)
        measured = (a.compared, a.helped, a.failed, gain, deviation)
        row = self._db.execute(
            "INSERT INTO records (lab, n, rev, mark, contract, code, edit, status, label, theme, machine, line,"
            " measured, helped, failed, gain, deviation, repeats)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                *(lab, a.n, a.rev, a.mark, a.contract, a.code, a.edit, a.status, a.label, a.theme, a.machine, line),
                *measured,
                a.of,
            ),
        ).lastrowid
        self._db.executemany(
            f"INSERT INTO moved VALUES ({', '.join('?' * 14)})",
            [(row, a.contract, *one, len(moved) == 1, lab, a.machine, *measured) for one in moved],
        )
        said = " ".join(f"{name} {was} {now}" for name, was, now in a.knobs)
        text = f"{a.text}\n{a.lesson}\n{said}\n{a.theme}"
        self._db.execute("INSERT INTO words (rowid, text) VALUES (?, ?)", (row, text))

    def line(self, lab: str, n: int, rev: int) -> bytes | None:
        """The line that was taken for a number, if any."""
        rows = self._rows("SELECT line FROM seen WHERE lab = ? AND n = ? AND rev = ?", lab, n, rev)
        return rows[0]["line"].encode() if rows else None

    def refuse(self, lab: str, tip: str, why: str) -> None:
        self._db.execute("INSERT OR REPLACE INTO refused VALUES (?, ?, ?)", (lab, tip, why))

    def refused(self) -> dict[tuple[str, str], str]:
        """Why a tip was not taken, by lab and tip: it is not fetched again."""
        return {(row["lab"], row["tip"]): row["why"] for row in self._rows("SELECT * FROM refused")}

    def fork(self, lab: str, other: str) -> None:
        self._db.execute("UPDATE labs SET forked = ? WHERE lab = ?", (other, lab))

    def forget(self, lab: str) -> None:
        """Everything of one lab; its journal may be read again."""
        self._db.execute(
            "DELETE FROM words WHERE rowid IN (SELECT id FROM records WHERE lab = ?)",
            (lab,),
        )
        for table in ("records", "posts", "seen", "held", "labs"):
            self._db.execute(f"DELETE FROM {table} WHERE lab = ?", (lab,))

    def hide(self, labs: Sequence[str]) -> None:
        """Exactly these labs are not shown."""
        marks = ",".join("?" for _ in labs)
        self._db.execute(f"UPDATE labs SET hidden = lab IN ({marks})", tuple(labs))

    def note(self, name: str, text: str) -> None:
        self._db.execute("INSERT OR REPLACE INTO notes VALUES (?, ?)", (name, text))

    def noted(self, name: str) -> str | None:
        rows = self._rows("SELECT text FROM notes WHERE name = ?", name)
        return rows[0]["text"] if rows else None

    # --- what is known ------------------------------------------------------------------------------------------------

    def tips(self) -> dict[str, str]:
        """How far each journal was read."""
        return {row["lab"]: row["tip"] for row in self._rows("SELECT lab, tip FROM labs")}

    def labs(self) -> list[LabRow]:
        rows = self._rows(
            "SELECT lab, name, own, forked, fresh_at,"
            " (SELECT count(*) FROM records WHERE records.lab = labs.lab) AS attempts FROM labs ORDER BY own DESC, lab"
        )
        return [
            LabRow(row["lab"], row["name"], bool(row["own"]), row["forked"], row["fresh_at"], row["attempts"])
            for row in rows
        ]

    def held(self, lab: str) -> list[tuple[int | None, str]]:
        return [(row["n"], row["why"]) for row in self._rows("SELECT n, why FROM held WHERE lab = ?", lab)]

    def ripe(self, latest: str) -> set[str]:
        """Labs with lines that were held back for a date that is no future any more."""
        rows = self._rows(
            "SELECT DISTINCT lab FROM held WHERE why >= ?1 || '2020' AND why < ?1 || ?2",  # days that are wholly over
            HELD_FOR_ITS_DATE,
            latest,
        )
        return {row["lab"] for row in rows}

    def labels(self, lab: str) -> dict[str, str]:
        """The label of every attempt that a lab kept, by its mark."""
        rows = self._rows("SELECT mark, label FROM records WHERE lab = ? AND status = 'kept'", lab)
        return {row["mark"]: row["label"] for row in rows}

    def by_mark(self, lab: str, marks: Sequence[str]) -> dict[str, Attempt]:
        """A lab's attempts, by mark."""
        found: dict[str, Attempt] = {}
        for start in range(0, len(marks), 500):
            some = marks[start : start + 500]
            rows = self._rows(
                f"SELECT mark, line FROM records WHERE lab = ? AND mark IN ({','.join('?' for _ in some)})", lab, *some
            )
            found.update({row["mark"]: _attempt(row["line"]) for row in rows})
        return found

    def last(self, lab: str) -> int:
        """The highest number that a lab has given."""
        return int(self._rows("SELECT coalesce(max(n), 0) AS n FROM records WHERE lab = ?", lab)[0]["n"])

    def count(self) -> tuple[int, int]:
        """(labs, attempts) that are shown."""
        row = self._rows(
            f"SELECT count(DISTINCT lab) AS labs, count(*) AS records FROM records JOIN labs USING (lab) WHERE {_SHOWN}"
        )[0]
        return row["labs"], row["records"]

    def lately(self, since: str) -> int:
        """Labs of which something new was read after a moment, our own included."""
        return int(self._rows(f"SELECT count(*) AS n FROM labs WHERE {_SHOWN} AND fresh_at >= ?", since)[0]["n"])

    def same_code(self, contract: str, code: str) -> list[Known]:
        """Attempts elsewhere of exactly this code, those with a score first."""
        best_first = "contract = ? AND code = ? AND own = 0 ORDER BY status IN ('kept', 'discarded') DESC"
        return self._known(best_first, contract, code)

    def moved_so(self, contract: str, name: str, way: str) -> list[Known]:
        """Attempts elsewhere that moved a constant this way and nothing else."""
        return self._known(
            "own = 0 AND records.id IN (SELECT record FROM moved WHERE contract = ? AND name = ? AND direction = ?"
            " AND alone = 1)",
            contract,
            name,
            way,
        )

    def attempt(self, lab: str, n: int) -> Known | None:
        rows = self._known("records.lab = ? AND n = ?", lab, n)
        return rows[0] if rows else None

    def pooled(self, contract: str, name: str = "", way: str = "", *, others: bool = False) -> list[Pooled]:
        """One row for each constant and direction of a contract, or for the one named. others: without our own."""
        more = (" AND moved.name = ?2 AND direction = ?3" if name else "") + (" AND own = 0" if others else "")
        rows = self._rows(
            "SELECT moved.name AS name, direction,"
            " sum(measured) AS tried, sum(helped) AS helped, sum(failed) AS failed,"
            " count(DISTINCT moved.lab) AS labs, count(DISTINCT nullif(machine, '')) AS machines,"
            " sum(gain / (deviation * deviation)) AS weighed, sum(1 / (deviation * deviation)) AS weight,"
            " count(deviation) AS widths, avg(gain) AS mean, avg(gain * gain) AS square,"
            " min(before) AS low, max(before) AS high, min(after) AS lower, max(after) AS higher, max(record) AS newest"
            " FROM moved JOIN labs USING (lab)"
            f" WHERE moved.contract = ?1 AND alone = 1 AND measured + failed > 0 AND {_SHOWN}{more}"
            " GROUP BY moved.name, direction ORDER BY newest",
            contract,
            *((name, way) if name else ()),
        )
        return [_pooled(row) for row in rows]

    def constants(self) -> list[str]:
        """Every constant that anybody moved."""
        return [row["name"] for row in self._rows("SELECT DISTINCT name FROM moved")]

    def all_contracts(self) -> list[str]:
        """Of every record, shown or not."""
        return [row["contract"] for row in self._rows("SELECT DISTINCT contract FROM records")]

    def labs_by_contract(self) -> dict[str, tuple[int, int]]:
        """(labs, attempts) of each contract."""
        rows = self._rows(
            "SELECT contract, count(DISTINCT lab) AS labs, count(*) AS n FROM records JOIN labs USING (lab)"
            f" WHERE {_SHOWN} GROUP BY 1"
        )
        return {row["contract"]: (row["labs"], row["n"]) for row in rows}

    def newest(self, contract: str, limit: int) -> list[Known]:
        """Other labs' attempts, newest first."""
        return self._known("contract = ? AND own = 0 ORDER BY records.id DESC LIMIT ?", contract, limit)

    def found(
        self, query: str, names: Sequence[str], limit: int, ended: Sequence[str] = ()
    ) -> list[tuple[Known, float | None]]:
        """Other labs' attempts for a question: (attempt, nearness by words or None); the nearest has 1.

        names: constants asked for. ended: outcomes asked for, of which the newest are found. Any text is a question.
        """
        match, near = matching(query), dict[int, float]()
        if match:
            question = "SELECT rowid, bm25(words) AS rank FROM words WHERE words MATCH ? ORDER BY rank LIMIT ?"
            rows = self._rows(question, match, limit)
            near = {row["rowid"]: row["rank"] / rows[0]["rank"] for row in rows}
        wanted = list(near)
        for name in names[:20]:
            most = max(3, limit // min(20, len(names)))
            rows = self._rows(
                "SELECT DISTINCT record FROM moved WHERE name = ? COLLATE NOCASE ORDER BY record DESC LIMIT ?",
                name,
                most,
            )
            wanted += [row["record"] for row in rows if row["record"] not in near]
        if ended:
            newest = (
                "SELECT records.id AS id FROM records JOIN labs USING (lab) WHERE own = 0 AND status IN"
                f" ({','.join('?' for _ in ended)}) ORDER BY id DESC LIMIT ?"
            )
            wanted += [row["id"] for row in self._rows(newest, *ended, limit)]
        elif not match and not names:
            newest = "SELECT records.id AS id FROM records JOIN labs USING (lab) WHERE own = 0 ORDER BY id DESC LIMIT ?"
            wanted = [row["id"] for row in self._rows(newest, limit)]
        ids = list(dict.fromkeys(wanted))
        marks = ",".join("?" for _ in ids)
        rows = self._rows(
            "SELECT records.id, lab, line FROM records JOIN labs USING (lab)"
            f" WHERE {_SHOWN} AND own = 0 AND records.id IN ({marks})",
            *ids,
        )
        return [(Known(r["lab"], False, _attempt(r["line"])), near.get(r["id"])) for r in rows]

    def _known(self, condition: str, *values: Any) -> list[Known]:
        rows = self._rows(
            f"SELECT records.lab, own, line FROM records JOIN labs USING (lab) WHERE {_SHOWN} AND {condition}",
            *values,
        )
        return [Known(row["lab"], bool(row["own"]), _attempt(row["line"])) for row in rows]


def _pooled(row: sqlite3.Row) -> Pooled:
    gain, error = row["mean"], None
    if row["tried"] and row["widths"] == row["tried"]:
        gain, error = row["weighed"] / row["weight"], row["weight"] ** -0.5
    elif row["tried"] > 1:
        spread = max(0.0, row["square"] - row["mean"] ** 2) * row["tried"] / (row["tried"] - 1)
        error = (spread / row["tried"]) ** 0.5
    return Pooled(
        row["name"],
        row["direction"],
        row["tried"],
        row["helped"],
        row["failed"],
        row["labs"],
        row["machines"],
        gain,
        error,
        None if row["low"] is None else (row["low"], row["high"]),
        None if row["lower"] is None else (row["lower"], row["higher"]),
        row["newest"],
    )


def _attempt(line: str) -> Attempt:
    """A line that was checked when it came in."""
    told = json.loads(line)
    told["knobs"] = tuple(tuple(move) for move in told.get("knobs", ()))
    told["seeds"], told["joins"] = tuple(told.get("seeds", ())), tuple(told.get("joins", ()))
    return Attempt.model_construct(**told)
