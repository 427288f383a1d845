"""The Pareto front of a campaign with several primary metrics: who lies on it, as a table and as an SVG file. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from mcp_server.arena.program import Arena
from mcp_server.nouns.attempt import Attempt
from mcp_server.views.comparison.plot import Plot, span

RADIUS = 5  # of a dot, in pixels; of two others within one radius a single one is drawn
KEPT, OTHER, LINE = "#0072B2", "#999999", "#D55E00"  # of Okabe and Ito (2008), told apart by everybody


@dataclass(frozen=True)
class Place:
    """One scored attempt: its values by metric, and whether nobody is better in one of them and as good in all."""

    number: int
    description: str
    values: dict[str, float]
    kept: bool
    front: bool = False


def places(tried: Sequence[Attempt], further: Mapping[int, Mapping[str, float]], arena: Arena) -> tuple[Place, ...]:
    """All attempts that have every primary metric, by number; () where the arena has no front.

    further: by attempt, what its runs measured of the metrics beside the score (`Ledger.secondaries`).
    """
    if not arena.front:
        return ()
    found = []
    for one in tried:
        values = {} if one.score is None else {arena.metric.name: one.score}
        values |= {name: value for name, value in further.get(one.number, {}).items() if name in arena.front}
        if len(values) == 1 + len(arena.front):
            kept = one.experiment.decision == "keep"
            found.append(Place(one.number, one.experiment.description, values, kept))
    on = _undominated(found, _signs(arena))
    return tuple(replace(one, front=one.number in on) for one in found)


def _undominated(some: Iterable[Place], signs: Mapping[str, float]) -> set[int]:
    """Numbers of those that nobody beats. Whoever beats another stands before it in the order, so the front is enough
    to compare with."""
    front: list[tuple[int, tuple[float, ...]]] = []
    gains = ((one.number, tuple(sign * one.values[name] for name, sign in signs.items())) for one in some)
    for number, own in sorted(gains, key=lambda one: one[1], reverse=True):
        if not any(_dominates(other, own) for _, other in front):
            front.append((number, own))
    return {number for number, _ in front}


def _signs(arena: Arena) -> dict[str, float]:
    ways = {arena.metric.name: arena.metric.direction} | {name: part.direction for name, part in arena.front.items()}
    return {name: 1.0 if way == "maximize" else -1.0 for name, way in ways.items()}


def _dominates(one: Sequence[float], other: Sequence[float]) -> bool:
    return one != other and all(mine >= theirs for mine, theirs in zip(one, other, strict=True))


def svg(some: Sequence[Place], arena: Arena) -> str:
    """The score against the first of the other metrics; the front as a line. Every name is escaped.

    Of the thousands of a long campaign dots that would cover each other are drawn once, so that the file stays small.
    """
    first, second = next(iter(arena.front)), arena.metric.name
    across, up = (span([one.values[name] for one in some]) for name in (first, second))
    plot = Plot(across, up, 440, top=46)

    def at(place: Place) -> tuple[float, float]:
        return plot.x(place.values[first]), plot.y(place.values[second])

    ways = {name: f"{name} ({'more' if sign > 0 else 'less'} is better)" for name, sign in _signs(arena).items()}
    plot.text(plot.left, 26, f"Pareto front: {ways[second]} against {ways[first]}", "start")
    plot.axis_x(first)
    plot.axis_y()
    line = plot.points(sorted((one.values[first], one.values[second]) for one in some if one.front))
    plot.put(f'<polyline points="{line}" fill="none" stroke="{LINE}" stroke-width="2" stroke-dasharray="6 4"/>')
    for one in _apart(some, at):
        x, y = at(one)
        ring = f' stroke="{LINE}" stroke-width="2"' if one.front else ""
        plot.put(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="5" fill="{KEPT if one.kept else OTHER}"{ring}/>')
        if one.front or one.kept:
            plot.text(x + 8, y - 6, str(one.number), "start")
    plot.text(plot.left, plot.height - 10, "blue: kept; ringed: on the front", "start")
    return plot.svg("The attempts by two metrics, and which of them nobody beats")


def _apart(some: Sequence[Place], at: Callable[[Place], tuple[float, float]]) -> list[Place]:
    """Who is drawn: the kept and the front, and of the others the newest in each square of a dot's size."""
    others = {tuple(round(edge / RADIUS) for edge in at(one)): one for one in some if not (one.front or one.kept)}
    return [*others.values(), *(one for one in some if one.front or one.kept)]
