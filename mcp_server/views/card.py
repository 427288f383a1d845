"""The share card of a campaign, 1,200 x 630: what was asked, what came of it, and its course. As PNG and SVG."""

from __future__ import annotations

import io
import textwrap
from typing import Any

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from mcp_server.nouns.text import clean_line
from mcp_server.views.chart.points import KEPT, ChartCampaign
from mcp_server.views.chart.words import shown

WIDTH, HEIGHT, DOTS = 1200, 630, 100
INK, FAINT, LINE, PAPER = "#1b1f24", "#6b7280", "#0072b2", "#ffffff"
GOAL_WIDTH, GOAL_LINES = 52, 2


def draw(campaign: ChartCampaign, goal: str) -> dict[str, bytes]:
    """The card by its file's name."""
    figure = _figure(campaign, goal)
    found = {}
    for kind in ("png", "svg"):
        out = io.BytesIO()
        # no date: the same campaign gives the same file
        figure.savefig(out, format=kind, dpi=DOTS, metadata={"Date": None} if kind == "svg" else None)
        found[f"card.{kind}"] = out.getvalue()
    return found


def headline(campaign: ChartCampaign) -> str:
    """The one line that is read from afar."""
    kept = campaign.incumbents
    if len(kept) < 2:
        return "Nothing was kept: no gain that can be believed"
    first, last = kept[0].value, kept[-1].value
    unit = f" {campaign.unit}" if campaign.unit else ""
    return f"{campaign.metric}: {shown(first)} \u2192 {shown(last)}{unit}"


def honest(campaign: ChartCampaign) -> str:
    tried, kept = max(0, len(campaign.drawn) - 1), max(0, len(campaign.incumbents) - 1)
    said = f"{kept} of {tried} attempts kept"
    if kept and campaign.honest_gain is not None:
        said += f"; believable gain {shown(campaign.honest_gain)}"
        if campaign.honest_interval is not None:
            said += f" (95 % interval {' to '.join(shown(edge) for edge in campaign.honest_interval)})"
    return said


def _figure(campaign: ChartCampaign, goal: str) -> Figure:
    figure = Figure(figsize=(WIDTH / DOTS, HEIGHT / DOTS), facecolor=PAPER)
    # names and goals are text and never formulas to be set
    words: dict[str, Any] = {"parse_math": False, "color": INK}
    lines = textwrap.wrap(clean_line(goal, 200), GOAL_WIDTH, max_lines=GOAL_LINES, placeholder=" \u2026")
    figure.text(0.05, 0.93, "\n".join(lines), fontsize=24, fontweight="bold", va="top", linespacing=1.25, **words)
    top = 0.73 if len(lines) > 1 else 0.80
    figure.text(0.05, top, clean_line(headline(campaign), 70), fontsize=21, va="top", **{**words, "color": LINE})
    figure.text(
        0.05, top - 0.075, clean_line(honest(campaign), 110), fontsize=14, va="top", **{**words, "color": FAINT}
    )
    foot = f"autoresearch \u00b7 {clean_line(campaign.tag, 40)}"
    figure.text(0.95, 0.035, foot, fontsize=12, ha="right", **{**words, "color": FAINT})
    axes = figure.add_axes((0.07, 0.13, 0.88, top - 0.27))
    others = [(p.number, p.value) for p in campaign.drawn if p.value is not None and p.kind not in KEPT]
    best = [(p.number, p.value) for p in campaign.incumbents if p.value is not None]
    if best:
        last = max(point.number for point in campaign.drawn)
        steps = [*best, (last, best[-1][1])]
        axes.step(*zip(*steps, strict=True), where="post", color=LINE, linewidth=3)
        axes.plot(*zip(*best, strict=True), "o", color=LINE, markersize=9)
        values = [value for _, value in best]
        span = (max(values) - min(values)) or abs(values[0]) * 0.01 or 1.0
        low, high = min(values) - 0.6 * span, max(values) + 0.6 * span  # failures far away do not flatten the course
        inside = [(number, min(max(value, low), high)) for number, value in others]
        if inside:
            axes.plot(*zip(*inside, strict=True), ".", color="#b6bcc6", markersize=9)
        axes.set_ylim(low - 0.05 * span, high + 0.05 * span)
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(colors=FAINT, labelsize=11)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlabel("experiment", color=FAINT, fontsize=12)
    return figure
