"""progress.png and .svg, drawn through the plotting library's object-oriented interface only."""

from __future__ import annotations

import io
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.figure import Figure

from mcp_server.nouns.files import write_atomically
from mcp_server.views.chart import words
from mcp_server.views.chart.callouts import Label, draw_change_words, draw_labels
from mcp_server.views.chart.canvas import Canvas
from mcp_server.views.chart.frame import draw_axes, draw_legend, draw_title
from mcp_server.views.chart.marks import changes, draw_campaign, draw_changes
from mcp_server.views.chart.points import ChartCampaign, Kind, Size, Theme
from mcp_server.views.chart.scale import Scale
from mcp_server.views.chart.style import MARKS, PALETTES, SHEETS, Palette, Sheet

# A "$" in a label of the agent's is a dollar, and the same campaign gives the same bytes.
SETTINGS: dict[Any, Any] = {"svg.hashsalt": "autoresearch", "font.family": "DejaVu Sans", "text.parse_math": False}


@dataclass(frozen=True)
class Picture:
    """What was drawn, for those who cannot look: tests, and the description inside the file."""

    width: int
    height: int
    headline: str
    detail: str
    labels: tuple[Label, ...]
    counts: dict[Kind, int]
    off_scale: int
    scale: Scale | None
    machine_changes: int
    program_edits: int
    adopted: int = 0

    @property
    def description(self) -> str:
        parts = ", ".join(f"{count} {MARKS[kind].words}" for kind, count in self.counts.items())
        parts += f", {self.adopted} of them from other labs" if self.adopted else ""
        return ". ".join(part for part in (self.headline, self.detail, parts) if part) + "."


def draw_progress(
    campaigns: Sequence[ChartCampaign],
    path_png: Path | None,
    path_svg: Path | None = None,
    theme: Theme = "light",
    size: Size = "screen",
    mark: str = "",
) -> Picture:
    """Draw the campaigns over one another and replace the files whole. Raises OSError when they cannot be written."""
    with matplotlib.rc_context(SETTINGS), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from")  # a box stands in for a rare letter
        figure, picture = _drawn(campaigns, PALETTES[theme], SHEETS[size])
        for path, form in ((path_png, "png"), (path_svg, "svg")):
            if path is not None:
                write_atomically(path, _file(figure, form, picture, mark))
    return picture


def _drawn(campaigns: Sequence[ChartCampaign], palette: Palette, sheet: Sheet) -> tuple[Figure, Picture]:
    canvas = Canvas(campaigns, palette, sheet)
    headline, parts = words.title(canvas.campaigns)
    machines, programs = changes(canvas)
    draw_title(canvas, headline, parts, room_for_changes=bool(machines or programs))
    draw_axes(canvas)
    draw_changes(canvas, machines, programs)
    off_scale = sum(draw_campaign(canvas, campaign, place) for place, campaign in enumerate(canvas.campaigns))
    draw_legend(canvas, off_scale)
    canvas.figure.draw_without_rendering()
    canvas.figure.set_layout_engine("none")  # labels are placed in the layout as it is now
    labels = [*draw_labels(canvas), *draw_change_words(canvas, machines, programs)]
    return canvas.figure, Picture(
        width=round(canvas.width),
        height=round(canvas.height),
        headline=headline,
        detail=" · ".join(parts),
        labels=tuple(labels),
        counts=words.counts(canvas.campaigns),
        off_scale=off_scale,
        scale=canvas.scale,
        machine_changes=len(machines),
        program_edits=len(programs),
        adopted=sum(len(one.adopted) for one in canvas.campaigns),
    )


def _file(figure: Figure, form: str, picture: Picture, mark: str) -> bytes:
    out = io.BytesIO()
    metadata: dict[str, str | None] = {"Title": picture.headline, "Description": picture.description}
    if mark and form == "png":
        metadata["Source"] = mark
    if form == "svg":
        metadata["Date"] = None
    figure.savefig(out, format=form, metadata=metadata, facecolor=figure.get_facecolor())
    return out.getvalue()
