"""How an attempt reads in one line. Pure.

A change is a gain over the incumbent in the arena's unit: more is better, whichever way the metric runs.
"""

from __future__ import annotations

from mcp_server.edits.moves import ABSENT
from mcp_server.nouns.attempt import Attempt
from mcp_server.nouns.numbers import fixed
from mcp_server.nouns.records import Status
from mcp_server.nouns.text import clean_line

LINE_CHARACTERS = 260


def line(attempt: Attempt, limit: int = LINE_CHARACTERS) -> str:
    """`#12 discarded −0.0003 (0.4 widths): MATRIX_LR 0.04→0.05 — description — learned: …`"""
    theirs = f"{attempt.origin}/{attempt.number}" if attempt.number else attempt.origin  # what runs has no number yet
    head = f"{theirs if attempt.origin else f'#{attempt.number}'} {attempt.came}"
    if attempt.label and attempt.status is Status.KEPT:
        head += f" ({attempt.label})"
    if attempt.gain is not None:
        head += f" {signed(attempt.gain)}"
        if attempt.widths is not None:
            head += f" ({fixed(abs(attempt.widths), 1)} widths)"
    elif attempt.reason:
        head += f" ({attempt.reason})"
    if attempt.standing:
        head += f", {attempt.standing}"
    knobs = attempt.experiment.knobs
    moved = ", ".join(short_change(*change) for change in knobs[:4])
    if len(knobs) > 4:
        moved += f" and {len(knobs) - 4} more"
    said = clean_line(attempt.experiment.description, 120)
    parts = [part for part in (moved, "" if moved and said.replace(" -> ", "→") == moved else said) if part]
    text = f"{head}: {' — '.join(parts)}" if parts else head
    if attempt.lessons:
        text += f" — learned: {clean_line(attempt.lessons[-1], 160)}"
    if attempt.origin and said:
        text = text.replace(said, f"“{said}”", 1)  # a stranger's words
    return clean_line(text, limit)


def short_change(name: str, before: str, after: str) -> str:
    """`MATRIX_LR 0.04→0.05`"""
    old, new = clean_line(before, 30), clean_line(after, 30)
    if before == ABSENT:
        return f"{name} +{new}"
    return f"{name} −{old}" if after == ABSENT else f"{name} {old}→{new}"


def signed(value: float) -> str:
    """A change with a typographic sign and four significant digits at most: −0.0031, +1.2e−05, 0."""
    if value == 0:
        return "0"
    text = f"{abs(value):.4f}" if 0.001 <= abs(value) < 10_000 else f"{abs(value):.2g}"
    if "." in text and "e" not in text:
        text = text.rstrip("0").rstrip(".")
    return ("−" if value < 0 else "+") + text.replace("e-", "e−")
