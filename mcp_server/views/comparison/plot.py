"""Axes, lines and names as SVG: what figures of comparisons, fronts and papers are drawn on. Pure; text is escaped."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from html import escape

WIDTH, BOTTOM = 760, 52
# of Okabe and Ito (2008), told apart by everybody; dashes tell the lines apart without colour
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
DASHES = ("", "7 4", "2 3", "9 3 2 3", "12 4", "4 2", "1 2")


def ticks(low: float, high: float, *, whole: bool = False) -> list[float]:
    """Round values from `low` to `high`, four to nine of them; fewer where only whole ones are wanted."""
    raw = (high - low) / 5 or 1.0
    size = 10.0 ** math.floor(math.log10(raw))
    step = next(size * factor for factor in (1, 2, 5, 10) if size * factor >= raw * 0.7)
    step = max(step, 1.0) if whole else step
    first = math.ceil(low / step - 1e-9)
    return [step * n for n in range(first, first + 12) if step * n <= high + 1e-9 * step]


def _tick(value: float) -> str:
    return f"{value:.6g}".replace("-", "−")


def span(values: Sequence[float], edge: float = 0.05) -> tuple[float, float]:
    """From the smallest to the largest value, with a margin of `edge` of it."""
    low, high = min(values), max(values)
    margin = edge * ((high - low) or 1.0)
    return low - margin, high + margin


def cut(name: str, most: int = 42) -> str:
    """A name in the room that there is for it."""
    return name if len(name) <= most else name[: most - 1] + "…"


@dataclass
class Plot:
    """A white sheet with axes. x and y are in the data's own units; y grows upwards."""

    xs: tuple[float, float]
    ys: tuple[float, float]
    height: int = 340
    left: int = 92
    right: int = 24
    top: int = 24
    parts: list[str] = field(default_factory=list)

    def x(self, value: float) -> float:
        low, high = self.xs
        return self.left + (WIDTH - self.left - self.right) * (value - low) / ((high - low) or 1.0)

    def y(self, value: float) -> float:
        low, high = self.ys
        return self.height - BOTTOM - (self.height - self.top - BOTTOM) * (value - low) / ((high - low) or 1.0)

    def text(self, x: float, y: float, words: str, anchor: str = "middle") -> None:
        self.parts.append(f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(words)}</text>')

    def put(self, what: str) -> None:
        self.parts.append(what)

    def points(self, some: Iterable[tuple[float, float]]) -> str:
        """Places as a line or an area names them."""
        return " ".join(f"{self.x(x):.1f},{self.y(y):.1f}" for x, y in some)

    def line(self, place: int, name: str, some: Iterable[tuple[float, float]]) -> None:
        """One of several lines, with its name on the right."""
        stroke = f'stroke="{COLOURS[place % len(COLOURS)]}" stroke-dasharray="{DASHES[place % len(DASHES)]}"'
        self.put(f'<polyline points="{self.points(some)}" fill="none" {stroke} stroke-width="2"/>')
        x, y = WIDTH - self.right + 12, self.top + 20 * place + 10
        self.put(f'<path d="M{x} {y}h26" {stroke} stroke-width="2.2"/>')
        self.text(x + 32, y + 4, name, "start")

    def axis_x(self, words: str, whole: bool = False) -> None:
        for value in ticks(*self.xs, whole=whole):
            self.put(f'<path d="M{self.x(value):.1f} {self.top}V{self.height - BOTTOM}" stroke="#e4e7eb"/>')
            self.text(self.x(value), self.height - BOTTOM + 18, _tick(value))
        self.text((self.left + WIDTH - self.right) / 2, self.height - 10, words)

    def axis_y(self) -> None:
        for value in ticks(*self.ys):
            self.put(f'<path d="M{self.left} {self.y(value):.1f}H{WIDTH - self.right}" stroke="#e4e7eb"/>')
            self.text(self.left - 8, self.y(value) + 4, _tick(value), "end")

    def svg(self, title: str) -> str:
        head = (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {self.height}" role="img" width="{WIDTH}" '
            f'height="{self.height}" font-family="sans-serif" font-size="13"><title>{escape(title)}</title>'
            f'<rect width="{WIDTH}" height="{self.height}" fill="white"/>'
        )
        return "\n".join([head, *self.parts, "</svg>"]) + "\n"
