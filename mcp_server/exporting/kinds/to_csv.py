"""A CSV file: one line an attempt, one column a constant."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from typing import Any

from mcp_server.exporting.done import Done
from mcp_server.exporting.kinds.tables import Record, into_file, ours
from mcp_server.exporting.rows import SINGLE, Row
from mcp_server.nouns.files import csv_fields
from mcp_server.nouns.numbers import is_number

# a spreadsheet would take text that begins so for a formula, and agents write some of it
FORMULA = ("=", "+", "-", "@", "\t", "\r", "＝", "＋", "－", "＠")


def export(rows: Sequence[Row], where: str, project: str) -> Done:
    """Raises NotNow."""
    return into_file(where, rows, Row.flat, _parse, _write)


def _parse(content: bytes) -> list[Record]:
    with csv_fields(1 << 30):
        reader = csv.DictReader(_text(content))
        ours(reader.fieldnames or ())
        return [{name: value for name, value in one.items() if value} for one in reader]


def _text(content: bytes) -> io.StringIO:
    return io.StringIO(content.decode("utf-8-sig"), newline="")


def _write(records: list[Record]) -> bytes:
    out = io.StringIO(newline="")
    writer = csv.DictWriter(out, columns(records), restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows({name: _cell(value) for name, value in one.items()} for one in records)
    return out.getvalue().encode()


def columns(records: Sequence[Record]) -> list[str]:
    """Those that all attempts have, then constants and secondary numbers by name, the curve last."""
    names = dict.fromkeys(name for one in records for name in one)
    known = [name for name in SINGLE if name in names]
    return [*known, *sorted(name for name in names if name not in known and name != "curve"), "curve"]


def _cell(value: Any) -> Any:
    if isinstance(value, str) and value.startswith(FORMULA) and not is_number(value):
        return f"'{value}"
    return value
