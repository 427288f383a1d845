"""What was tried before the lab was there, as lessons: read and quoted, never a score of this lab's. Pure.

Such a row never becomes an incumbent and never counts as noise: it was measured by somebody else, perhaps on another
machine, and one run of it is all there was.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

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


def of_results(text: str, where: str = "results.tsv") -> list[Row]:
    """The rows of a results table of the reference's: commit, score, memory, status, description, by their headings."""
    table = list(csv.reader(io.StringIO(text.lstrip("\ufeff")), delimiter="\t", quoting=csv.QUOTE_NONE))
    if len(table) < 2:
        return []
    head = [name.strip().lower() for name in table[0]]
    if "status" not in head or "experiment" in head:  # no such table, or one that a lab of ours drew
        return []
    metric = next((name for name in head[1:] if name not in ("status", "description", "memory_gb", "commit")), "score")
    rows = []
    for cells in table[1 : MOST_ROWS + 1]:
        row = dict(zip(head, cells, strict=False))
        if any(cell.strip() for cell in cells):
            told = (row.get(name, "") for name in ("commit", metric, "status", "description"))
            rows.append(_row(where, metric, *told))
    return rows


def of_log(entries: Iterable[dict[str, Any]], where: str) -> list[Row]:
    """The runs of a pi-autoresearch log."""
    metric = "metric"
    rows: list[Row] = []
    for entry in entries:
        if entry.get("type") == "config":
            metric = clean_line(str(entry.get("metricName") or metric), 40)
        elif isinstance(entry.get("run"), int) and len(rows) < MOST_ROWS:
            told = (str(entry.get(name, "")) for name in ("commit", "metric", "status", "description"))
            rows.append(_row(where, metric, *told))
    return rows


def _row(where: str, metric: str, commit: str, score: str, status: str, description: str) -> Row:
    status = clean_line(status, 20).lower() or "unknown"
    words = clean_line(description, WORDS_CHARACTERS) or "(no description)"
    try:
        value = float(score)
    except ValueError:
        value = math.nan
    # the reference writes 0.000000 for a crash, which is no score
    told = (
        "no score"
        if not math.isfinite(value) or (status == "crash" and value == 0)
        else f"{clean_line(metric, 40)} {shown(value)}"
    )
    at = f", {clean_line(commit, 12)}" if commit.strip() else ""
    return Row(f"Tried elsewhere ({where}{at}): {words}. There: {status}, {told}; not measured by this lab.", status)
