"""What labs said to each other, in the database of records: posts as they came, each with whose it is."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass

from mcp_server.ledger.foreign import _SHOWN, Foreign
from mcp_server.nouns.exchanged import MOST_POSTS_A_DAY, Post

KEPT_OF_A_LAB = 1000  # the newest: a lab that talks without end pushes out its own words alone
SHOWN = 5000


@dataclass(frozen=True)
class Posted:
    """One post, with whose it is."""

    lab: str
    own: bool
    post: Post

    @property
    def name(self) -> str:
        return f"{self.lab}/p{self.post.p}"


def take(foreign: Foreign, lab: str, posts: Sequence[Post]) -> None:
    """What is new of one lab: call within `writing`. What is more than a day's measure counts for nothing."""
    for one in posts:
        day, line = one.at[:10], one.whole().decode()
        foreign._db.execute("INSERT OR IGNORE INTO seen VALUES (?, ?, 0, ?)", (lab, -one.p, line))
        said = foreign._rows("SELECT count(*) AS n FROM posts WHERE lab = ? AND day = ? AND p != ?", lab, day, one.p)
        if said[0]["n"] >= MOST_POSTS_A_DAY:
            why = f"more than {MOST_POSTS_A_DAY} posts on {day}"
            foreign._db.execute("INSERT INTO held VALUES (?, NULL, ?)", (lab, why))
            continue
        foreign._db.execute(
            "INSERT OR REPLACE INTO posts (lab, p, mark, contract, day, line) VALUES (?, ?, ?, ?, ?, ?)",
            (lab, one.p, one.mark, one.contract, day, line),
        )
    if posts:
        foreign._db.execute(
            "DELETE FROM posts WHERE lab = ?1 AND p <= (SELECT max(p) FROM posts WHERE lab = ?1) - ?2",
            (lab, KEPT_OF_A_LAB),
        )


def last(foreign: Foreign, lab: str) -> int:
    """The highest number that a lab has given to a post."""
    return -int(foreign._rows("SELECT coalesce(min(n), 0) AS n FROM seen WHERE lab = ? AND n < 0", lab)[0]["n"])


def published(foreign: Foreign, lab: str) -> set[str]:
    """The marks of a lab's posts that its journal has."""
    rows = foreign._rows("SELECT line FROM seen WHERE lab = ? AND n < 0", lab)
    return {json.loads(row["line"])["mark"] for row in rows}


def posts(foreign: Foreign) -> list[Posted]:
    """The posts that are shown, in the order in which they came."""
    rows = foreign._rows(
        f"SELECT posts.lab, own, line FROM posts JOIN labs USING (lab) WHERE {_SHOWN}"
        f" ORDER BY posts.id DESC LIMIT {SHOWN}"
    )
    return [_posted(row) for row in reversed(rows)]


def post(foreign: Foreign, lab: str, p: int) -> Posted | None:
    rows = foreign._rows(
        f"SELECT posts.lab, own, line FROM posts JOIN labs USING (lab) WHERE {_SHOWN} AND posts.lab = ? AND p = ?",
        lab,
        p,
    )
    return _posted(rows[0]) if rows else None


def _posted(row: sqlite3.Row) -> Posted:
    told = json.loads(row["line"])  # a line that was checked when it came in
    for name in ("about", "to"):
        told[name] = tuple(told.get(name, ()))
    return Posted(row["lab"], bool(row["own"]), Post.model_construct(**told))
