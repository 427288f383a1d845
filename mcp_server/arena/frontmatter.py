"""Where in program.md the arena stands: between two lines of three dashes, at the top. Pure.

Editors and chats put things round a text that mean nothing: a byte-order mark, the line ends of another system, blank
lines before the first, a code fence. They are passed over; the lines are counted as they stand in the file.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from mcp_server.nouns.errors import ArenaError

_DASHES = re.compile(r"---\s*$")
_FENCE = re.compile(r"\s{0,3}(`{3,}|~{3,})\s*[\w.+-]*\s*$")
NONE_HERE = (
    "front matter must start with a line of three dashes. Put the arena between two `---` lines; "
    "`autoresearch adopt` writes it above the text of a repository that was made for another tool."
)


@dataclass(frozen=True)
class Split:
    """A program's text, taken apart. `first` is the line of the file, from 1, in which the YAML begins."""

    yaml: str
    memo: str
    first: int


def split(text: str, name: str = "program.md") -> Split:
    """The arena's YAML and the memo. Raises ArenaError for a text without front matter."""
    lines = re.split(r"\r\n|\n|\r", text.removeprefix("\ufeff"))
    at = _next_text(lines, 0)
    fence = _FENCE.match(lines[at]) if at < len(lines) else None
    if fence is not None:
        inside = _next_text(lines, at + 1)
        if inside == len(lines) or not _DASHES.match(lines[inside]):
            end = _closing(lines, at + 1, fence[1])
            if end is None or not re.match(r"\s*[A-Za-z_]+:", lines[inside] if inside < len(lines) else ""):
                raise ArenaError(f"{name}, line {at + 1}: {NONE_HERE}")
            return Split("\n".join(lines[at + 1 : end]), "\n".join(lines[end + 1 :]).strip(), at + 2)
        at = inside
    if at >= len(lines) or not _DASHES.match(lines[at]):
        raise ArenaError(f"{name}, line {min(at, len(lines) - 1) + 1}: {NONE_HERE}")
    end = next((i for i in range(at + 1, len(lines)) if _DASHES.match(lines[i])), None)
    if end is None:
        raise ArenaError(
            f"{name}: the front matter that starts in line {at + 1} never ends. Close it with a line of three dashes."
        )
    memo = lines[end + 1 :]
    if fence is not None:
        closing = _closing(lines, end + 1, fence[1])
        if closing is not None:  # the fence was round the arena, or round everything: either way its mark is no text
            memo = lines[end + 1 : closing] + lines[closing + 1 :]
    return Split("\n".join(lines[at + 1 : end]), "\n".join(memo).strip(), at + 2)


def has_front_matter(text: str) -> bool:
    """Whether there is one, right or wrong."""
    try:
        return bool(split(text).yaml.strip())
    except ArenaError as error:
        return "never ends" in str(error)


def _next_text(lines: list[str], at: int) -> int:
    while at < len(lines) and not lines[at].strip():
        at += 1
    return at


def _closing(lines: list[str], at: int, mark: str) -> int | None:
    """The line that closes a fence opened with `mark`."""
    wanted = re.compile(rf"\s{{0,3}}{re.escape(mark[0])}{{{len(mark)},}}\s*$")
    return next((i for i in range(at, len(lines)) if wanted.match(lines[i])), None)
