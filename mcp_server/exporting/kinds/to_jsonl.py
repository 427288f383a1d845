"""JSON lines: one object an attempt, with its constants, secondary numbers and curve as they are."""

from __future__ import annotations

import json
from collections.abc import Sequence

from mcp_server.exporting.done import Done
from mcp_server.exporting.kinds.tables import Record, into_file
from mcp_server.exporting.rows import Row


def export(rows: Sequence[Row], where: str, project: str) -> Done:
    """Raises NotNow."""
    return into_file(where, rows, Row.nested, _parse, _write)


def _parse(content: bytes) -> list[Record]:
    return [json.loads(line) for line in content.decode().split("\n") if line.strip()]


def _write(records: list[Record]) -> bytes:
    return "".join(json.dumps(one, ensure_ascii=False) + "\n" for one in records).encode()
