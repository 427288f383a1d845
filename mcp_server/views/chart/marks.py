"""The marks: every experiment a dot, the best so far as a step line with its noise band, lines where things changed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Literal

from matplotlib.axes import Axes
from matplotlib.collections import PathCollection
from matplotlib.markers import CARETDOWN, CARETUP, TICKDOWN, TICKUP, MarkerStyle

from mcp_server.views.chart.canvas import Canvas
from mcp_server.views.chart.points import KEPT, ChartCampaign, ChartPoint, Kind
from mcp_server.views.chart.style import MARKS, Ink, dashes

NOISE_WIDTHS = 2.0  # half the height of the band: equal code lands outside it about once in twenty
RING = 8.0  # area of the ring around what was adopted, relative to a discarded dot
CROWDED = 600  # from here on what has no score is drawn as strokes: crosses would lie on crosses


def draw_campaign(canvas: Canvas, campaign: ChartCampaign, place: int) -> int:
    """One campaign's dots and line; returns how many dots were off the scale."""
    off_scale = 0
    for kind in MARKS:
        points = [point for point in campaign.drawn if point.kind == kind]
        if points:
            off_scale += _draw_dots(canvas, points, kind, canvas.own_colour(place, kind))
    _ring_adopted(canvas, campaign)
    path = campaign.incumbents
    if path and canvas.scale is not None:
        colour = canvas.own_colour(place) or canvas.palette.line
        xs = [*(point.number for point in path), max(campaign.drawn[-1].number, path[-1].number) + 0.45]
        ys = [*(point.value or 0.0 for point in path), path[-1].value or 0.0]
        style = "-" if canvas.alone else dashes(place)
        canvas.axes.step(
            xs, ys, where="post", color=colour, linewidth=canvas.sheet.text * 0.18, zorder=5, linestyle=style
        )
        if canvas.alone and campaign.noise_sd:
            reach = NOISE_WIDTHS * campaign.noise_sd
            low, high = [y - reach for y in ys], [y + reach for y in ys]
            canvas.axes.fill_between(xs, low, high, step="post", color=colour, alpha=0.16, linewidth=0, zorder=2)
    return off_scale


def _ring_adopted(canvas: Canvas, campaign: ChartCampaign) -> None:
    """A ring around what was kept and taken over from another lab."""
    taken = [one for one in campaign.adopted if not _outside(canvas, one)]
    ink = Ink("none", canvas.palette.text, canvas.sheet.text * 0.11)
    area = canvas.area * RING
    rings = _scatter(canvas.axes, [one.number for one in taken], [one.value or 0.0 for one in taken], "o", area, ink)
    rings.set(zorder=7.5, clip_on=False)


def _draw_dots(canvas: Canvas, points: Sequence[ChartPoint], kind: Kind, colour: str | None) -> int:
    mark, ink = MARKS[kind], canvas.ink(kind, colour)
    area = canvas.area * mark.scale * (1.0 if canvas.alone or kind in KEPT else 0.6)
    if kind == "discarded":
        ink = replace(ink, width=0.0)
    inside = [point for point in points if point.value is not None and not _outside(canvas, point)]
    dots = _scatter(canvas.axes, [p.number for p in inside], [p.value or 0.0 for p in inside], mark.marker, area, ink)
    dots.set(zorder=mark.layer, clip_on=False)  # a mark at the border is whole
    if kind == "discarded":
        dots.set_alpha(0.75 if canvas.points <= 400 else 0.5)
    plain = Ink(canvas.palette.kinds[kind], canvas.palette.kinds[kind], 0.0)
    off_scale = 0
    for edge, height, caret in (("low", 0.0, CARETDOWN), ("high", 1.0, CARETUP)):
        beyond = [point.number for point in points if _outside(canvas, point) == edge]
        off_scale += len(beyond)
        carets = _scatter(canvas.axes, beyond, [height] * len(beyond), caret, max(1.4 * canvas.area, 12.0), plain)
        carets.set_offset_transform(canvas.axes.get_xaxis_transform())
        carets.set(clip_on=False, zorder=mark.layer, alpha=0.85)
    scoreless = [point.number for point in points if point.value is None]
    if canvas.strip is not None and scoreless:
        crowded = is_crowded(canvas)
        shape, size = (strokes_of(kind), 25.0) if crowded else (mark.marker, 0.8 * area)
        ink = replace(plain, width=0.5) if crowded else ink
        strokes = _scatter(canvas.strip, scoreless, [0.0] * len(scoreless), shape, size, ink)
        strokes.set(clip_on=False, zorder=mark.layer)
    return off_scale


def is_crowded(canvas: Canvas) -> bool:
    return canvas.points > CROWDED


def strokes_of(kind: Kind) -> int:
    """Upwards for a crash, downwards for a rejection: a shape of its own even as a stroke."""
    return TICKDOWN if kind == "rejected" else TICKUP


def _scatter(
    axes: Axes, xs: Sequence[float], ys: Sequence[float], shape: str | int, area: float, ink: Ink
) -> PathCollection:
    marker = MarkerStyle(shape)
    edge = ink.edge if marker.is_filled() else None  # the library warns of a rim without a face
    return axes.scatter(xs, ys, s=area, marker=marker, facecolors=ink.face, edgecolors=edge, linewidths=ink.width)


def _outside(canvas: Canvas, point: ChartPoint) -> str:
    return canvas.scale.outside(point.value) if canvas.scale is not None and point.value is not None else ""


def changes(canvas: Canvas) -> tuple[list[ChartPoint], list[ChartPoint]]:
    """The first experiments on another machine, and the first under another program; of one campaign only."""
    if not canvas.alone or not canvas.campaigns:
        return [], []
    drawn = canvas.campaigns[0].drawn
    return list(_changed(drawn, "machine")), list(_changed(drawn, "program"))


def draw_changes(canvas: Canvas, machines: Sequence[ChartPoint], programs: Sequence[ChartPoint]) -> None:
    """A line before each of them, dashed for a machine and dotted for the program."""
    for points, pattern in ((machines, (4.0, 2.0)), (programs, (1.0, 2.0))):
        for point in points:
            canvas.axes.axvline(
                point.number - 0.5, color=canvas.palette.faint, linewidth=1.0, linestyle=(0, pattern), zorder=1.5
            )


def _changed(points: Sequence[ChartPoint], field: Literal["machine", "program"]) -> Iterator[ChartPoint]:
    """The points whose machine or program differs from the last known one."""
    last = ""
    for point in points:
        value = point.machine if field == "machine" else point.program
        if value and last and value != last:
            yield point
        last = value or last
