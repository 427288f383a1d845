"""Where a history stands: a log, a folder that holds one, a bundle of journals, or a branch whose commits carry scores.

What is read here is text with its lines, bounded in every direction; what it means is `sniff`'s business.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from mcp_server.histories import branch
from mcp_server.histories.rows import Raw, Record, Unreadable
from mcp_server.nouns.errors import NotNow, WorkspaceError
from mcp_server.nouns.text import clean_line
from mcp_server.repo.git import Repository

FILE_BYTES = 32 * 2**20
LINE_CHARACTERS = 64 * 1024
CELL_CHARACTERS = 2000
MOST_ROWS = 20_000
MOST_COLUMNS = 200
# what a folder is searched for, by the tools that write it
LOGS = (
    *(".auto/log.jsonl", "autoresearch.jsonl", ".autoresearch/autoresearch.jsonl", "results.tsv", "results.csv"),
    *("results/results.tsv", "autoresearch-results.tsv", "records.jsonl"),
)
REFERENCE = ("commit", "val_bpb", "memory_gb", "status", "description")
OWN = ("outcome", "label", "gain", "noise_widths")
SAID = {"metric": ("metricName", "metric_name"), "direction": ("bestDirection", "direction")}
BUNDLE, GZIP = b"# v", b"\x1f\x8b"


def load(source: str, at: Path, repository: Path | None = None) -> Raw:
    """The raw rows of SOURCE: a file or folder below `at`, else a branch of the repository. Raises NotNow.

    repository: where a branch is looked for; by default where `at` is.
    """
    path = Path(source) if Path(source).is_absolute() else at / source
    if path.is_dir():
        path = _log_in(path)
    if path.is_file():
        return _of_file(path)
    try:
        found = Repository.at(repository or at)
        tip = found.resolve(source)
    except WorkspaceError as error:
        raise NotNow(
            f"{clean_line(source, 120)} is neither a file, nor a folder, nor a branch here: {error} Name a log "
            "(results.tsv, autoresearch.jsonl), or a branch with --repo DIR."
        ) from None
    return branch.read(found, tip, source)


def _log_in(folder: Path) -> Path:
    there = [name for name in LOGS if (folder / name).is_file()]
    if len(there) == 1:
        return folder / there[0]
    said = f"holds several logs ({', '.join(there)})" if there else f"holds none of {', '.join(LOGS[:4])}"
    raise NotNow(f"{folder} {said}. Name the file, or a branch: autoresearch audit BRANCH --repo {folder}")


def _of_file(path: Path) -> Raw:
    try:
        size = path.stat().st_size
        if size > FILE_BYTES:
            raise NotNow(f"{path} has {size:,} bytes; a log of at most {FILE_BYTES:,} is read. Cut it.")
        content = path.read_bytes()
    except OSError as error:
        raise NotNow(f"{path} cannot be read: {error.strerror}. Check its permissions.") from None
    if content.startswith(BUNDLE) and b"git bundle" in content[:40]:
        return _of_journal(path.name, branch.pages_of_bundle(path))
    if content.startswith(GZIP):
        raise NotNow(f"{path} is packed with gzip. Unpack it first (`gunzip -k {path.name}`), and name what comes out.")
    if b"\0" in content[:4096]:
        raise NotNow(f"{path} is no text. A log is a table (tabs, commas) or JSON lines, in UTF-8.")
    text = content.decode("utf-8-sig", errors="replace").replace("\r\n", "\n").replace("\r", "\n")
    first = next((line.strip() for line in text.split("\n") if line.strip()), "")
    if not first:
        raise NotNow(f"{path} is empty. Name a log that tells of attempts.")
    if first.startswith("{"):
        rows = _json_object(text)
        return _of_json(path.name, _json_lines(text) if rows is None else rows)
    if first.startswith("["):
        return _of_json(path.name, _json_list(path, text))
    return _of_table(path.name, text)


# --- tables -----------------------------------------------------------------------------------------------------------


def _of_table(name: str, text: str) -> Raw:
    text, remarks = _uncommented(text)
    first = next((line.strip() for line in text.split("\n") if line.strip()), "")
    if "\t" in first:
        rows = _tabbed(text)
    elif first.startswith("|"):
        rows = _markdown(text)
    elif "," in first:
        rows = _commas(text)
    else:
        raise NotNow(f"{name} is no table: its first line has no tab and no comma. Name a log with a heading.")
    table = list(rows)
    line, head = table[0]
    notes: tuple[str, ...] = (f"{remarks} lines of remarks before the heading are left out",) if remarks else ()
    if _headless(head):
        if len(head) != len(REFERENCE):
            raise NotNow(
                f"{name} has no heading, and {len(head)} columns where the reference has {len(REFERENCE)}. Write a "
                "first line that names them."
            )
        notes = (*notes, "it has no heading; the reference's five columns are taken")
        head, body = list(REFERENCE), table
    else:
        body = table[1:]
    head = [clean_line(one, 60) for one in head][:MOST_COLUMNS]
    twice = {one for one in head if one and head.count(one) > 1}
    if twice:
        raise NotNow(f"{name}, line {line}: the heading names {', '.join(sorted(twice))} twice. Rename one of them.")
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
            unreadable.append(Unreadable(line, f"{len(cells)} cells where the heading has {len(head)}", shown))
            continue
        records.append(Record(line, {key: _cell(value) for key, value in zip(head, cells, strict=True)}))
    lower = tuple(one.lower() for one in head)
    shape = "own" if set(OWN) <= set(lower) else "reference" if lower == REFERENCE else "table"
    return Raw(name, shape, tuple(head), tuple(records), tuple(unreadable), notes=notes)


def _uncommented(text: str) -> tuple[str, int]:
    """A table with the remarks above its heading (`# made by …`) emptied, so that lines keep their numbers; how many.

    A heading may begin with # itself: then it has cells.
    """
    lines, count = text.split("\n"), 0
    for place, line in enumerate(lines):
        if line.strip() and not (line.lstrip().startswith("#") and "\t" not in line and line.count(",") < 2):
            break
        count += bool(line.strip())
        lines[place] = ""
    return "\n".join(lines), count


def _headless(head: list[str]) -> bool:
    """Whether the first line is a row already: a heading has names alone."""
    return len(head) > 1 and any(re.fullmatch(r"\s*[+\-]?\d+(\.\d+)?\s*", cell) for cell in head)


def _tabbed(text: str) -> Iterator[tuple[int, list[str]]]:
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            yield number, [_unquoted(cell) for cell in line.rstrip("\r")[:LINE_CHARACTERS].split("\t")]


def _unquoted(cell: str) -> str:
    """A cell as `csv` writes one that holds quotes."""
    inner = cell[1:-1]
    whole = len(cell) > 1 and cell[0] == cell[-1] == '"' and '"' not in inner.replace('""', "")
    return inner.replace('""', '"') if whole else cell


def _commas(text: str) -> Iterator[tuple[int, list[str]]]:
    csv.field_size_limit(LINE_CHARACTERS)
    reader = csv.reader(io.StringIO(text.replace("\0", "")))
    before = 0
    while True:
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise NotNow(f"The table breaks at line {reader.line_num}: {error}. Mend that line.") from None
        if cells:
            yield before + 1, cells
        before = reader.line_num


def _markdown(text: str) -> Iterator[tuple[int, list[str]]]:
    for number, line in enumerate(text.split("\n"), 1):
        bare = line.strip()
        if bare.startswith("|") and not re.fullmatch(r"\|[\s:|\-]+\|?", bare):
            yield number, [cell.strip() for cell in bare[:LINE_CHARACTERS].strip("|").split("|")]


def _cell(value: str) -> str:
    return clean_line(value, CELL_CHARACTERS)


# --- JSON -------------------------------------------------------------------------------------------------------------


def _json_lines(text: str) -> Iterator[tuple[int, object]]:
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            if len(line) > LINE_CHARACTERS:
                yield number, ValueError(f"a line of {len(line):,} characters; at most {LINE_CHARACTERS:,} are taken")
                continue
            yield number, _parsed(line)


def _parsed(line: str) -> object:
    try:
        return json.loads(line)
    except RecursionError:
        return ValueError("it is nested too deeply")
    except ValueError:
        return ValueError("it is no JSON")


def _json_object(text: str) -> Iterator[tuple[int, object]] | None:
    """The rows of one object that holds them as its only list of objects; None where it is something else."""
    found = _parsed(text)
    lists = [one for one in found.values() if isinstance(one, list)] if isinstance(found, dict) else []
    rows = [one for one in lists if one and all(isinstance(row, dict) for row in one)]
    return enumerate(rows[0], 1) if len(rows) == 1 else None


def _json_list(path: Path, text: str) -> Iterator[tuple[int, object]]:
    found = _parsed(text)
    if not isinstance(found, list):
        raise NotNow(f"{path} begins with [ and is no list in JSON. Mend it, or name another log.")
    yield from enumerate(found, 1)


def _of_json(name: str, lines: Iterator[tuple[int, object]]) -> Raw:
    records: list[Record] = []
    unreadable: list[Unreadable] = []
    told: dict[str, str] = {}
    segment, pi, journal = 0, False, False
    for line, value in lines:
        if len(records) == MOST_ROWS:
            unreadable.append(Unreadable(line, f"more than {MOST_ROWS:,} rows; it and all after it were left out"))
            break
        if not isinstance(value, dict):
            why = str(value) if isinstance(value, ValueError) else "it is no JSON object"
            unreadable.append(Unreadable(line, why))
            continue
        cells = dict(_flat(value))
        if cells.get("type") == "config" or (cells.get("kind") == "lab" and "v" in cells):
            journal = journal or cells.get("kind") == "lab"
            pi = pi or cells.get("type") == "config"
            segment += bool(records)
            for key, names in SAID.items():
                found = next((cells[one] for one in names if cells.get(one)), "")
                if found and told.setdefault(key, found) != found:
                    told[key] = ""  # the parts of the log measure different things
            continue
        journal = journal or (cells.get("kind") == "attempt" and "v" in cells)
        if "type" in cells and cells["type"] not in ("result", "run", "experiment", "attempt"):
            unreadable.append(Unreadable(line, f"an entry of type {clean_line(cells['type'], 30)}"))
            continue
        at = int(cells["segment"]) if cells.get("segment", "").isdigit() else segment
        records.append(Record(line, cells, at))
    columns = tuple(dict.fromkeys(key for record in records for key in record.cells))[:MOST_COLUMNS]
    shape = "pi" if pi or {"run", "metric", "status"} <= set(columns) else "journal" if journal else "jsonl"
    return Raw(name, shape, columns, tuple(records), tuple(unreadable), told)


def _of_journal(name: str, pages: Mapping[str, str]) -> Raw:
    """The journals of a bundle, as one history; which lab told what stands in the row."""
    text = "\n".join(page for page in pages.values())
    raw = _of_json(name, _json_lines(text))
    note = f"journals of {len(pages)} commits; their signatures are not checked here, `community sync` does that"
    return Raw(name, "journal", raw.columns, raw.records, raw.unreadable, raw.told, (note,))


def _flat(value: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, str]]:
    """The fields of an object as cells; those of an object inside it carry its name."""
    for key, inner in list(value.items())[:MOST_COLUMNS]:
        name = f"{before}{clean_line(str(key), 60)}"
        if isinstance(inner, dict) and not before:
            yield from _flat(inner, f"{name}_")
        elif inner is None:
            yield name, ""
        elif isinstance(inner, bool):
            yield name, str(inner).lower()
        elif isinstance(inner, str | int | float):
            yield name, _cell(str(inner))
        else:
            yield name, _cell(json.dumps(inner, ensure_ascii=False)[:CELL_CHARACTERS])
