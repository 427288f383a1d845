"""A Parquet file: the columns of the CSV file with their types."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

from mcp_server.exporting.done import Done, library
from mcp_server.exporting.kinds.tables import Record, into_file, ours
from mcp_server.exporting.kinds.to_csv import columns
from mcp_server.exporting.rows import Row


def export(rows: Sequence[Row], where: str, project: str) -> Done:
    """Raises NotNow, without pyarrow too."""
    arrow, parquet = library("pyarrow", "parquet"), library("pyarrow.parquet", "parquet")

    def parse(content: bytes) -> list[Record]:
        table = parquet.read_table(io.BytesIO(content))
        ours(table.column_names)
        found: list[dict[str, Any]] = table.to_pylist()
        return [{name: value for name, value in one.items() if value is not None} for one in found]

    def write(records: list[Record]) -> bytes:
        names = columns(records)
        table = arrow.table({name: _column([one.get(name) for one in records]) for name in names})
        out = io.BytesIO()
        parquet.write_table(table, out)
        return out.getvalue()

    return into_file(where, rows, Row.flat, parse, write)


def _column(values: list[Any]) -> list[Any]:
    """A column has one type: what is a number in one attempt and text in another is text."""
    kinds = {float if _is_wide(value) else type(value) for value in values if value is not None}
    if len(kinds) <= 1 and kinds != {float}:
        return values
    if kinds <= {int, float}:
        return [None if value is None else float(value) for value in values]
    return [None if value is None else str(value) for value in values]


def _is_wide(value: Any) -> bool:
    """A whole number that no column of them has room for, such as a mask of 64 bits."""
    return isinstance(value, int) and not -(2**63) <= value < 2**63
