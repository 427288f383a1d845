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
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mcp_server.edits.themes import Theme
from mcp_server.memory.wording import line, signed
from mcp_server.nouns.attempt import Attempt
from mcp_server.nouns.files import write_atomically
from mcp_server.nouns.numbers import fixed
from mcp_server.nouns.records import RunResult, RunState, Status
from mcp_server.nouns.rows import Learning
from mcp_server.nouns.text import LEARNING_CHARACTERS, clean_block, clean_line

REFERENCE_COLUMNS = ("commit", "val_bpb", "memory_gb", "status", "description")
OWN_COLUMNS = (
    "experiment", "score", "metric", "unit", "direction", "outcome", "label", "reason", "gain", "noise_widths", "runs",
    "seeds", "seconds", "steps", "machine", "tainted", "theme", "at",
)  # fmt: skip


def results_tsv(
    attempts: Sequence[Attempt], metric: str = "val_bpb", unit: str = "", direction: str = "minimize"
) -> str:
    """The table as text; an empty cell was not measured, never zero. What is open belongs to lab_status."""
    return HEADER + "".join(result_line(one, metric, unit, direction) for one in attempts)


def _line(cells: Iterable[object]) -> str:
    out = io.StringIO()
    csv.writer(out, dialect="excel-tab", lineterminator="\n").writerow(cells)
    return out.getvalue()


HEADER = _line((*REFERENCE_COLUMNS, *OWN_COLUMNS))


def result_line(attempt: Attempt, metric: str = "val_bpb", unit: str = "", direction: str = "minimize") -> str:
    """One row of the table."""
    return _line(_cells(attempt, metric, unit, direction))


def _cells(attempt: Attempt, metric: str, unit: str, direction: str) -> tuple[object, ...]:
    experiment, runs, score = attempt.experiment, attempt.runs, attempt.score
    shown = next((run for run in runs if run.counts), None) or next((run for run in runs if run.result), None)
    result = (shown.result if shown else None) or RunResult(state=RunState.LOST)  # that tells nothing
    memory_mb = result.peak_memory_mb
    return (
        (experiment.commit_sha or experiment.snapshot)[:7],
        # A crash has no score; the notebook reads an empty cell as NaN and leaves crashes out of its plot.
        "" if score is None or not math.isfinite(score) else fixed(score),
        _number(None if memory_mb is None else memory_mb / 1024, ".1f"),
        reference_status(attempt),
        _cell(experiment.description) or "(no description)",
        attempt.number,
        _number(score, ".9g"),
        _cell(metric),
        _cell(unit),
        direction,
        attempt.status,
        attempt.label,
        result.reason,
        _number(attempt.gain, "+.6g"),
        _number(attempt.widths, "+.2f"),
        len(runs),
        " ".join(str(seed) for seed in dict.fromkeys(run.seed for run in runs if run.counts)),
        _number(result.train_seconds, ".1f"),
        "" if result.steps is None else result.steps,
        _cell(shown.machine if shown else ""),
        _cell(shown.tainted if shown else ""),
        experiment.theme,
        experiment.decided_at or "",
    )


def with_rows(text: str, lines: Mapping[int, str]) -> str | None:
    """A table that was drawn before with some rows added or replaced, by experiment; None if it is no such table.

    Rows that come after all others, as nearly all do, are appended without a look at what was there.
    """
    if not text.startswith(HEADER) or not text.endswith("\n"):
        return None
    last = _experiment_of(text[text.rfind("\n", 0, -1) + 1 :]) if len(text) > len(HEADER) else 0
    if last is None:
        return None
    if all(number > last for number in lines):
        return text + "".join(lines[number] for number in sorted(lines))
    found: dict[int, str] = {}
    for row in text[len(HEADER) :].splitlines(keepends=True):
        number = _experiment_of(row)
        if number is None:
            return None
        found[number] = row
    found.update(lines)
    return HEADER + "".join(found[number] for number in sorted(found))


def _experiment_of(row: str) -> int | None:
    """The experiment of a row. No cell holds a tab: whatever becomes one was cleaned."""
    cells = row.split("\t", len(REFERENCE_COLUMNS) + 1)
    number = cells[len(REFERENCE_COLUMNS)] if len(cells) > len(REFERENCE_COLUMNS) + 1 else ""
    return int(number) if number.isdecimal() else None


def reference_status(attempt: Attempt) -> str:
    """keep, discard or crash: the three words the reference knows. Whatever has no score is a crash to it."""
    if attempt.status is Status.KEPT:
        return "keep"
    return "discard" if attempt.score is not None and math.isfinite(attempt.score) else "crash"


def write_results(
    path: Path,
    attempts: Sequence[Attempt],
    metric: str,
    unit: str,
    direction: str,
    note: Callable[[str, bytes], None] | None = None,
) -> None:
    """Raises OSError; the old file stays whole. `note` is told the name and the content before they are on disk."""
    write_drawn(path, results_tsv(attempts, metric, unit, direction), note)


def write_drawn(path: Path, text: str, note: Callable[[str, bytes], None] | None = None) -> None:
    """A view, replaced whole. Raises OSError; the old file stays whole. Take in what a person wrote there first."""
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
    """One learning, as the page shows it, with the experiment it came from."""

    learning: Learning
    attempt: Attempt | None = None

    @property
    def theme(self) -> str:
        if self.attempt is not None and self.attempt.experiment.theme:
            return self.attempt.experiment.theme
        return next((tag for tag in self.learning.tags if tag in set(Theme)), Theme.OTHER)


_MARK = re.compile(r"\s*<!--ar:([0-9a-f]{8})-->\s*$")
_BULLET = re.compile(r"^\s*(?:[-*+]\s+|\d{1,3}[.)]\s+|>\s?)")
_NO_LESSON = re.compile(r"^\s*(?:#{1,6}(?:\s|$)|<!--|-{3,}\s*$|={3,}\s*$|\*{3,}\s*$|`{3,}|~{3,})")
_WORKED = "What worked"
_FAILED = "What did not"
_NOTED = "Noted"
_NO_SCORE = (Status.CRASHED, Status.TIMEOUT, Status.REJECTED)


def learnings_md(
    entries: Sequence[Entry],
    experiments: Sequence[Attempt] = (),
    campaign: str = "",
    lab: str = "",
    elsewhere: Sequence[str] = (),
    older: int = 0,
) -> str:
    """The page: newest lessons first within each theme, the theme with the newest lesson first; then other labs'.

    older: lessons that are left out, for the memory holds too many for one page.
    """
    lines = [f"# What was learned{f' in {_markdown(campaign)}' if campaign else ''}", "", _summary(experiments), ""]
    lines += [
        "Newest first, by theme. Add lines of your own anywhere: they become lessons; to correct one, edit its line. "
        "The page is drawn anew after each experiment.",
        "",
    ]
    if older:
        lines += [f"The newest {len(entries)}; `autoresearch recall WORDS` finds {older:,} older ones as well.", ""]
    newest_first = sorted(entries, key=lambda entry: -entry.learning.id)
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
    if elsewhere:
        lines += ["## From other labs", "", "Their word is advice; what stands in quotes is theirs.", ""]
        lines += [*(f"- {_markdown(one)}" for one in elsewhere), ""]
    page = "\n".join(_marked(text) if text else "" for text in lines).rstrip("\n") + "\n"
    return f"{page}\n<!--{lab}-->\n" if lab else page


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


def _summary(experiments: Sequence[Attempt]) -> str:
    counts = Counter(one.outcome for one in experiments)
    confirmed = sum(one.status is Status.KEPT and one.label == "confirmed" for one in experiments)
    said = ", ".join(f"{count} {outcome}" for outcome, count in counts.most_common())
    if confirmed:
        said = said.replace(f"{counts['kept']} kept", f"{counts['kept']} kept ({confirmed} confirmed)")
    return f"The last {len(experiments)} experiments: {said}." if experiments else "No experiments yet."


def _place(entry: Entry) -> str:
    attempt = entry.attempt
    if attempt is None or attempt.outcome == "baseline":
        return _NOTED
    if attempt.status is Status.KEPT:
        return _WORKED
    if attempt.doubt:
        return _NOTED  # it neither worked nor failed
    return _FAILED if attempt.status in (Status.DISCARDED, *_NO_SCORE) else _NOTED


def _lesson(entry: Entry) -> str:
    text = _markdown(" / ".join(part.strip() for part in entry.learning.text.split("\n") if part.strip()))
    if entry.attempt is not None:
        change = "" if entry.attempt.gain is None else f" {signed(entry.attempt.gain)}"
        return f"- **#{entry.attempt.number}** {entry.attempt.came}{change}: {text}"
    return f"- {'*by hand:* ' if entry.learning.source == 'person' else ''}{text}"


def _failures_without_a_lesson(entries: Sequence[Entry], experiments: Sequence[Attempt]) -> list[Attempt]:
    """What ended without a score and left no word, newest first: as telling as a lesson, and soon forgotten."""
    explained = {(entry.attempt.campaign, entry.attempt.number) for entry in entries if entry.attempt is not None}
    silent = [one for one in experiments if one.status in _NO_SCORE and (one.campaign, one.number) not in explained]
    return sorted(silent, key=lambda one: -one.number)[:20]


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
