"""A gain that was claimed before anything was measured, and what the exam says of it. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

Outcome = Literal["supported", "not supported", "inconclusive"]


def outcome(claimed: float, interval: Sequence[float]) -> Outcome:
    """Supported where all of the examined gain's interval reaches the claim, not supported where none of it does."""
    if len(interval) < 2:
        return "inconclusive"
    low, high = interval[0], interval[1]
    return "supported" if low >= claimed else "not supported" if high < claimed else "inconclusive"


def words(claimed: float | None, interval: Sequence[float], unit: str, now: float | None) -> str:
    """The claim with its outcome, as the report says it; "" without one. now: the claim of the program in force."""
    if claimed is None:
        return "" if now is None else f"a gain of {now:g}{unit} was written down after the start, so it is no claim"
    said = f"a gain of at least {claimed:g}{unit} by exam: {outcome(claimed, interval)}"
    if len(interval) < 2:
        said += " (no exam was made; `autoresearch exam`)"
    if now != claimed:
        later = "taken out" if now is None else f"changed to {now:g}{unit}"
        said += f"; it was {later} after the start, and is judged as it was then"
    return said
