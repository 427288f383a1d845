"""A history written as a table: cells between tabs, commas, bars or spaces, and the rows that do not fit. Pure."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Iterator

from mcp_server.arena.metrics import better_by_name, plain_name
from mcp_server.histories.rows import Raw, Record, Unreadable
from mcp_server.histories.words import COLUMNS, SCORES
from mcp_server.nouns.errors import NotNow
from mcp_server.nouns.files import csv_fields
from mcp_server.nouns.text import clean_line

LINE_CHARACTERS = 64 * 1024
CELL_CHARACTERS = 2000
MOST_ROWS = 20_000
MOST_COLUMNS = 200
MOST_NAMED = 12  # tables, in a message
REFERENCE = ("commit", "val_bpb", "memory_gb", "status", "description")
OWN = ("outcome", "label", "gain", "noise_widths")
SAID = {"metric": ("metric_name", "metric"), "direction": ("metric_direction", "direction")}
NAMES = {name for names in COLUMNS.values() for name in names} | set(SCORES)
Line = tuple[int, list[str]]  # its number, its cells


def of_table(name: str, text: str) -> Raw:
    """The rows of a table, by its heading. Raises NotNow where it has none, or is none."""
    text, remarks, told = _uncommented(text)
    notes = [f"{remarks} lines of remarks before the heading are left out"] if remarks else []
    table, said = _lines(name, text)
    notes += said
    line, head = table[0]
    if _headless(head):
        if len(head) != len(REFERENCE):
            raise NotNow(
                f"{name} has no heading, and {len(head)} columns where the reference has {len(REFERENCE)}. Write a "
                "first line that names them."
            )
        notes.append("it has no heading; the reference's five columns are taken")
        head, body = list(REFERENCE), table
    else:
        body = table[1:]
    head = [clean_line(one, 60) for one in head][:MOST_COLUMNS]
    twice = {one for one in head if one and head.count(one) > 1}
    if twice:
        raise NotNow(f"{name}, line {line}: the heading names {', '.join(sorted(twice))} twice. Rename one of them.")
    records, unreadable = _rows(head, body)
    lower = tuple(one.lower() for one in head)
    shape = "own" if set(OWN) <= set(lower) else "reference" if lower == REFERENCE else "table"
    return Raw(name, shape, tuple(head), tuple(records), tuple(unreadable), told, tuple(notes))


def _rows(head: list[str], body: Iterable[Line]) -> tuple[list[Record], list[Unreadable]]:
    records: list[Record] = []
    unreadable: list[Unreadable] = []
    for line, cells in body:
        if not any(cell.strip() for cell in cells):
            continue
        if len(records) == MOST_ROWS:
            unreadable.append(Unreadable(line, f"more than {MOST_ROWS:,} rows; it and all after it were left out"))
            break
        if len(cells) != len(head):
            shown = clean_line(" ".join(cells), 60)
            count = "1 cell" if len(cells) == 1 else f"{len(cells)} cells"
            unreadable.append(Unreadable(line, f"{count} where the heading has {len(head)}", shown))
            continue
        records.append(Record(line, {key: cell_of(value) for key, value in zip(head, cells, strict=True)}))
    return records, unreadable


def cell_of(value: str) -> str:
    return clean_line(value, CELL_CHARACTERS)


def _lines(name: str, text: str) -> tuple[list[Line], list[str]]:
    """The lines of the table, its heading first, and what is to be said of how it was found."""
    first = next((line.strip() for line in text.split("\n") if line.strip()), "")
    if "\t" in first:
        typed = sum("\t" not in line and "\\t" in line for line in text.split("\n"))
        notes = [f"in {typed} lines the tabs are written as \\t"] if typed else []
        return list(_tabbed(text)), notes
    tables = _barred(text)
    if tables:
        return _chosen(name, tables)
    if "," in first:
        table = list(_commas(text))
        if 2 * sum(len(cells) == len(table[0][1]) for _, cells in table) > len(table) or _named(table[0][1]):
            return table, []
    heading = first.split()
    if (
        2 < len(heading) == len(set(heading))
        and all(re.fullmatch(r"[\w%/()]+", one) for one in heading)
        and _named(heading)
    ):
        return list(_spaced(text, len(heading))), ["columns are parted at spaces, the last takes what is left"]
    raise NotNow(
        f"{name} is no table: its first line, “{clean_line(first, 60)}”, is no heading with tabs, commas or bars, and "
        "no table in Markdown follows. Name a log with a heading."
    )


def measured(names: Iterable[str]) -> bool:
    """Whether one of the names is that of an outcome or of a score."""
    plain = {plain_name(one) for one in names}
    return bool(plain & {*COLUMNS["status"], *SCORES}) or any(better_by_name(one) for one in plain)


def _named(head: list[str]) -> bool:
    """Whether a line is a heading: two of its words are names that logs give their columns."""
    return (
        sum(plain_name(one) in NAMES or better_by_name(one) is not None for one in head if " " not in one.strip()) > 1
    )


def _uncommented(text: str) -> tuple[str, int, dict[str, str]]:
    """A table with the remarks above its heading (`# made by …`) emptied, so that lines keep their numbers; how many;
    and what they say of the metric (`# metric_direction: higher_is_better`).

    A heading may begin with # itself: then it has cells. Above a table in Markdown # is a title.
    """
    lines, count = text.split("\n"), 0
    told: dict[str, str] = {}
    for place, line in enumerate(lines):
        if line.strip() and not (line.lstrip().startswith("#") and "\t" not in line and line.count(",") < 2):
            break
        count += bool(line.strip())
        lines[place] = ""
        key, colon, value = line.strip(" #\t").partition(":")
        for field, names in SAID.items():
            if colon and plain_name(key) in names and value.strip():
                told[field] = clean_line(value, 40)
    return "\n".join(lines), count, told


def _headless(head: list[str]) -> bool:
    """Whether the first line is a row already: a heading has names alone."""
    return len(head) > 1 and any(re.fullmatch(r"\s*[+\-]?\d+(\.\d+)?\s*", cell) for cell in head)


def _tabbed(text: str) -> Iterator[Line]:
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            # an agent that appends with a plain echo types the two characters of a tab
            between = "\t" if "\t" in line else "\\t"
            yield number, [_unquoted(cell) for cell in line.rstrip("\r")[:LINE_CHARACTERS].split(between)]


def _unquoted(cell: str) -> str:
    """A cell as `csv` writes one that holds quotes."""
    inner = cell[1:-1]
    whole = len(cell) > 1 and cell[0] == cell[-1] == '"' and '"' not in inner.replace('""', "")
    return inner.replace('""', '"') if whole else cell


def _commas(text: str) -> Iterator[tuple[int, list[str]]]:
    reader = csv.reader(io.StringIO(text.replace("\0", "")))
    before = 0
    while True:
        try:
            with csv_fields(LINE_CHARACTERS):
                cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise NotNow(f"The table breaks at line {reader.line_num}: {error}. Mend that line.") from None
        if cells:
            yield before + 1, cells
        before = reader.line_num


def _spaced(text: str, columns: int) -> Iterator[Line]:
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            yield number, line[:LINE_CHARACTERS].split(None, columns - 1)


def _barred(text: str) -> list[list[Line]]:
    """The tables of a text in Markdown, each with its heading first."""
    tables: list[list[Line]] = []
    before = False
    for number, line in enumerate(text.split("\n"), 1):
        bare = line.strip()
        inside = bare.startswith("|")
        if inside and not re.fullmatch(r"\|[\s:|\-]+\|?", bare):
            cells = [cell.strip() for cell in bare[:LINE_CHARACTERS].strip("|").split("|")]
            if not before:
                tables.append([])
            tables[-1].append((number, cells))
        before = inside
    return [one for one in tables if len(one) > 1]


def _chosen(name: str, tables: list[list[Line]]) -> tuple[list[Line], list[str]]:
    """The one table that tells of attempts; several with the same heading are one. Raises NotNow."""
    by_heading: dict[tuple[str, ...], list[Line]] = {}
    for table in tables:
        heading = tuple(cell.lower() for cell in table[0][1])
        by_heading[heading] = by_heading[heading] + table[1:] if heading in by_heading else table
    statuses = set(COLUMNS["status"])
    judged = {head: table for head, table in by_heading.items() if statuses & {plain_name(one) for one in head}}
    few = by_heading if len(by_heading) == 1 else judged
    if len(few) != 1:
        lines = [str(table[0][0]) for table in by_heading.values()]
        where = ", ".join(lines[:MOST_NAMED]) + (", …" if len(lines) > MOST_NAMED else "")
        raise NotNow(
            f"{name} holds several tables (lines {where}), and {'more than one' if few else 'none'} of them has a "
            "column of what was kept. Copy the one that tells of attempts into a file of its own, and name that."
        )
    (found,) = few.values()
    left = len(by_heading) - 1
    return found, [f"the table at line {found[0][0]} is read, {left} others tell of no verdicts"] if left else []
