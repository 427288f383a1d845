"""What people look at of all labs' records: a page of results, and the keeps that a lineage is made of.

Asked for a page at a time, so that a community of ten thousand attempts is shown as quickly as one of ten.
"""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass

from mcp_server.ledger.foreign import _SHOWN, Foreign, Known, _attempt

MOST_WORDS = 16
_TABLES = f"FROM records JOIN labs USING (lab) WHERE {_SHOWN}"


@dataclass(frozen=True)
class Wanted:
    """Which results are asked for; "" leaves a field open."""

    contract: str = ""
    words: str = ""
    lab: str = ""
    status: str = ""
    constant: str = ""
    way: str = ""
    lessons: bool = False  # only those with a lesson
    others: bool = False  # without our own


@dataclass(frozen=True)
class Kept:
    """One kept attempt, as a lineage needs it. `names` are LAB/n."""

    name: str
    lab: str
    n: int
    own: bool
    role: str
    base: str  # what it was made on, of the same lab; "" for a beginning
    adopted: tuple[str, ...]  # what it takes over from other labs
    label: str
    machine: str
    gain: float | None
    at: str
    text: str


def stamp(foreign: Foreign) -> str:
    """Another text whenever there is something new to show."""
    labs = "SELECT group_concat(lab || hidden || own || name || forked || tip) FROM labs"
    row = foreign._rows(
        "SELECT (SELECT coalesce(max(id), 0) FROM records) AS last, (SELECT count(*) FROM records) AS many,"
        f" (SELECT coalesce(max(id), 0) FROM posts) AS post, ({labs}) AS labs"
    )[0]
    return json.dumps([row["last"], row["many"], row["post"], row["labs"]])


def results(foreign: Foreign, wanted: Wanted, first: int, limit: int) -> tuple[int, list[Known]]:
    """(how many there are, a page of them), the newest to arrive first."""
    condition, values = _condition(wanted)
    total = foreign._rows(f"SELECT count(*) AS n {_TABLES} AND {condition}", *values)[0]["n"]
    return total, newest(foreign, wanted, limit, first)


def newest(foreign: Foreign, wanted: Wanted, limit: int, first: int = 0) -> list[Known]:
    """A page of what is wanted, the newest to arrive first; nobody counts them all."""
    condition, values = _condition(wanted)
    rows = foreign._rows(
        f"SELECT records.lab, own, line {_TABLES} AND {condition} ORDER BY records.id DESC LIMIT ? OFFSET ?",
        *values,
        limit,
        first,
    )
    return [Known(row["lab"], bool(row["own"]), _attempt(row["line"])) for row in rows]


def _condition(wanted: Wanted) -> tuple[str, list[str]]:
    parts, values = ["1"], []
    for column, value in (("contract", wanted.contract), ("status", wanted.status), ("records.lab", wanted.lab)):
        if value:
            parts.append(f"{column} = ?")
            values.append(value)
    if wanted.others:
        parts.append("own = 0")
    if wanted.lessons:
        parts.append("json_extract(line, '$.lesson') != ''")
    if wanted.constant:
        more = " AND direction = ?" if wanted.way else ""
        parts.append(f"records.id IN (SELECT record FROM moved WHERE name = ?{more})")
        values += [wanted.constant, *([wanted.way] if wanted.way else [])]
    words = re.findall(r"\w+", wanted.words.lower())[:MOST_WORDS]
    if words:
        parts.append("records.id IN (SELECT rowid FROM words WHERE words MATCH ?)")
        values.append(" ".join(f'"{word}"*' for word in words))
    return " AND ".join(parts), values


def statuses(foreign: Foreign, contract: str) -> dict[str, int]:
    """How many attempts of a contract ended in which way."""
    rows = foreign._rows(
        f"SELECT status, count(*) AS n FROM records JOIN labs USING (lab) WHERE {_SHOWN} AND contract = ?"
        " GROUP BY status ORDER BY n DESC",
        contract,
    )
    return {row["status"]: row["n"] for row in rows}


def kept(foreign: Foreign, contract: str) -> list[Kept]:
    """Every keep of a contract, by lab and number: baselines too."""
    rows = foreign._rows(
        "SELECT records.lab, own, n, label, machine, gain, line FROM records JOIN labs USING (lab)"
        f" WHERE {_SHOWN} AND contract = ? AND status = 'kept' ORDER BY records.lab, n",
        contract,
    )
    return [_kept(row) for row in rows]


def _kept(row: sqlite3.Row) -> Kept:
    told = json.loads(row["line"])
    base = told.get("base")
    named: Sequence[str] = [told["of"]] if told.get("of") else told.get("joins", ())
    adopted = tuple(name for name in named if not name.startswith(f"{row['lab']}/"))  # an own part is not taken over
    return Kept(
        name=f"{row['lab']}/{row['n']}",
        lab=row["lab"],
        n=row["n"],
        own=bool(row["own"]),
        role=told.get("role", "attempt"),
        base=f"{row['lab']}/{base}" if base else "",
        adopted=adopted,
        label=row["label"],
        machine=row["machine"],
        gain=row["gain"],
        at=told.get("at", ""),
        text=told.get("text", ""),
    )
