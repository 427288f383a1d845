"""The Pareto front of a campaign with several primary metrics: who lies on it, as a table and as an SVG file. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from statistics import fmean

from mcp_server.arena.program import Arena
from mcp_server.nouns.attempt import Attempt
from mcp_server.nouns.records import Purpose
from mcp_server.views.chart.words import shown

WIDTH, HEIGHT = 760, 440
LEFT, RIGHT, TOP, BOTTOM = 90, 40, 46, 56
KEPT, OTHER, LINE = "#0072B2", "#999999", "#D55E00"  # of Okabe and Ito (2008), told apart by everybody


@dataclass(frozen=True)
class Place:
    """One scored attempt: its values by metric, and whether nobody is better in one of them and as good in all."""

    number: int
    description: str
    values: dict[str, float]
    kept: bool
    front: bool = False


def places(tried: Sequence[Attempt], arena: Arena) -> tuple[Place, ...]:
    """All attempts that have every primary metric, by number; () where the arena has no front."""
    if not arena.front:
        return ()
    found = []
    for one in tried:
        counting = [run.result for run in one.runs if run.counts and run.purpose != Purpose.EXAM and run.result]
        values = {} if one.score is None else {arena.metric.name: one.score}
        for name in arena.front:
            measured = [result.secondary[name] for result in counting if name in result.secondary]
            values |= {name: fmean(measured)} if measured else {}
        if len(values) == 1 + len(arena.front):
            kept = one.experiment.decision == "keep"
            found.append(Place(one.number, one.experiment.description, values, kept))
    signs = _signs(arena)
    return tuple(
        Place(one.number, one.description, one.values, one.kept, not any(_dominates(two, one, signs) for two in found))
        for one in found
    )


def _signs(arena: Arena) -> dict[str, float]:
    ways = {arena.metric.name: arena.metric.direction} | {name: part.direction for name, part in arena.front.items()}
    return {name: 1.0 if way == "maximize" else -1.0 for name, way in ways.items()}


def _dominates(one: Place, other: Place, signs: dict[str, float]) -> bool:
    gains = [sign * (one.values[name] - other.values[name]) for name, sign in signs.items()]
    return min(gains) >= 0.0 and max(gains) > 0.0


def svg(some: Sequence[Place], arena: Arena) -> str:
    """The score against the first of the other metrics; the front as a line. Every name is escaped."""
    first, second = next(iter(arena.front)), arena.metric.name
    across, up = ([one.values[name] for one in some] for name in (first, second))
    (left, right), (low, high) = _span(across), _span(up)

    def at(place: Place) -> tuple[float, float]:
        x = LEFT + (WIDTH - LEFT - RIGHT) * (place.values[first] - left) / (right - left)
        return x, HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * (place.values[second] - low) / (high - low)

    ways = {name: "more" if sign > 0 else "less" for name, sign in _signs(arena).items()}
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" '
        'font-size="13" role="img">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>',
        f'<text x="{LEFT}" y="26" font-size="15">Pareto front: {escape(second)} ({ways[second]} is better) against '
        f"{escape(first)} ({ways[first]} is better)</text>",
        f'<text x="{(LEFT + WIDTH - RIGHT) / 2}" y="{HEIGHT - 14}" text-anchor="middle">{escape(first)}</text>',
    ]
    for step in range(5):
        x, y = LEFT + (WIDTH - LEFT - RIGHT) * step / 4, HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * step / 4
        parts.append(f'<path d="M{LEFT} {y:.1f}H{WIDTH - RIGHT}" stroke="#ddd"/>')
        parts.append(
            f'<text x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{shown(low + (high - low) * step / 4)}</text>'
        )
        words = shown(left + (right - left) * step / 4)
        parts.append(f'<text x="{x:.1f}" y="{HEIGHT - BOTTOM + 20}" text-anchor="middle">{words}</text>')
    line = " ".join("{:.1f},{:.1f}".format(*at(one)) for one in sorted((p for p in some if p.front), key=at))
    parts.append(f'<polyline points="{line}" fill="none" stroke="{LINE}" stroke-width="2" stroke-dasharray="6 4"/>')
    for one in some:
        x, y = at(one)
        ring = f' stroke="{LINE}" stroke-width="2"' if one.front else ""
        parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="5" fill="{KEPT if one.kept else OTHER}"{ring}/>')
        if one.front or one.kept:
            parts.append(f'<text x="{x + 8:.1f}" y="{y - 6:.1f}">{one.number}</text>')
    parts.append(f'<text x="{LEFT}" y="{HEIGHT - 14}" fill="{KEPT}">blue: kept; ringed: on the front</text>')
    return "\n".join([*parts, "</svg>"]) + "\n"


def _span(values: Sequence[float]) -> tuple[float, float]:
    low, high = min(values), max(values)
    edge = 0.05 * (high - low) or 0.5
    return low - edge, high + edge
