"""The words of a discussion with the ledger's numbers put in: `{{gain:12}}`. A number that is typed is refused. Pure.

Whatever Unicode counts as a digit or a number stands for one. Three things with digits may be typed, for they tell no
result: a record that the paper knows (`#12`, `a1b2c3d4/7`), a year after a name (`Okabe (2008)`), and a name that
begins with a letter (`bf16`, `GPT-2`). A placeholder stands alone: no sign or digit touches it. Numbers in words pass.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from mcp_server.nouns.errors import NotNow
from mcp_server.nouns.text import clean_block, plain

DISCUSSION_CHARACTERS = 40_000
MOST_FAULTS = 8
FIRST_YEAR = 1900
_PLACEHOLDER = re.compile(r"\{\{([^{}]*)\}\}")
_RECORD = re.compile(r"(?<![\w&#])#([0-9]{1,7})(?![\w.,]*\d|\s*[%‰])")
_ELSEWHERE = re.compile(r"(?<![\w/])([0-9a-f]{8}/[0-9]{1,8})(?![\w.,/]*\d|\s*[%‰])")
_YEAR = re.compile(r"\b([^\W\d_]+) \(([0-9]{4})\)")
_NAME = re.compile(r"(?<![\w.,])(?![xX]\d)(?:[A-Z]{2,}-\d\w*|[^\W\d_]\w*)")  # x5 is a factor
_SIGNS = "+-−–—±×*/=~<>^%$€."  # what would make another number of the one behind or before it
_MARKER = re.compile(r"(\s*)([-*] |#{3,4} )?(.*)", re.DOTALL)
_WORD = 600  # characters of a line's part


@dataclass(frozen=True)
class Values:
    """What placeholders may stand for: `name` or `name:12` as text, and tables by name."""

    words: Mapping[str, str]
    tables: Mapping[str, str]
    records: frozenset[int]  # experiments that may be cited
    others: frozenset[str]  # LAB/n of other labs that it tells of
    year: int  # of the paper; a later one is none


def fill(text: str, values: Values) -> str:
    """The discussion as Markdown. Raises NotNow that names every fault with its line; nothing is filled then."""
    if len(text) > DISCUSSION_CHARACTERS:
        raise NotNow(f"The discussion has {len(text):,} characters; a paper takes {DISCUSSION_CHARACTERS:,}.")
    faults: list[str] = []
    lines = []
    for number, line in enumerate(clean_block(text, 4 * DISCUSSION_CHARACTERS).split("\n"), 1):
        found = list(_faults(line, values))
        faults += [f"line {number}: {fault}" for fault in found]
        lines.append("" if found else _filled(line, values))
    if faults:
        more = f" and {len(faults) - MOST_FAULTS} more" if len(faults) > MOST_FAULTS else ""
        raise NotNow(
            f"The discussion was refused: {'; '.join(faults[:MOST_FAULTS])}{more}. Numbers come from placeholders such "
            "as {{gain:12}} or {{exam_gain}}; `autoresearch paper --placeholders` lists them with what they say."
        )
    return "\n".join(lines).strip("\n")


def _faults(line: str, values: Values) -> Iterator[str]:
    """What is wrong with one line."""
    before = ""
    for part, name in _parts(line):
        typed = _typed(part, values)
        if typed:
            yield f"{typed!r} is typed"
        if name is None:
            continue
        if name not in values.words and (name not in values.tables or line.strip() != f"{{{{{name}}}}}"):
            yield _unknown(name, values)
        head = _MARKER.fullmatch(part)
        text = head[3] if head and not before else part
        if text.rstrip()[-1:] and (text.rstrip()[-1] in _SIGNS[:-1] or (text[-1:] and text[-1] in _SIGNS)):
            yield f"{text.rstrip()[-1]!r} stands before {{{{{name}}}}} and would change what it says"
        behind = line[line.index(f"{{{{{name}}}}}", len(before + part)) + len(name) + 4 :] if name else ""
        if re.match(r"[\w%^*/{]|[.,]\w", behind):
            yield f"{behind[0]!r} stands right behind {{{{{name}}}}} and would change what it says"
        before += f"{part}{{{{{name}}}}}"


def _parts(line: str) -> Iterator[tuple[str, str | None]]:
    """Text and the placeholder behind it, in order; None behind the last text."""
    at = 0
    for found in _PLACEHOLDER.finditer(line):
        yield line[at : found.start()], found[1]
        at = found.end()
    yield line[at:], None


def _typed(text: str, values: Values) -> str:
    """The first number that somebody typed; "" where there is none."""
    allowed = [found.span() for found in _NAME.finditer(text)]
    allowed += [found.span() for found in _RECORD.finditer(text) if int(found[1]) in values.records]
    allowed += [found.span() for found in _ELSEWHERE.finditer(text) if found[1] in values.others]
    allowed += [
        found.span(2)
        for found in _YEAR.finditer(text)
        if found[1][0].isupper() and FIRST_YEAR <= int(found[2]) <= values.year
    ]
    for at, character in enumerate(text):
        kind = unicodedata.category(character)
        if kind in ("Nl", "No") or (kind == "Nd" and not any(a <= at < b for a, b in allowed)):
            found = re.match(r"[\w.,%]+", text[at:])
            return found[0].rstrip(".,") if found else character
    return ""


def _unknown(name: str, values: Values) -> str:
    shown = f"{{{{{name[:40]}}}}}"
    if name in values.tables:
        return f"{shown} is a table and needs a line of its own"
    kind = name.partition(":")[0].strip()
    near = sorted(one for one in values.words if one.partition(":")[0] == kind)
    if near:
        return f"{shown} has no value here; known: {', '.join(near[:6])}"
    return f"{shown} is no placeholder"


def _filled(line: str, values: Values) -> str:
    """Lists and small headings stay; every other mark of Markdown is taken literally."""
    name = line.strip().removeprefix("{{").removesuffix("}}")
    if name in values.tables and line.strip() == f"{{{{{name}}}}}":
        return f"\n{values.tables[name]}\n"
    marker = _MARKER.fullmatch(line)
    assert marker is not None  # it takes any text
    said = []
    for part, placeholder in _parts(marker[3]):
        body = part.strip()
        if body:
            said.append(" " * (part[:1].isspace()) + plain(body, _WORD * 10) + " " * (part[-1:].isspace()))
        elif part:
            said.append(" ")
        if placeholder is not None:
            said.append(values.words[placeholder])
    return (marker[2] or "") + "".join(said).strip()
