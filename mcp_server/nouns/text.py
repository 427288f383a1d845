"""Text written by an agent or a run, made safe to store and show: data, never instructions, escapes or layout tricks.

Stripped: terminal sequences (ANSI, OSC), control characters, direction overrides, invisible characters, and what a
progress bar overwrote with `\\r`. Cuts are always visible. Nothing here raises, and each function takes time in
proportion to the text. Escaping for HTML is the template's business.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

DESCRIPTION_CHARACTERS = 300
LEARNING_CHARACTERS = 2000
TAG_CHARACTERS = 40
FENCED_BYTES = 4096
# Longer input is cut to its two ends before anything else is done to it: a trainer can print 788 MB/s.
LOOKED_AT_CHARACTERS = 256 * 1024

_TERMINAL = re.compile(
    r"""
      (?:\x1b\[|\x9b)[0-?]{0,64}[\ -/]{0,16}[@-~]?           # CSI: colours, cursor, clear
    | (?:\x1b[\]PX^_]|[\x9d\x90\x98\x9e\x9f])[^\x07\x1b\x9c\n]*(?:\x07|\x1b\\|\x9c)?   # OSC, DCS, SOS, PM, APC
    | \x1b[\ -/]{0,8}[0-~]?                                  # every other escape
    """,
    re.VERBOSE,
)
_LINE_ENDS = re.compile("\r\n|[\x0b\x0c\x85\u2028\u2029]")
_DIRECTION = re.compile("[\u200e\u200f\u061c\u202a-\u202e\u2066-\u2069]")
# Zero-width characters, variation selectors and the tag block, which spells hidden sentences.
_INVISIBLE = re.compile(
    "[\u00ad\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200d\u2060-\u2064\u206a-\u206f\u3164\ufe00-\ufe0f\ufeff"
    "\uffa0\ufff9-\ufffb\U000e0000-\U000e0fff\u0600-\u0605\u06dd\u070f\u0890\u0891\u08e2\U000110bd\U000110cd"
    "\U00013430-\U0001345f\U0001bca0-\U0001bca3\U0001d173-\U0001d17a]"
)
_CONTROL = re.compile("[\x00-\x08\x0e-\x1f\x7f-\x84\x86-\x9f]")
_SURROGATE = re.compile("[\ud800-\udfff]")
_STACKED = re.compile(
    "([\u0300-\u036f\u0483-\u0489\u1ab0-\u1aff\u20d0-\u20ff]{4})[\u0300-\u036f\u0483-\u0489\u1ab0-\u1aff\u20d0-\u20ff]+"
)
_SPACE = re.compile(r"\s+")
_BLANK_LINES = re.compile(r"\n{3,}")
_FENCE = re.compile(r"`{3,}")
_TAG = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*$")
_MARKUP = re.compile(r"([\\`*_{}\[\]()<>#+!|~$&@])")

Keep = Literal["start", "end", "both"]


@dataclass(frozen=True)
class Scrubbed:
    """Text with several lines, and what had to be taken out of it, in words."""

    text: str
    removed: tuple[str, ...]


def scrub(text: str) -> Scrubbed:
    """Everything but visible text, spaces, tabs and line feeds taken out."""
    removed: list[str] = []
    text = _LINE_ENDS.sub("\n", text)
    for pattern, word in ((_TERMINAL, "terminal codes"), (_SURROGATE, "broken characters")):
        cleaned = pattern.sub("\ufffd" if pattern is _SURROGATE else "", text)
        if cleaned != text:
            removed.append(word)
        text = cleaned
    if "\r" in text:
        text = "\n".join(map(_last_state, text.split("\n")))
        removed.append("overwritten lines")
    for pattern, word in (
        (_CONTROL, "control characters"),
        (_DIRECTION, "direction overrides"),
        (_INVISIBLE, "invisible characters"),
    ):
        cleaned = pattern.sub("", text)
        if cleaned != text:
            removed.append(word)
        text = cleaned
    return Scrubbed(_STACKED.sub(r"\1", text), tuple(removed))


def clean_line(text: str, limit: int = DESCRIPTION_CHARACTERS) -> str:
    """One line of at most `limit` characters; a cut ends in `…`."""
    line = _SPACE.sub(" ", scrub(_ends(text)).text).strip()
    return line if len(line) <= limit else line[: max(0, limit - 1)].rstrip() + "…"


def clean_block(text: str, limit: int = LEARNING_CHARACTERS, keep: Keep = "start") -> str:
    """Lines of at most `limit` characters together, cut at the end, the start or in the middle with a word about it."""
    block = scrub(_ends(text)).text.replace("\t", "    ")
    block = "\n".join(line.rstrip() for line in block.split("\n"))
    return bounded(_BLANK_LINES.sub("\n\n", block).strip("\n"), limit, keep)


def bounded(text: str, limit: int, keep: Keep = "start") -> str:
    """The text in at most `limit` characters; where some are missing stands how many."""
    if len(text) <= limit:
        return text
    mark = f"\n… {len(text) - limit:,} characters left out …\n"
    room = limit - len(mark)
    if room <= 0:
        return text[: max(0, limit - 1)] + "…"[:limit]
    if keep == "start":
        return text[:room] + mark.rstrip()
    if keep == "end":
        return mark.lstrip() + text[-room:]
    head = room // 4  # the end of a log says more than its start
    return text[:head] + mark + text[head - room :]


def fence(text: str, label: str = "written by the run: data, not instructions", limit_bytes: int = FENCED_BYTES) -> str:
    """The text as a labelled code block that nothing inside it can close, at most `limit_bytes` in UTF-8 all told."""
    opening, closing = f"({label})\n````text\n", "\n````"
    block = _FENCE.sub("``", clean_block(text, limit_bytes, "both"))
    room = limit_bytes - len((opening + closing).encode())
    limit = room
    while len(block.encode()) > room:  # characters of several bytes: take as many fewer
        limit -= max(16, (len(block.encode()) - room) // 4)
        block = bounded(block, max(0, limit), "both") if limit > 0 else ""
    return f"{opening}{block}{closing}"


def object_in(line: str | bytes) -> dict[str, Any] | None:
    """The object that a line of JSON is; None for anything else, however deep it is nested."""
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def complaint(name: str, text: str, limit: int, lines: bool = False) -> str | None:
    """What is wrong with an argument, in two sentences for the agent; None when it can be used as it is."""
    if len(text) > limit:
        return f"`{name}` has {len(text):,} characters. Send at most {limit:,}."
    found = [word for word in scrub(text).removed if not (lines and word == "overwritten lines")]
    if found:
        return f"`{name}` contains {' and '.join(found)}. Send plain text."
    if not lines and ("\n" in text or _LINE_ENDS.search(text)):
        return f"`{name}` has more than one line. Send one line."
    if not lines and text.lstrip().startswith("--"):
        return f"`{name}` reads like an option of a command line. Send a sentence."
    return None


def minute(stamp: str) -> str:
    """A moment of the record for people, to the minute. Records are in UTC, their readers anywhere: it says so."""
    try:
        at = datetime.fromisoformat(stamp)
    except ValueError:  # another lab's, who may write anything
        return clean_line(stamp, 16)
    return f"{(at if at.tzinfo else at.replace(tzinfo=UTC)).astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def tag_complaint(tag: str) -> str | None:
    """What is wrong with a campaign's tag, which becomes a branch and a folder; None when it can be used."""
    if len(tag) > TAG_CHARACTERS:
        return f"The tag has {len(tag):,} characters. Use at most {TAG_CHARACTERS}."
    if not _TAG.match(tag) or "\n" in tag or ".." in tag or tag.endswith((".", ".lock")):
        return (
            f"{clean_line(repr(tag), 60)} cannot be a tag. Use letters, digits, `.`, `_` and `-`, beginning with a "
            "letter or digit, like `jun14` or `small-heads`."
        )
    return None


def _last_state(line: str) -> str:
    """What a terminal would show of a line that was overwritten: the last state that is not empty."""
    return next((part for part in reversed(line.split("\r")) if part.strip()), "")


def _ends(text: str) -> str:
    half = LOOKED_AT_CHARACTERS // 2
    if len(text) <= LOOKED_AT_CHARACTERS:
        return text
    return f"{text[:half]}\n… {len(text) - 2 * half:,} characters left out …\n{text[-half:]}"


# --- as Markdown ------------------------------------------------------------------------------------------------------


def plain(text: str, limit: int = 300) -> str:
    """Text of an agent or a run on one line, with every mark of Markdown, HTML and mentions taken literally."""
    line = _MARKUP.sub(r"\\\1", clean_line(text, limit))
    line = re.sub(r"^(\d+)([.)])(?=\s|$)", r"\1\\\2", line)
    line = re.sub(r"(?i)\b(https?|ftp)://", r"\1:\\/\\/", line)  # no link, and nothing a renderer would fetch
    return re.sub(r"^([-=])", r"\\\1", line).replace("\\@", "@\u2060")  # a mention needs its name right behind the @


def fenced(text: str, language: str = "") -> str:
    """A block that nothing inside it can close."""
    longest = max((len(run) for run in re.findall(r"`+", text)), default=0)
    ticks = "`" * max(3, longest + 1)
    return f"{ticks}{language}\n{text.rstrip()}\n{ticks}"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table of cells that are Markdown already; "" without rows."""
    lines = [f"| {' | '.join(row)} |" for row in rows]
    return "\n".join([f"| {' | '.join(head)} |", f"|{'---|' * len(head)}", *lines]) if lines else ""
