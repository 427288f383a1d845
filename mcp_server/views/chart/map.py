"""The readiness map: how automatic the evaluation is against how long an iteration takes.

The corner of those that can be left alone is the upper left one: a program judges, within seconds. No label covers
another, a mark or the words in the corners.
"""

from __future__ import annotations

import io
import os
import sys
from dataclasses import dataclass
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle
from matplotlib.text import Text
from matplotlib.ticker import FixedLocator, NullLocator

from mcp_server.nouns.files import write_atomically
from mcp_server.views.chart.labels import LEADER, Box, Wanted, place
from mcp_server.views.chart.places import REQUEST, MapRequest
from mcp_server.views.chart.style import PALETTES

MINUTE, HOUR, DAY = 60.0, 3600.0, 86400.0
TICKS = (
    *((1.0, "second"), (MINUTE, "minute"), (HOUR, "hour"), (DAY, "day"), (7 * DAY, "week")),
    *((30 * DAY, "month"), (365 * DAY, "year")),
)
WIDTH, HEIGHT, DPI, TEXT = 9.6, 6.4, 150, 11.0
MARK = 9.0  # points across
RIPE = ((7.0, "#009e73", "ripe: 7 to 10"), (4.0, "#b07a00", "half: 4 to 7"), (0.0, "#d55e00", "unripe: below 4"))
PALETTE = PALETTES["light"]
UNIT = DPI / 72
FARTHEST = 400.0  # a name belongs on the map, however far from its mark


@dataclass(frozen=True)
class Label:
    """A text on the map and the pixels it covers."""

    text: str
    box: Box


def draw(request: MapRequest) -> list[Label]:
    """Write the map; the labels that were placed, corners included. Raises OSError."""
    figure = Figure(figsize=(WIDTH, HEIGHT), dpi=DPI)
    canvas = FigureCanvasAgg(figure)
    figure.set_facecolor(PALETTE.background)
    axes = figure.add_axes((0.085, 0.105, 0.895, 0.80))
    _frame(figure, axes, request)
    corners = _corners(figure, axes, request)
    labels = _names(figure, axes, request, [label.box for label in corners])
    canvas.draw()  # type: ignore[no-untyped-call]  # matplotlib gives no types
    _write(figure, request.out)
    return [*corners, *labels]


def colour(ripe: float) -> str:
    return next(shade for least, shade, _ in RIPE if ripe >= least)


def _frame(figure: Figure, axes: Axes, request: MapRequest) -> None:
    axes.set_xscale("log")
    shortest = min([1.0, *(spot.seconds for spot in request.places)])
    longest = max([180 * DAY, *(spot.seconds for spot in request.places)])
    axes.set_xlim(shortest / 1.6, longest * 1.8)
    axes.set_ylim(-8, 108)
    shown = [(seconds, word) for seconds, word in TICKS if seconds <= longest * 1.8]
    axes.xaxis.set_major_locator(FixedLocator([seconds for seconds, _ in shown]))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xticklabels([word for _, word in shown])
    axes.set_yticks(range(0, 101, 20), [f"{share} %" for share in range(0, 101, 20)])
    axes.set_xlabel("an iteration takes a", fontsize=TEXT, color=PALETTE.text)
    axes.set_ylabel("of the verdict is given by a program", fontsize=TEXT, color=PALETTE.text)
    axes.tick_params(labelsize=0.9 * TEXT, colors=PALETTE.faint, length=0)
    axes.grid(True, color=PALETTE.grid, linewidth=0.8)
    axes.set_axisbelow(True)
    for side in axes.spines.values():
        side.set_visible(False)
    left, high = axes.get_xlim()[0], axes.get_ylim()[1]
    ripe = Rectangle((left, request.split_automatic), request.split_seconds - left, high - request.split_automatic)
    ripe.set(color=RIPE[0][1], alpha=0.06, linewidth=0)
    axes.add_patch(ripe)
    axes.axvline(request.split_seconds, color=PALETTE.faint, linewidth=1.0, linestyle="--")
    axes.axhline(request.split_automatic, color=PALETTE.faint, linewidth=1.0, linestyle="--")
    figure.text(0.085, 0.945, "What is ripe for automated research", fontsize=1.25 * TEXT, fontweight="bold",
                color=PALETTE.text, va="center")  # fmt: skip
    for spot in request.places:
        axes.plot(spot.seconds, spot.automatic, "o", color=colour(spot.ripe), markersize=MARK,
                  markeredgecolor=PALETTE.background, zorder=5)  # fmt: skip
    shades = [Line2D([], [], color=shade, marker="o", linestyle="", markersize=MARK * 0.8) for _, shade, _ in RIPE]
    figure.legend(shades, [words for _, _, words in RIPE], loc="upper right", ncols=3, frameon=False,
                  fontsize=0.85 * TEXT, labelcolor=PALETTE.faint, bbox_to_anchor=(0.985, 0.978),
                  columnspacing=1.0, handletextpad=0.1)  # fmt: skip


def _corners(figure: Figure, axes: Axes, request: MapRequest) -> list[Label]:
    """The words of the quadrants, in their outer corners."""
    inside, found = _box(axes), []
    for at, words in enumerate(request.quadrants):
        text = _text(figure, words, 0.95 * TEXT, PALETTE.faint, bold=True)
        width, height = _size(text)
        x = inside.x0 + 6 * UNIT if at % 2 == 0 else inside.x1 - width - 6 * UNIT
        y = inside.y1 - height - 4 * UNIT if at < 2 else inside.y0 + 4 * UNIT
        text.set_position((x, y))
        found.append(Label(words, Box(x, y, x + width, y + height)))
    return found


def _names(figure: Figure, axes: Axes, request: MapRequest, taken: list[Box]) -> list[Label]:
    texts = [_text(figure, spot.name, TEXT, PALETTE.text) for spot in request.places]
    spots = [tuple(axes.transData.transform((spot.seconds, spot.automatic))) for spot in request.places]
    radius = MARK / 2 * UNIT
    marks = [Box(x - radius, y - radius, x + radius, y + radius) for x, y in spots]
    wanted = [Wanted(x, y, *_size(text)) for (x, y), text in zip(spots, texts, strict=True)]
    inside, half = _box(axes), 1.0 * UNIT
    split_x, split_y = axes.transData.transform((request.split_seconds, request.split_automatic))
    lines = [
        Box(split_x - half, inside.y0, split_x + half, inside.y1),
        Box(inside.x0, split_y - half, inside.x1, split_y + half),
    ]
    boxes = _beside(wanted, inside, [*marks, *taken, *lines])
    boxes = _elsewhere(wanted, boxes, inside, [*marks, *taken])
    found = []
    for label, text, box in zip(wanted, texts, boxes, strict=True):
        if box is None:
            text.remove()
            continue
        text.set_position((box.x0, box.y0))
        end_x, end_y = box.nearest(label.x, label.y)
        if ((end_x - label.x) ** 2 + (end_y - label.y) ** 2) ** 0.5 > 1.5 * LEADER * UNIT:
            line = Line2D([label.x, end_x], [label.y, end_y], transform=None, color=PALETTE.faint, linewidth=0.7)
            figure.add_artist(line)
        found.append(Label(text.get_text(), box))
    return found


def _beside(wanted: list[Wanted], inside: Box, obstacles: list[Box]) -> list[Box | None]:
    """A place right beside each mark, or left of it, above, below; None where all of them are taken."""
    gap = MARK * UNIT
    found: list[Box | None] = []
    for label in wanted:
        corners = [(gap, -0.5 * label.height), (-gap - label.width, -0.5 * label.height)]
        corners += [(-0.5 * label.width, 0.7 * gap), (-0.5 * label.width, -0.7 * gap - label.height)]
        boxes = [
            Box(label.x + x, label.y + y, label.x + x + label.width, label.y + y + label.height) for x, y in corners
        ]
        taken = [*obstacles, *(box for box in found if box is not None)]
        free = (box for box in boxes if box.within(inside) and not any(box.grown(2).overlaps(one) for one in taken))
        found.append(next(free, None))
    return found


def _elsewhere(wanted: list[Wanted], beside: list[Box | None], inside: Box, obstacles: list[Box]) -> list[Box | None]:
    """The same with a place farther away, and a line to it, for those that found none."""
    homeless = [at for at, box in enumerate(beside) if box is None]
    taken = [*obstacles, *(box for box in beside if box is not None)]
    placed = place([wanted[at] for at in homeless], inside, taken, gap=1.5 * UNIT, unit=UNIT, too_far=FARTHEST)
    found = list(beside)
    for at, box in zip(homeless, placed, strict=True):
        found[at] = box
    return found


def _text(figure: Figure, said: str, points: float, shade: str, bold: bool = False) -> Text:
    return figure.text(
        0, 0, said, fontsize=points, color=shade, va="bottom", ha="left", transform=None, zorder=9,
        fontweight="bold" if bold else "normal",
    )  # fmt: skip


def _size(text: Text) -> tuple[float, float]:
    box = text.get_window_extent()
    return float(box.width), float(box.height)


def _box(axes: Axes) -> Box:
    box = axes.get_window_extent()
    return Box(float(box.x0), float(box.y0), float(box.x1), float(box.y1))


def _write(figure: Figure, out: Path) -> None:
    content = io.BytesIO()
    kind = out.suffix.removeprefix(".").lower() or "png"
    figure.savefig(content, format=kind, facecolor=PALETTE.background)
    write_atomically(out, content.getvalue())


def main() -> int:
    os.nice(10)
    draw(REQUEST.validate_json(sys.stdin.buffer.read()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
