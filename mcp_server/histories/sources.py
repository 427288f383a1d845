"""Where a history stands: a log, a folder that holds one, a bundle of journals, or a branch whose commits carry scores.

What is read here is text with its lines, bounded in every direction; what it means is `sniff`'s business.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from mcp_server.histories import branch
from mcp_server.histories.rows import Raw, Record, Unreadable
from mcp_server.histories.tables import (
    CELL_CHARACTERS,
    LINE_CHARACTERS,
    MOST_COLUMNS,
    MOST_ROWS,
    cell_of,
    measured,
    of_table,
)
from mcp_server.nouns.errors import NotNow, WorkspaceError
from mcp_server.nouns.text import clean_line
from mcp_server.repo.git import Repository

FILE_BYTES = 32 * 2**20
# what a folder is searched for, by the tools that write it
LOGS = (
    *(".auto/log.jsonl", "autoresearch.jsonl", ".autoresearch/autoresearch.jsonl", "results.tsv", "results.csv"),
    *("results/results.tsv", "autoresearch-results.tsv", "records.jsonl"),
)
SAID = {"metricName": ("metric_name",), "bestDirection": ("direction",)}
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
    return of_table(path.name, text)


# --- JSON -------------------------------------------------------------------------------------------------------------


def _json_lines(text: str) -> Iterator[tuple[int, object]]:
    """Each object with the line where it begins; most logs write one a line, some spread it over several."""
    if _spread(text):
        yield from _objects(text)
        return
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            if len(line) > LINE_CHARACTERS:
                yield number, ValueError(f"a line of {len(line):,} characters; at most {LINE_CHARACTERS:,} are taken")
                continue
            yield number, _parsed(line)


def _spread(text: str) -> bool:
    try:
        return "\n" in text[: json.JSONDecoder().raw_decode(text.lstrip())[1]]
    except (ValueError, RecursionError):
        return False


def _objects(text: str) -> Iterator[tuple[int, object]]:
    """Objects one after the other, wherever their lines end."""
    decoder, line, at = json.JSONDecoder(), 1, 0
    while (begins := text.find("{", at)) >= 0:
        line, at = line + text.count("\n", at, begins), begins
        try:
            value, ends = decoder.raw_decode(text, begins)
        except (ValueError, RecursionError):
            yield line, ValueError("from here on it is no JSON")
            return
        yield line, value
        line, at = line + text.count("\n", begins, ends), ends


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
    rows = [one for one in lists if one and all(isinstance(row, dict) for row in one) and measured(one[0])]
    return enumerate(rows[0], 1) if len(rows) == 1 else None


def _json_list(path: Path, text: str) -> Iterator[tuple[int, object]]:
    found = _parsed(text)
    if not isinstance(found, list):
        raise NotNow(f"{path} begins with [ and is no list in JSON. Mend it, or name another log.")
    yield from enumerate(found, 1)


def _of_json(name: str, lines: Iterator[tuple[int, object]]) -> Raw:
    records: list[Record] = []
    unreadable: list[Unreadable] = []
    said: dict[str, str] = {}  # by the last config line, of the rows that follow it
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
            found = {
                name: next((cells[one] for one in (name, *names) if cells.get(one)), "") for name, names in SAID.items()
            }
            said = {name: value for name, value in found.items() if value}
            continue
        journal = journal or (cells.get("kind") == "attempt" and "v" in cells)
        if "type" in cells and cells["type"] not in ("result", "run", "experiment", "attempt"):
            unreadable.append(Unreadable(line, f"an entry of type {clean_line(cells['type'], 30)}"))
            continue
        at = int(cells["segment"]) if cells.get("segment", "").isdigit() else segment
        records.append(
            Record(line, {**cells, **{name: value for name, value in said.items() if name not in cells}}, at)
        )
    columns = tuple(dict.fromkeys(key for record in records for key in record.cells))[:MOST_COLUMNS]
    shape = "pi" if pi or {"run", "metric", "status"} <= set(columns) else "journal" if journal else "jsonl"
    return Raw(name, shape, columns, tuple(records), tuple(unreadable))


def _of_journal(name: str, pages: Mapping[str, str]) -> Raw:
    """The journals of a bundle, as one history; which lab told what stands in the row."""
    text = "\n".join(page for page in pages.values())
    raw = _of_json(name, _json_lines(text))
    note = f"journals of {len(pages)} commits; their signatures are not checked here, `community sync` does that"
    return Raw(name, "journal", raw.columns, raw.records, raw.unreadable, notes=(note,))


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
            yield name, cell_of(str(inner))
        else:
            yield name, cell_of(json.dumps(inner, ensure_ascii=False)[:CELL_CHARACTERS])
