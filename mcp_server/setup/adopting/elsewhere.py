"""What was tried before the lab was there, as lessons: read and quoted, never a score of this lab's.

Such a row never becomes an incumbent and never counts as noise: it was measured by somebody else, perhaps on another
machine, and one run of it is all there was. The log is read as `import` reads it, by the same rules.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from mcp_server.histories.reading import rows_of
from mcp_server.histories.rows import CRASHED, History
from mcp_server.histories.rows import Row as Told
from mcp_server.histories.sniff import Wishes, sniff
from mcp_server.histories.sources import load
from mcp_server.nouns.errors import NotNow
from mcp_server.nouns.numbers import shown
from mcp_server.nouns.text import clean_line

SOURCE = "elsewhere"
MOST_ROWS = 5000
WORDS_CHARACTERS = 300


@dataclass(frozen=True)
class Row:
    """One attempt of the past, in one sentence."""

    text: str
    status: str


def log(tree: Path, name: str, metric: str = "", direction: str = "") -> tuple[History | None, str]:
    """(the log of that name as it is read, what is to be said of it); None where it is absent, empty or unread."""
    if not name or not (tree / name).is_file():
        return None, ""
    try:
        raw = load(name, tree)
        if not raw.records and not raw.unreadable:
            return None, ""
        history = rows_of(raw, sniff(raw, Wishes(metric, direction)))
    except NotNow as error:
        return None, f"the past is not taken in: {error} Once that is said, `autoresearch import {name}` takes it"
    if history.shape == "own":
        return None, ""
    lost = len(history.unreadable)
    rows = "1 row of it is" if lost == 1 else f"{lost} rows of it are"
    return history, f"{rows} not read: `autoresearch import {name}` lists them" if lost else ""


def lessons(history: History, where: str) -> list[Row]:
    """The attempts of a log, each as one sentence."""
    return [_lesson(history, row, where) for row in history.rows[:MOST_ROWS]]


def _lesson(history: History, row: Told, where: str) -> Row:
    status = clean_line(row.word, 20).lower() or "unknown"
    words = clean_line(row.description, WORDS_CHARACTERS) or "(no description)"
    scored = row.score is not None and row.status != CRASHED
    told = f"{clean_line(history.schema.metric, 40)} {shown(row.score or 0.0)}" if scored else "no score"
    at = f", {clean_line(row.commit, 12)}" if row.commit.strip() else ""
    return Row(f"Tried elsewhere ({where}{at}): {words}. There: {status}, {told}; not measured by this lab.", status)
