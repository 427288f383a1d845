"""One experiment as memory sees it, and how it reads in one line. Pure.

A change is a gain over the incumbent in the arena's unit: more is better, whichever way the metric runs.
"""

from __future__ import annotations

from dataclasses import dataclass

from mcp_server.edits.fingerprint import KnobChange
from mcp_server.edits.themes import Theme
from mcp_server.nouns.numbers import fixed
from mcp_server.nouns.records import Kind
from mcp_server.nouns.text import clean_line

LINE_CHARACTERS = 260
KEPT = "kept"


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
    kind: Kind = Kind.ATTEMPT
    origin: str = ""  # the lab that tried it; "" for our own

    @property
    def came(self) -> str:
        """The outcome in words: what is within noise did not fail, nobody knows."""
        return self.doubt if self.doubt and self.outcome == "discarded" else self.outcome


def line(tried: Tried, limit: int = LINE_CHARACTERS) -> str:
    """`#12 discarded −0.0003 (0.4 widths): MATRIX_LR 0.04→0.05 — description — learned: …`"""
    whose = f"{tried.origin}/{tried.number}" if tried.number else tried.origin  # what runs there has no number yet
    head = f"{whose} {tried.came}" if tried.origin else f"#{tried.number} {tried.came}"
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
    if tried.origin and said:
        text = text.replace(said, f"“{said}”", 1)  # a stranger's words
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
