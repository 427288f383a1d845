"""Colours, marks and sizes of the chart. Every kind has a shape of its own, so colour is never the only difference.

The colours are Okabe and Ito's, which stay apart in the common kinds of colour blindness.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from mcp_server.views.chart.points import Kind, Size, Theme


@dataclass(frozen=True)
class Mark:
    """How one kind of experiment is drawn. `hollow` marks are filled with the background."""

    marker: str
    words: str
    scale: float  # area, relative to a discarded dot
    layer: float
    hollow: bool = False


MARKS: dict[Kind, Mark] = {
    "baseline": Mark("D", "baseline", 3.2, 7.0),
    "confirmed": Mark("o", "kept, confirmed", 3.6, 6.5),
    "provisional": Mark("o", "kept, provisional", 3.0, 6.0, hollow=True),
    "simplification": Mark("s", "kept, simpler", 2.8, 6.2),
    "discarded": Mark(".", "discarded", 1.6, 3.0),
    "tainted": Mark("d", "tainted, decides nothing", 1.6, 3.5, hollow=True),
    "crashed": Mark("x", "no score", 1.3, 4.0),
    "rejected": Mark("P", "rejected", 1.6, 4.5),
}


@dataclass(frozen=True)
class Ink:
    """The colours of one mark and the width of its rim in points."""

    face: str
    edge: str
    width: float


@dataclass(frozen=True)
class Palette:
    """One theme's colours."""

    background: str
    text: str
    faint: str
    grid: str
    line: str
    kinds: dict[Kind, str]
    campaigns: tuple[str, ...]


PALETTES: dict[Theme, Palette] = {
    "light": Palette(
        background="#ffffff",
        text="#1b1f24",
        faint="#5b6470",
        grid="#e4e7eb",
        line="#0072b2",
        kinds={
            "baseline": "#1b1f24",
            "confirmed": "#009e73",
            "provisional": "#009e73",
            "simplification": "#0072b2",
            "discarded": "#8b949e",
            "tainted": "#b07a00",
            "crashed": "#d55e00",
            "rejected": "#b0508a",
        },
        campaigns=("#0072b2", "#d55e00", "#009e73", "#b0508a", "#b07a00", "#3a9bd9", "#1b1f24", "#7a5c1e"),
    ),
    "dark": Palette(
        background="#0d1117",
        text="#e6edf3",
        faint="#9aa5b1",
        grid="#242b34",
        line="#56b4e9",
        kinds={
            "baseline": "#e6edf3",
            "confirmed": "#2ed3a1",
            "provisional": "#2ed3a1",
            "simplification": "#56b4e9",
            "discarded": "#7d8894",
            "tainted": "#e69f00",
            "crashed": "#ff8a4c",
            "rejected": "#e79ac4",
        },
        campaigns=("#56b4e9", "#ff8a4c", "#2ed3a1", "#e79ac4", "#e6b83d", "#9ad3f5", "#e6edf3", "#c7a76a"),
    ),
}


@dataclass(frozen=True)
class Sheet:
    """A size: inches, dots per inch, text size in points, how many labels of how many characters."""

    width: float
    height: float
    dpi: int
    text: float
    labels: int
    characters: int


SHEETS: dict[Size, Sheet] = {
    "phone": Sheet(4.0, 4.7, 220, 8.5, 6, 22),
    # the one in the work tree: its text is still readable when a phone shows it 390 pixels wide
    "screen": Sheet(7.2, 5.4, 200, 12.0, 10, 26),
    "wide": Sheet(13.0, 6.6, 140, 11.5, 24, 36),
    "print": Sheet(6.5, 4.3, 300, 8.5, 12, 30),
}


def dashes(place: int) -> Literal["-", "--"]:
    """The second four of eight campaigns are dashed: eight colours alone are too many to tell apart."""
    return "-" if place % 8 < 4 else "--"


def dot_area(points: int, sheet: Sheet) -> float:
    """The area of a discarded dot in square points: 3,000 of them must still be dots and not a blanket."""
    crowding = math.pow(90.0 / max(points, 1), 0.75)
    return max(4.0, min(30.0, 30.0 * (sheet.width / 7.2) * crowding))
