"""A pandas DataFrame: one row an attempt."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mcp_server.exporting.done import library
from mcp_server.exporting.kinds.to_csv import columns
from mcp_server.exporting.rows import SINGLE, Row

TIMES = ("opened_at", "decided_at")


def framed(rows: Sequence[Row]) -> Any:
    """The columns of the CSV file with their types; the curve as (step, loss) pairs. Raises NotNow without pandas."""
    pandas = library("pandas", "frame")
    records = [{**row.flat(), "curve": row.curve} for row in rows]
    found = pandas.DataFrame(records, columns=columns(records) if records else [*SINGLE, "curve"])
    for name in TIMES:
        found[name] = pandas.to_datetime(found[name], utc=True, format="ISO8601", errors="coerce")
    return found
