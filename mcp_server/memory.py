"""What was tried and what it taught: which learnings to admit, what to recall, how an experiment reads in one line.

Pure functions over plain records; the ledger stores and searches, this module judges, ranks and words. A change is a
gain over the incumbent in the arena's unit: more is better, whichever way the metric runs.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Sequence
from dataclasses import dataclass

from mcp_server.edits.fingerprint import KnobChange
from mcp_server.edits.themes import Theme
from mcp_server.nouns.numbers import fixed
from mcp_server.nouns.text import LEARNING_CHARACTERS, clean_block, clean_line, scrub

LINE_CHARACTERS = 260
NEAR_DUPLICATE = 0.8  # share of three-word pieces two lessons have in common

KEPT = "kept"

_WORD = re.compile(r"[a-z0-9_]+(?:\.\d+)?")
_NUMBER = re.compile(r"\d+(?:\.\d+)?(?:e-?\d+)?")
_NAME = re.compile(r"\b[A-Z][A-Z0-9_]{2,}\b")
# Words that turn a lesson round: two texts that differ in one of these say different things.
_TURNING = frozenset(
    {
        "not",
        "no",
        "never",
        "without",
        "but",
        "better",
        "worse",
        "helps",
        "hurts",
        "helped",
        "hurt",
        "faster",
        "slower",
        "higher",
        "lower",
        "more",
        "less",
        "up",
        "down",
        "increase",
        "decrease",
        "increases",
        "decreases",
        "gain",
        "loss",
        "wins",
        "loses",
        "stable",
        "unstable",
        "diverges",
        "converges",
    }
)


@dataclass(frozen=True)
class Tried:
    """One experiment as memory sees it."""

    number: int
    description: str
    outcome: str = "scored"  # a records.Status value
    label: str = ""  # provisional, confirmed, simplification, baseline
    delta: float | None = None  # gain over the incumbent, more is better
    noise_widths: float | None = None
    doubt: str = ""  # why the gain says nothing: "within noise", "within what the machine moved"; "" if it does
    score: float | None = None
    reason: str = ""  # reason code of a crash or a rejection
    knobs: tuple[KnobChange, ...] = ()
    hypothesis: str = ""
    expected: float | None = None  # the gain foretold
    learned: tuple[str, ...] = ()
    theme: str = Theme.OTHER
    campaign: str = ""
    kind: str = "attempt"

    @property
    def came(self) -> str:
        """The outcome in words: what is within noise did not fail, nobody knows."""
        return self.doubt if self.doubt and self.outcome == "discarded" else self.outcome


# --- admitting learnings ----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Admission:
    """A lesson's text as it will be stored, or None and why not; `notes` say what was changed."""

    text: str | None
    refusal: str = ""
    notes: tuple[str, ...] = ()
    like: int | None = None  # place of the earlier text that says the same


def admit(text: str, earlier: Sequence[str] = ()) -> Admission:
    """Whether a learning is taken into the shared memory. `earlier`: the texts it holds already, oldest first."""
    if len(text) > LEARNING_CHARACTERS:
        return Admission(
            None,
            f"The learning has {len(text):,} characters; the memory takes {LEARNING_CHARACTERS:,}. Say the lesson in a "
            "few sentences: what you changed, what happened, why you think so.",
        )
    removed = [word for word in scrub(text).removed if word != "overwritten lines" or "\r" in text.replace("\r\n", "")]
    cleaned = clean_block(text, LEARNING_CHARACTERS)
    if not re.search(r"\w", cleaned):
        return Admission(None, "The learning is empty. Say what you changed, what happened and why you think so.")
    notes = (f"{' and '.join(removed)} were taken out",) if removed else ()
    for place in range(len(earlier) - 1, -1, -1):
        if says_the_same(cleaned, earlier[place]):
            return Admission(
                None,
                "The memory holds this already: "
                f"“{clean_line(earlier[place], 160)}”. Add only what is new, or go on with the next idea.",
                notes,
                place,
            )
    return Admission(cleaned, notes=notes)


def says_the_same(one: str, other: str) -> bool:
    """Whether two lessons are the same up to wording: same numbers and names, nearly the same word order."""
    a, b = _gist(one), _gist(other)
    if a.words == b.words:
        return True
    if (a.exact, a.turning) != (b.exact, b.turning) or not a.pieces or not b.pieces:
        return False
    common = len(a.pieces & b.pieces)
    return common >= NEAR_DUPLICATE * len(a.pieces | b.pieces)


@dataclass(frozen=True)
class _Gist:
    words: tuple[str, ...]
    pieces: frozenset[tuple[str, ...]]
    exact: frozenset[str]
    turning: frozenset[str]


@functools.lru_cache(maxsize=8192)
def _gist(text: str) -> _Gist:
    words = tuple(_WORD.findall(text.lower()))
    pieces = frozenset(zip(words, words[1:], words[2:], strict=False)) if len(words) > 4 else frozenset()
    exact = frozenset(_NUMBER.findall(text)) | frozenset(_NAME.findall(text))
    return _Gist(words, pieces, exact, _TURNING.intersection(words))


# --- one line ---------------------------------------------------------------------------------------------------------


def line(tried: Tried, limit: int = LINE_CHARACTERS) -> str:
    """`#12 discarded −0.0003 (0.4 widths): MATRIX_LR 0.04→0.05 — description — learned: …`"""
    head = f"#{tried.number} {tried.came}"
    if tried.label and tried.outcome == KEPT:
        head += f" ({tried.label})"
    if tried.delta is not None:
        head += f" {signed(tried.delta)}"
        if tried.noise_widths is not None:
            head += f" ({fixed(abs(tried.noise_widths), 1)} widths)"
    elif tried.reason:
        head += f" ({tried.reason})"
    moved = ", ".join(short_change(change) for change in tried.knobs[:4])
    if len(tried.knobs) > 4:
        moved += f" and {len(tried.knobs) - 4} more"
    said = clean_line(tried.description, 120)
    parts = [part for part in (moved, "" if moved and said.replace(" -> ", "→") == moved else said) if part]
    text = f"{head}: {' — '.join(parts)}" if parts else head
    if tried.learned:
        text += f" — learned: {clean_line(tried.learned[-1], 160)}"
    return clean_line(text, limit)


def short_change(change: KnobChange) -> str:
    """`MATRIX_LR 0.04→0.05`"""
    before, after = clean_line(change.before or "", 30), clean_line(change.after or "", 30)
    if change.before is None:
        return f"{change.name} +{after}"
    return f"{change.name} {before}→{after}" if change.after is not None else f"{change.name} −{before}"


def signed(value: float) -> str:
    """A change with a typographic sign and four significant digits at most: −0.0031, +1.2e−05, 0."""
    if value == 0:
        return "0"
    text = f"{abs(value):.4f}" if 0.001 <= abs(value) < 10_000 else f"{abs(value):.2g}"
    if "." in text and "e" not in text:
        text = text.rstrip("0").rstrip(".")
    return ("−" if value < 0 else "+") + text.replace("e-", "e−")
