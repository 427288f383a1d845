"""The words of a chart: its title, what the gains were, how numbers are shown."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from typing import get_args

from mcp_server.nouns.numbers import duration
from mcp_server.nouns.text import clean_line
from mcp_server.views.chart.points import KEPT, ChartCampaign, ChartPoint, Kind


def title(campaigns: Sequence[ChartCampaign]) -> tuple[str, tuple[str, ...]]:
    """A headline, and the parts of the line below it in the order of their importance."""
    if len(campaigns) == 1:
        return _of_one(campaigns[0])
    if not campaigns:
        return "No campaign yet", ()
    first = campaigns[0]
    better = max if first.direction == "maximize" else min
    ends = [(c.incumbents[-1].value or 0.0, c.tag) for c in campaigns if c.incumbents]
    said = f"{len(campaigns)} campaigns: {clean_line(first.metric, 30)}"
    if ends:
        value, tag = better(ends)
        said += f", best {shown(value)} ({clean_line(tag, 24)})"
    points = [point for campaign in campaigns for point in campaign.drawn]
    kept = sum(point.kind in KEPT and point.kind != "baseline" for point in points)
    return said, (f"{_experiments(len(points))}, {kept:,} kept", _which_way(first))


def _of_one(campaign: ChartCampaign) -> tuple[str, tuple[str, ...]]:
    tag, metric = clean_line(campaign.tag, 40), clean_line(campaign.metric, 30)
    path = campaign.incumbents
    headline = f"{tag}: {metric}" if tag else metric
    parts: list[str] = []
    if len(path) > 1:
        headline += f" {shown(path[0].value)} → {shown(path[-1].value)}"
    elif path:
        headline += f" {shown(path[0].value)}"
    if campaign.claimed_gain is not None:
        gains = f"claimed gain {shown(campaign.claimed_gain)}"
        if campaign.honest_gain is not None:
            gains += f", honest {shown(campaign.honest_gain)}"
            if campaign.honest_interval is not None:
                gains += " ({} to {})".format(*map(shown, campaign.honest_interval))
        parts.append(f"{gains} {clean_line(campaign.unit, 20)}".rstrip())
    drawn = campaign.drawn
    kept = sum(point.kind in KEPT and point.kind != "baseline" for point in drawn)
    took = hours(drawn)
    parts.append(f"{_experiments(len(drawn))}{f' in {took}' if took else ''}, {kept:,} kept")
    return headline, tuple(parts)


def _experiments(count: int) -> str:
    return "1 experiment" if count == 1 else f"{count:,} experiments"


def axis(campaign: ChartCampaign) -> str:
    unit = f", {clean_line(campaign.unit, 20)}" if campaign.unit else ""
    return f"{clean_line(campaign.metric, 30)}{unit} ({_which_way(campaign)})"


def _which_way(campaign: ChartCampaign) -> str:
    return "higher is better" if campaign.direction == "maximize" else "lower is better"


def counts(campaigns: Sequence[ChartCampaign]) -> dict[Kind, int]:
    """How many of each kind are drawn, in the order of the legend."""
    found = Counter(point.kind for campaign in campaigns for point in campaign.drawn)
    return {kind: found[kind] for kind in get_args(Kind) if kind in found}


def shown(value: float | None) -> str:
    """Four significant digits of a small number, four decimals of one near 1, thousands with commas."""
    if value is None or not math.isfinite(value):
        return "–"
    if value == 0:
        return "0"
    size = abs(value)
    if size >= 1e6 or size < 1e-5:
        text = f"{value:.3e}"
    elif size >= 1000:
        text = f"{value:,.0f}"
    elif size >= 100:
        text = f"{value:.2f}"
    elif size >= 0.1:
        text = f"{value:.4f}"
    else:
        text = f"{value:.2g}" if size < 0.001 else f"{value:.4f}"
    return text.replace("-", "−")


def hours(points: Sequence[ChartPoint]) -> str:
    """How long it took from the first stamp to the last, `8.2 h` or `14 min`; "" where stamps are missing."""
    stamps = []
    for point in points:
        try:
            stamps.append(datetime.fromisoformat(point.at))
        except ValueError:
            continue
    try:
        seconds = (max(stamps) - min(stamps)).total_seconds()
    except (ValueError, TypeError):  # none, or some with a zone and some without
        return ""
    return duration(seconds) if seconds >= 60 else ""
