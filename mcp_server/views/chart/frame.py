"""The frame of the picture: title, axes, legend, and what stands there while there is nothing to show."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.lines import Line2D
from matplotlib.markers import CARETUP, MarkerStyle
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from mcp_server.nouns.text import clean_line
from mcp_server.views.chart import words
from mcp_server.views.chart.canvas import Canvas
from mcp_server.views.chart.marks import is_crowded, strokes_of
from mcp_server.views.chart.points import KEPT
from mcp_server.views.chart.style import MARKS, dashes

TICKS = (1, 2, 2.5, 5, 10)
MARGIN = 0.012  # of the width, left of the title


def draw_title(canvas: Canvas, headline: str, parts: Sequence[str], room_for_changes: bool) -> None:
    """The headline and, below it, as many lines as its parts need at this width; the layout gets what is left."""
    text, palette = canvas.sheet.text, canvas.palette
    top = 0.6 * text * canvas.unit
    for pieces, points, colour, bold in (
        ([headline], 1.2 * text, palette.text, True),
        (parts, 0.9 * text, palette.faint, False),
    ):
        for line in _lines(canvas, pieces, points, bold):
            written = canvas.text(line, points, colour, bold)
            written.set_verticalalignment("top")
            written.set_position((MARGIN * canvas.width, canvas.height - top))
            top += 1.4 * points * canvas.unit
    top += text * canvas.unit * (1.5 if room_for_changes else 0.4)
    canvas.figure.set_layout_engine("constrained", rect=(0.0, 0.0, 0.995, 1.0 - top / canvas.height))


def _lines(canvas: Canvas, parts: Sequence[str], points: float, bold: bool) -> list[str]:
    """Lines that fit. A part is broken only where it is too long for a line of its own."""
    room = (1 - 2 * MARGIN) * canvas.width
    lines: list[str] = []
    for part in parts:
        if lines and canvas.width_of(f"{lines[-1]} · {part}", points, bold) <= room:
            lines[-1] += f" · {part}"
            continue
        line = ""
        for word in part.split():
            longer = f"{line} {word}".lstrip()
            if line and canvas.width_of(longer, points, bold) > room:
                lines.append(line)
                longer = word
            line = longer
        lines.append(line)
    return lines


def draw_axes(canvas: Canvas) -> None:
    """Limits, ticks, grid and the words along the axes."""
    palette, text, axes = canvas.palette, canvas.sheet.text, canvas.axes
    last = max((c.drawn[-1].number for c in canvas.campaigns if c.drawn), default=1)
    first = min((c.drawn[0].number for c in canvas.campaigns if c.drawn), default=1)
    room = max(0.6, 0.02 * (last - first))
    axes.set_xlim(first - room, last + room)
    for frame in (axes, canvas.strip):
        if frame is None:
            continue
        frame.set_facecolor(palette.background)
        frame.tick_params(colors=palette.faint, labelsize=text * 0.85, length=3)
        for side, spine in frame.spines.items():
            spine.set_visible(side in ("left", "bottom"))
            spine.set_color(palette.faint)
    axes.grid(True, axis="y", color=palette.grid, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.ticklabel_format(axis="y", useOffset=False)
    axes.xaxis.set_major_locator(
        MaxNLocator(integer=True, min_n_ticks=1, nbins=6 if canvas.sheet.width < 5 else 9, steps=TICKS)
    )
    axes.yaxis.set_major_locator(MaxNLocator(nbins=6, steps=TICKS))
    bottom = axes
    if canvas.strip is not None:
        axes.tick_params(axis="x", labelbottom=False, length=0)
        axes.spines["bottom"].set_color(palette.grid)
        canvas.strip.set_ylim(-1, 1)
        canvas.strip.set_yticks([])
        canvas.strip.spines["left"].set_visible(False)
        bottom = canvas.strip
    bottom.set_xlabel("experiment", color=palette.faint, fontsize=text * 0.9)
    if canvas.campaigns:
        said = words.axis(canvas.campaigns[0])
        if canvas.width_of(said, text * 0.9) > 0.5 * canvas.height:
            said = said.replace(" (", "\n(")
        axes.set_ylabel(said, color=palette.faint, fontsize=text * 0.9)
    if canvas.scale is not None:
        axes.set_ylim(canvas.scale.low, canvas.scale.high)
        return
    axes.set_ylim(0, 1)
    axes.set_yticks([])
    if not canvas.points:
        axes.set_xticks([])
    said = "No experiment has a score yet." if canvas.points else "No experiments yet."
    axes.text(0.5, 0.5, said, transform=axes.transAxes, ha="center", va="center", color=palette.faint, fontsize=text)


def draw_legend(canvas: Canvas, off_scale: int) -> None:
    """Every kind that is drawn with its count; the lines."""
    palette, text = canvas.palette, canvas.sheet.text
    handles: list[Line2D | Patch] = []
    for kind, count in words.counts(canvas.campaigns).items():
        mark = MARKS[kind]
        strokes = kind in ("crashed", "rejected") and is_crowded(canvas)
        # the colours of what was kept are the campaigns' where several are overlaid
        ink = canvas.ink(kind, None if canvas.alone or kind not in KEPT else palette.text)
        shape = MarkerStyle(strokes_of(kind) if strokes else mark.marker)
        handles.append(
            Line2D(
                [], [], linestyle="none", marker=shape, label=f"{mark.words} {count:,}",
                markersize=text * (0.84 if mark.marker == "." else 0.6), markerfacecolor=ink.face,
                markeredgecolor=ink.face if strokes else ink.edge, markeredgewidth=1.4 if strokes else ink.width,
            )
        )  # fmt: skip
    if adopted := sum(len(campaign.adopted) for campaign in canvas.campaigns):
        handles.append(
            Line2D([], [], linestyle="none", marker=MarkerStyle("o"), markersize=text * 0.9, markerfacecolor="none",
                   markeredgecolor=palette.text, markeredgewidth=text * 0.11, label=f"from other labs {adopted:,}")
        )  # fmt: skip
    if off_scale:
        handles.append(
            Line2D([], [], linestyle="none", marker=MarkerStyle(CARETUP), markersize=text * 0.55, color=palette.faint,
                   label=f"off the scale {off_scale:,}")
        )  # fmt: skip
    if not canvas.alone:
        for place, campaign in enumerate(canvas.campaigns):
            handles.append(Line2D([], [], color=canvas.own_colour(place), linestyle=dashes(place), linewidth=2,
                                  label=clean_line(campaign.tag, 24)))  # fmt: skip
    elif canvas.campaigns and canvas.campaigns[0].incumbents:
        handles.append(Line2D([], [], color=palette.line, linewidth=2, label="best so far"))
        if canvas.campaigns[0].noise_sd:
            handles.append(Patch(facecolor=palette.line, alpha=0.22, label="noise (2 sd)"))
    if handles:
        per_row = max(2, int(canvas.sheet.width * 72 / (text * 0.8 * 14.5)))
        length = 1.6 if canvas.alone else 2.4  # dashes need room to be seen as dashes
        canvas.figure.legend(
            handles=handles, loc="outside lower left", ncols=min(per_row, len(handles)), frameon=False,
            fontsize=text * 0.8, labelcolor=palette.text, handletextpad=0.5, columnspacing=1.2, handlelength=length,
            borderaxespad=0.2,
        )  # fmt: skip
