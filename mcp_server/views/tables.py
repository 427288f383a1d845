"""results.tsv and learnings.md: drawn from the ledger, replaced whole, never read back as truth.

`results.tsv` begins with the reference project's five columns, so that its analysis notebook opens it. `learnings.md`
is for people; each line it draws carries a hidden mark, so that what a person wrote between them is found.
"""

from __future__ import annotations

import csv
import hashlib
import io
import math
import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from mcp_server.edits.themes import Theme
from mcp_server.memory.wording import Tried, line, signed
from mcp_server.nouns.files import write_atomically
from mcp_server.nouns.numbers import fixed
from mcp_server.nouns.text import LEARNING_CHARACTERS, clean_block, clean_line

REFERENCE_COLUMNS = ("commit", "val_bpb", "memory_gb", "status", "description")
OWN_COLUMNS = (
    "experiment", "score", "metric", "unit", "direction", "outcome", "label", "reason", "gain", "noise_widths", "runs",
    "seeds", "seconds", "steps", "machine", "tainted", "theme", "at",
)  # fmt: skip


@dataclass(frozen=True)
class ResultRow:
    """One decided experiment, as results.tsv shows it. None is an empty cell, never zero."""

    experiment: int
    commit: str
    outcome: str  # a records.Status value
    description: str
    score: float | None = None
    memory_gb: float | None = None
    label: str = ""
    reason: str = ""
    delta: float | None = None  # gain over the incumbent, more is better
    noise_widths: float | None = None
    runs: int = 1
    seeds: tuple[int, ...] = ()
    seconds: float | None = None
    steps: int | None = None
    machine: str = ""
    tainted: str = ""
    theme: str = ""
    at: str = ""


def results_tsv(rows: Sequence[ResultRow], metric: str = "val_bpb", unit: str = "", direction: str = "minimize") -> str:
    """The table as text. Rows without an outcome yet belong to lab_status, not here."""
    out = io.StringIO()
    table = csv.writer(out, dialect="excel-tab", lineterminator="\n")
    table.writerow((*REFERENCE_COLUMNS, *OWN_COLUMNS))
    for row in rows:
        table.writerow(
            (
                row.commit[:7],
                # A crash has no score; the notebook reads an empty cell as NaN and leaves crashes out of its plot.
                "" if row.score is None or not math.isfinite(row.score) else fixed(row.score),
                _number(row.memory_gb, ".1f"),
                reference_status(row),
                _cell(row.description) or "(no description)",
                row.experiment,
                _number(row.score, ".9g"),
                _cell(metric),
                _cell(unit),
                direction,
                row.outcome,
                row.label,
                row.reason,
                _number(row.delta, "+.6g"),
                _number(row.noise_widths, "+.2f"),
                row.runs,
                " ".join(map(str, row.seeds)),
                _number(row.seconds, ".1f"),
                "" if row.steps is None else row.steps,
                _cell(row.machine),
                _cell(row.tainted),
                row.theme,
                row.at,
            )
        )
    return out.getvalue()


def reference_status(row: ResultRow) -> str:
    """keep, discard or crash: the three words the reference knows. Whatever has no score is a crash to it."""
    if row.outcome == "kept":
        return "keep"
    return "discard" if row.score is not None and math.isfinite(row.score) else "crash"


def write_results(
    path: Path,
    rows: Sequence[ResultRow],
    metric: str,
    unit: str,
    direction: str,
    note: Callable[[str, bytes], None] | None = None,
) -> None:
    """Raises OSError; the old file stays whole. `note` is told the name and the content before they are on disk."""
    _write(path, results_tsv(rows, metric, unit, direction), note)


def _write(path: Path, text: str, note: Callable[[str, bytes], None] | None) -> None:
    content = text.encode()
    if note is not None:
        note(path.name, content)
    write_atomically(path, content)


def _number(value: float | None, form: str) -> str:
    return "" if value is None or not math.isfinite(value) else format(value, form)


def _cell(text: str) -> str:
    cell = clean_line(text)
    # a spreadsheet would work out `=cmd(...)`; the notebook strips the space
    return f" {cell}" if cell.startswith(("=", "+", "-", "@")) else cell


# --- learnings.md -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Entry:
    """One learning, as the page shows it. `tried` is the experiment it came from."""

    id: int
    text: str
    at: str = ""
    source: str = "agent"  # agent | person
    tried: Tried | None = None
    tags: tuple[str, ...] = ()

    @property
    def theme(self) -> str:
        if self.tried is not None and self.tried.theme:
            return self.tried.theme
        return next((tag for tag in self.tags if tag in set(Theme)), Theme.OTHER)


_MARK = re.compile(r"\s*<!--ar:([0-9a-f]{8})-->\s*$")
_BULLET = re.compile(r"^\s*(?:[-*+]\s+|\d{1,3}[.)]\s+|>\s?)")
_NO_LESSON = re.compile(r"^\s*(?:#{1,6}(?:\s|$)|<!--|-{3,}\s*$|={3,}\s*$|\*{3,}\s*$|`{3,}|~{3,})")
_WORKED = "What worked"
_FAILED = "What did not"
_NOTED = "Noted"


def learnings_md(entries: Sequence[Entry], experiments: Sequence[Tried] = (), campaign: str = "", lab: str = "") -> str:
    """The page: newest lessons first within each theme, the theme with the newest lesson first."""
    lines = [f"# What was learned{f' in {_markdown(campaign)}' if campaign else ''}", "", _summary(experiments), ""]
    lines += [
        "Newest first, by theme. Add lines of your own anywhere: they become lessons; to correct one, edit its line. "
        "The page is drawn anew after each experiment.",
        "",
    ]
    newest_first = sorted(entries, key=lambda entry: -entry.id)
    for theme in dict.fromkeys(entry.theme for entry in newest_first):
        lines += [f"## {theme.capitalize()}", ""]
        of_theme = [entry for entry in newest_first if entry.theme == theme]
        for heading in (_WORKED, _FAILED, _NOTED):
            chosen = [entry for entry in of_theme if _place(entry) == heading]
            if chosen:
                lines += [f"### {heading}", "", *map(_lesson, chosen), ""]
    silent = _failures_without_a_lesson(entries, experiments)
    if silent:
        lines += ["## Failures nobody drew a lesson from", "", *(f"- {_markdown(line(t))}" for t in silent), ""]
    if not entries:
        lines += ["No lessons yet.", ""]
    page = "\n".join(_marked(text) if text else "" for text in lines).rstrip("\n") + "\n"
    return f"{page}\n<!--{lab}-->\n" if lab else page


def write_learnings(
    path: Path,
    entries: Sequence[Entry],
    experiments: Sequence[Tried] = (),
    campaign: str = "",
    lab: str = "",
    note: Callable[[str, bytes], None] | None = None,
) -> None:
    """Raises OSError; the old file stays whole. Take in what a person wrote first. `lab`: the mark of who draws."""
    _write(path, learnings_md(entries, experiments, campaign, lab), note)


def taken_in(text: str, known: Collection[str] = ()) -> list[str]:
    """The lessons a person wrote into the page, in order: new lines, and lines of ours that they changed.

    A line of ours carries a mark made from its own text, so the page that was drawn need not be remembered. `known`:
    texts the memory holds already; they are not taken in twice.
    """
    seen = {_squeezed(one) for one in known}
    found: list[str] = []
    open_paragraph = False
    fenced = False
    for raw in text.replace("\r\n", "\n").split("\n"):
        mark = _MARK.search(raw)
        body = raw[: mark.start()] if mark else raw
        if mark and _digest(body) == mark[1]:
            open_paragraph = False
            continue
        if not body.strip() or (not fenced and _NO_LESSON.match(body)):
            fenced = fenced != bool(re.match(r"\s*(?:`{3,}|~{3,})", body))
            open_paragraph = False
            continue
        if fenced:
            fenced = not re.match(r"\s*(?:`{3,}|~{3,})", body)
            continue
        bare = _BULLET.sub("", body, count=1).strip()
        if mark:
            bare = _undressed(bare)
        if open_paragraph and not _BULLET.match(body):
            found[-1] += "\n" + bare
        else:
            found.append(bare)
        open_paragraph = not mark
    lessons: list[str] = []
    for one in found:
        lesson = clean_block(one, LEARNING_CHARACTERS)
        if re.search(r"\w", lesson) and _squeezed(lesson) not in seen:
            seen.add(_squeezed(lesson))
            lessons.append(lesson)
    return lessons


def unsaid(text: str, known: Collection[str]) -> list[str]:
    """Lines of a page that are neither ours nor in a lesson that the memory holds: drawing anew would lose them."""
    lessons = [_squeezed(one) for one in known]
    found = []
    for raw in text.replace("\r\n", "\n").split("\n"):
        mark = _MARK.search(raw)
        body = raw[: mark.start()] if mark else raw
        if (mark and _digest(body) == mark[1]) or body.startswith("<!--autoresearch"):
            continue
        bare = _squeezed(_undressed(_BULLET.sub("", body, count=1).strip()))
        if bare and not any(bare in lesson for lesson in lessons):
            found.append(raw)
    return found


def _summary(experiments: Sequence[Tried]) -> str:
    counts: dict[str, int] = {}
    for tried in experiments:
        outcome = "baseline" if tried.outcome == "kept" and tried.label == "baseline" else tried.outcome
        counts[outcome] = counts.get(outcome, 0) + 1
    confirmed = sum(tried.outcome == "kept" and tried.label == "confirmed" for tried in experiments)
    said = ", ".join(f"{count} {outcome}" for outcome, count in sorted(counts.items(), key=lambda item: -item[1]))
    if confirmed:
        said = said.replace(f"{counts['kept']} kept", f"{counts['kept']} kept ({confirmed} confirmed)")
    return f"The last {len(experiments)} experiments: {said}." if experiments else "No experiments yet."


def _place(entry: Entry) -> str:
    if entry.tried is None or entry.tried.label == "baseline":
        return _NOTED
    if entry.tried.outcome == "kept":
        return _WORKED
    if entry.tried.doubt:
        return _NOTED  # it neither worked nor failed
    return _FAILED if entry.tried.outcome in ("discarded", "crashed", "timeout", "rejected") else _NOTED


def _lesson(entry: Entry) -> str:
    text = _markdown(" / ".join(part.strip() for part in entry.text.split("\n") if part.strip()))
    if entry.tried is not None:
        change = "" if entry.tried.delta is None else f" {signed(entry.tried.delta)}"
        return f"- **#{entry.tried.number}** {entry.tried.came}{change}: {text}"
    return f"- {'*by hand:* ' if entry.source == 'person' else ''}{text}"


def _failures_without_a_lesson(entries: Sequence[Entry], experiments: Sequence[Tried]) -> list[Tried]:
    """What ended without a score and left no word, newest first: as telling as a lesson, and soon forgotten."""
    explained = {entry.tried.number for entry in entries if entry.tried is not None}
    ended = ("crashed", "timeout", "rejected")
    return [
        t for t in sorted(experiments, key=lambda t: -t.number) if t.outcome in ended and t.number not in explained
    ][:20]


def _markdown(text: str) -> str:
    """One line of an agent's text that cannot open a comment, a tag, a picture or a link of its own."""
    line_of_text = clean_line(text, 4 * LEARNING_CHARACTERS)
    return line_of_text.replace("&", "&amp;").replace("<", "&lt;").replace("](", "]\\(")


def _undressed(text: str) -> str:
    """The lesson within a line of ours."""
    text = re.sub(r"^\*\*#\d+\*\* \w[\w ]*?(?: [+−][\d.e+−]+)?: |^\*by hand:\* ", "", text)
    return text.replace("]\\(", "](").replace("&lt;", "<").replace("&amp;", "&")


def _marked(text: str) -> str:
    return f"{text} <!--ar:{_digest(text)}-->"


def _digest(text: str) -> str:
    return hashlib.sha256(text.rstrip().encode("utf-8", "replace")).hexdigest()[:8]


def _squeezed(text: str) -> str:
    return " ".join(re.findall(r"\w+", text.lower()))
