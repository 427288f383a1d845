"""A history from its raw rows: each becomes an attempt, or is listed with its line and why it could not be read."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from mcp_server.arena.metrics import better_said, plain_name
from mcp_server.histories.rows import CRASHED, KEPT, UNKNOWN, History, Raw, Record, Row, Schema, Unreadable
from mcp_server.histories.sniff import Wishes, sniff
from mcp_server.histories.sources import load
from mcp_server.histories.words import baseline, number, outcome, whole
from mcp_server.nouns.text import clean_line

DESCRIPTION_CHARACTERS = 300
REASONING_CHARACTERS = 600


def read(source: str, at: Path, wishes: Wishes | None = None, repository: Path | None = None) -> History:
    """Read SOURCE: where it stands, what its columns mean, its rows. Raises NotNow; nothing is changed."""
    wishes = wishes or Wishes()
    raw = load(source, at, repository)
    return rows_of(raw, sniff(raw, wishes))


def rows_of(raw: Raw, schema: Schema) -> History:
    """The attempts that the rows of a source tell of, in their order."""
    rows: list[Row] = []
    unreadable = list(raw.unreadable)
    for record in raw.records:
        try:
            rows.append(_row(record, schema))
        except ValueError as error:
            words = clean_line(" ".join(record.cells.values()), 60)
            at = whole(record.cells.get(schema.columns.get("number", ""), ""))
            unreadable.append(Unreadable(record.line, str(error), words, at, isinstance(error, _Other)))
    return History(
        raw.name,
        raw.shape,
        schema,
        tuple(_begun_anew(rows)),
        tuple(sorted(unreadable, key=lambda one: one.line)),
        raw.notes,
    )


def _begun_anew(rows: Iterable[Row]) -> Iterator[Row]:
    """The rows, in a segment of their own from each baseline on: what comes after it is compared with it alone.

    Baselines that follow each other are one beginning, measured again. Each variant of what is measured has its own.
    """
    current: dict[tuple[int, str], int] = {}
    tried: set[int] = set()
    begun = 0
    for row in rows:
        place = current.get((row.segment, row.variant))
        if place is None or (row.baseline and place in tried):
            place, begun = begun, begun + 1
            current[row.segment, row.variant] = place
        if not row.baseline:
            tried.add(place)
        yield replace(row, segment=place)


class _Other(ValueError):
    """A row that measures something else."""


def _row(record: Record, schema: Schema) -> Row:
    """One row. Raises ValueError that says what is wrong with it."""

    def cell(name: str, limit: int = 200) -> str:
        return clean_line(record.cells.get(schema.columns.get(name, ""), ""), limit)

    word = cell("status", 80)
    status = UNKNOWN
    if "status" in schema.columns:
        found = outcome(word, schema.statuses)
        if found is None:
            said = f"“{word}” is no outcome that is known" if word else "it tells no outcome"
            raise ValueError(f"{said}; --status '{word or 'WORD'}=kept' (or discarded, crashed) explains it")
        status = found
    measured = cell("metric")
    if measured and measured != schema.metric:
        raise _Other(f"it measures {measured}, not {schema.metric}; --metric {measured} takes it")
    better = better_said(cell("better"))
    if better is not None and better != schema.direction:
        raise ValueError(f"its metric is to be {better}d, the log's {schema.direction}d")
    try:
        score = number(record.cells.get(schema.columns["score"], ""))
    except ValueError as error:
        if status != CRASHED:
            raise ValueError(f"{schema.metric}: {error}") from None
        score = None
    if status == CRASHED:
        # the reference writes 0.000000 for a crash, which is no score
        score = None
    elif score is None and status == KEPT:
        raise ValueError(f"it was kept, and tells no {schema.metric}")
    described = cell("description", DESCRIPTION_CHARACTERS)
    return Row(
        line=record.line,
        status=status,
        score=score,
        description=described,
        number=whole(cell("number")),
        commit=cell("commit", 64),
        parent=cell("parent", 64),
        before=_maybe(cell("before")),
        reasoning=cell("reasoning", REASONING_CHARACTERS),
        verdict=cell("verdict", REASONING_CHARACTERS),
        config=cell("config", 80),
        seed=whole(cell("seed")),
        steps=_maybe(cell("steps")),
        at=cell("at", 40),
        segment=record.segment,
        variant=cell("variant", 80),
        word=word,
        baseline=status in (KEPT, UNKNOWN) and (plain_name(word) == "baseline" or baseline(described)),
    )


def _maybe(text: str) -> float | None:
    try:
        return number(text)
    except ValueError:
        return None


def shown(history: History) -> list[tuple[str, str]]:
    """The schema for a person who is to confirm it: what the source is, and what each field is read from."""
    schema, rows = history.schema, history.rows
    counts = {status: sum(row.status == status for row in rows) for status in dict.fromkeys(row.status for row in rows)}
    told = ", ".join(f"{count} {status}" for status, count in counts.items())
    fields = [(name, column) for name, column in schema.columns.items() if plain_name(column) != name]
    return [
        ("metric", f"{schema.metric}, {schema.direction}"),
        ("rows", f"{len(rows)} read ({told})" + (f", {len(history.unreadable)} not" if history.unreadable else "")),
        ("columns", ", ".join(f"{name}: {column}" for name, column in fields)),
        ("as named", ", ".join(name for name, column in schema.columns.items() if plain_name(column) == name)),
        ("not used", ", ".join(schema.unused)),
        ("why", "; ".join(schema.reasons)),
    ]
