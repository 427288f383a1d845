"""The server's share of an agent's context stays small."""

from __future__ import annotations

from pathlib import Path

import anyio

from benchmarks.tokens import ITERATION_BYTES, ITERATION_LIMIT, SCHEMA_BYTES, SCHEMA_LIMIT, counter, shown


def test_the_tools_and_one_iteration_fit_into_little_context(tmp_path: Path) -> None:
    count, name = counter()
    schemas, results = anyio.run(shown, tmp_path)
    assert len(schemas) == 8
    assert sum(map(count, schemas.values())) < SCHEMA_LIMIT, name
    assert sum(map(count, results.values())) < ITERATION_LIMIT, name
    assert sum(len(schema.encode()) for schema in schemas.values()) <= SCHEMA_BYTES
    assert sum(len(result.encode()) for result in results.values()) <= ITERATION_BYTES
    # clients cut descriptions at two kilobytes
    assert all(len(schema) < 4000 for schema in schemas.values())
