"""The words within the picture: short labels at the telling points, and what changed above the plot. None overlap."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from matplotlib.lines import Line2D

from mcp_server.nouns.text import clean_line
from mcp_server.views.chart.canvas import Canvas
from mcp_server.views.chart.labels import LEADER, TOO_FAR, Box, Wanted, place
from mcp_server.views.chart.points import KEPT, ChartPoint


@dataclass(frozen=True)
class Label:
    """A text on the picture and the pixels it covers."""

    text: str
    box: Box


def draw_change_words(canvas: Canvas, machines: Sequence[ChartPoint], programs: Sequence[ChartPoint]) -> list[Label]:
    """A word above each line of a change, left out where it would cover the one before."""
    frame = canvas.frame
    found: list[Label] = []
    said_at = [(point.number, f"machine: {clean_line(point.machine, 18)}") for point in machines]
    said_at += [(point.number, "program edited") for point in programs]
    for number, said in sorted(said_at):
        text = canvas.text(said, canvas.sheet.text * 0.72, canvas.palette.faint)
        width, height = canvas.measured(text)
        x0 = min(max(frame.x0, canvas.column(number - 0.5) - width / 2), frame.x1 - width)
        y0 = frame.y1 + 5.0 * canvas.unit
        box = Box(x0, y0, x0 + width, y0 + height)
        if x0 < frame.x0 or any(box.grown(4).overlaps(other.box) for other in found):
            text.remove()
            continue
        text.set_position((x0, y0))
        found.append(Label(said, box))
    return found


def draw_labels(canvas: Canvas) -> list[Label]:
    """Short labels at where it stands now, where it began, and the largest steps between; those that find room."""
    if canvas.scale is None:
        return []
    chosen = list(_chosen(canvas))
    texts = [canvas.text(said, canvas.sheet.text * 0.8, colour) for _, said, colour in chosen]
    wanted = [Wanted(*spot, *canvas.measured(text)) for (spot, _, _), text in zip(chosen, texts, strict=True)]
    others = [p for c in canvas.campaigns for p in c.drawn if p.kind not in KEPT and p.value is not None]
    # a tainted mark is larger than a discarded dot and rarer: covering it is worse
    dots = [canvas.pixel(point) for point in others for _ in range(3 if point.kind == "tainted" else 1)]
    free_side = -1 if canvas.scale.better == "low" else 1
    obstacles = list(_obstacles(canvas))
    # a campaign's name is worth a longer way than a change's
    too_far = TOO_FAR if canvas.alone else math.inf
    boxes = place(wanted, canvas.frame, obstacles, dots, free_side, 1.5 * canvas.unit, canvas.unit, too_far)
    found: list[Label] = []
    for label, text, box in zip(wanted, texts, boxes, strict=True):
        if box is None:
            text.remove()
            continue
        text.set_position((box.x0, box.y0))
        text.set_bbox({"facecolor": canvas.palette.background, "alpha": 0.8, "pad": 1.0, "linewidth": 0})
        _draw_leader(canvas, label, box)
        found.append(Label(text.get_text(), box))
    return found


def _draw_leader(canvas: Canvas, label: Wanted, box: Box) -> None:
    end_x, end_y = box.nearest(label.x, label.y)
    length = math.hypot(end_x - label.x, end_y - label.y)
    if length <= LEADER * canvas.unit:
        return
    share = min(0.9, canvas.mark_radius / length)  # it begins at the rim of the mark
    xs = [label.x + share * (end_x - label.x), end_x]
    ys = [label.y + share * (end_y - label.y), end_y]
    canvas.figure.add_artist(Line2D(xs, ys, transform=None, color=canvas.palette.faint, linewidth=0.7))


def _chosen(canvas: Canvas) -> Iterator[tuple[tuple[float, float], str, str]]:
    """(pixel, words, colour), the most important first."""
    characters = canvas.sheet.characters
    if not canvas.alone:
        for number, campaign in enumerate(canvas.campaigns):
            if campaign.incumbents:
                colour = canvas.own_colour(number) or canvas.palette.text
                end = (canvas.column(campaign.drawn[-1].number), canvas.pixel(campaign.incumbents[-1])[1])
                yield end, clean_line(campaign.tag, characters), colour
        return
    path = canvas.campaigns[0].incumbents if canvas.campaigns else ()
    steps = {b.number: abs((a.value or 0.0) - (b.value or 0.0)) for a, b in itertools.pairwise(path)}
    ranked = sorted(path[1:-1], key=lambda point: -steps[point.number])
    order = [*path[-1:], *path[:1], *ranked] if len(path) > 1 else list(path)
    # what came from elsewhere says from whom before a step says what it was
    order.sort(key=lambda point: not point.adopted)
    for point in order[: canvas.sheet.labels]:
        if said := clean_line(f"from {point.adopted}" if point.adopted else point.label, characters):
            yield canvas.pixel(point), said, canvas.palette.text


def _obstacles(canvas: Canvas) -> Iterator[Box]:
    """What a label must not cover: the marks of what was kept and the step lines."""
    radius, half = canvas.mark_radius, 1.2 * canvas.unit
    for campaign in canvas.campaigns:
        path = [canvas.pixel(point) for point in campaign.incumbents]
        for x, y in path:
            yield Box(x - radius, y - radius, x + radius, y + radius)
        for (x0, y0), (x1, y1) in itertools.pairwise(path):
            yield Box(x0, y0 - half, x1, y0 + half)
            yield Box(x1 - half, min(y0, y1), x1 + half, max(y0, y1))
        if path:
            x, y = path[-1]
            yield Box(x, y - half, canvas.column(campaign.drawn[-1].number), y + half)
