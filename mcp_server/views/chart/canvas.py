"""One figure while it is being drawn: its campaigns, colours and scale, and text that can be measured.

Pixels have their origin at the lower left.
"""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text

from mcp_server.views.chart.labels import Box
from mcp_server.views.chart.points import KEPT, ChartCampaign, ChartPoint, Kind
from mcp_server.views.chart.scale import scale_of
from mcp_server.views.chart.style import MARKS, Ink, Palette, Sheet, dot_area


class Canvas:
    """The figure, its two frames (`strip` only where something ended without a score), and what is drawn on them."""

    def __init__(self, campaigns: Sequence[ChartCampaign], palette: Palette, sheet: Sheet) -> None:
        self.campaigns = [campaign for campaign in campaigns if campaign.drawn] or list(campaigns[:1])
        self.palette, self.sheet = palette, sheet
        self.alone = len(self.campaigns) < 2
        self.points = sum(len(campaign.drawn) for campaign in self.campaigns)
        self.area = dot_area(max((len(c.drawn) for c in self.campaigns), default=0), sheet)
        self.scale = scale_of(self.campaigns)
        self.figure = Figure(figsize=(sheet.width, sheet.height), dpi=sheet.dpi)
        self.renderer = FigureCanvasAgg(self.figure).get_renderer()  # type: ignore[no-untyped-call]  # matplotlib gives no types
        self.figure.set_facecolor(palette.background)
        self.axes: Axes
        self.strip: Axes | None = None
        if any(point.value is None for campaign in self.campaigns for point in campaign.drawn):
            grid = self.figure.add_gridspec(2, 1, height_ratios=(1.0, 0.055), hspace=0.02)
            self.axes = self.figure.add_subplot(grid[0])
            self.strip = self.figure.add_subplot(grid[1], sharex=self.axes)
        else:
            self.axes = self.figure.add_subplot()

    @property
    def width(self) -> float:
        return self.sheet.width * self.sheet.dpi

    @property
    def height(self) -> float:
        return self.sheet.height * self.sheet.dpi

    @property
    def unit(self) -> float:
        """Pixels in a point."""
        return self.sheet.dpi / 72

    @property
    def frame(self) -> Box:
        """The plot's inside."""
        box = self.axes.get_window_extent()
        return Box(float(box.x0), float(box.y0), float(box.x1), float(box.y1))

    @property
    def mark_radius(self) -> float:
        """Of the largest mark, in pixels."""
        return float((self.area * 3.6) ** 0.5 / 2 * self.unit)

    def pixel(self, point: ChartPoint) -> tuple[float, float]:
        """Where a scored point stands; on the border when it is off the scale."""
        value = self.scale.held(point.value or 0.0) if self.scale is not None else 0.0
        x, y = self.axes.transData.transform((point.number, value))
        return float(x), float(y)

    def column(self, number: float) -> float:
        return float(self.axes.transData.transform((number, 0.0))[0])

    def text(self, said: str, points: float, colour: str, bold: bool = False) -> Text:
        """Text at a place in pixels, to be set once it is known."""
        return self.figure.text(
            0, 0, said, fontsize=points, color=colour, va="bottom", ha="left", transform=None, zorder=9,
            fontweight="bold" if bold else "normal",
        )  # fmt: skip

    def measured(self, text: Text) -> tuple[float, float]:
        box = text.get_window_extent(self.renderer)
        return float(box.width), float(box.height)

    def width_of(self, said: str, points: float, bold: bool = False) -> float:
        text = self.text(said, points, self.palette.text, bold)
        width = self.measured(text)[0]
        text.remove()
        return width

    def ink(self, kind: Kind, colour: str | None = None) -> Ink:
        """The colours of a mark; `colour` where the campaign's own is used."""
        colour = colour or self.palette.kinds[kind]
        mark = MARKS[kind]
        if mark.marker == "x":
            return Ink(colour, colour, 1.4)
        return Ink(self.palette.background, colour, 1.4) if mark.hollow else Ink(colour, self.palette.background, 0.5)

    def own_colour(self, place: int, kind: Kind | None = None) -> str | None:
        """A campaign's colour where several are overlaid; of its marks, only what it kept has it."""
        if self.alone or (kind is not None and kind not in KEPT):
            return None
        return self.palette.campaigns[place % len(self.palette.campaigns)]
