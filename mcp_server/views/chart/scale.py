"""Which stretch of scores a chart shows: the progress made, its noise and the usual failures; outliers go to the edge.

One diverged run at 11.2 must not flatten a night of gains of 0.001.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from mcp_server.views.chart.points import ChartCampaign


@dataclass(frozen=True)
class Scale:
    """The limits of the score axis, low < high, and which of them is the better end."""

    low: float
    high: float
    better: str  # "low" | "high"

    def outside(self, value: float) -> str:
        """ "low", "high" or "" for inside."""
        return "low" if value < self.low else "high" if value > self.high else ""

    def held(self, value: float) -> float:
        return min(max(value, self.low), self.high)


def scale_of(campaigns: Sequence[ChartCampaign]) -> Scale | None:
    """None when nothing has a score. Campaigns drawn together share the first one's direction."""
    maximize = bool(campaigns) and campaigns[0].direction == "maximize"
    sign = -1.0 if maximize else 1.0
    # from here on smaller is better
    paths = [[sign * point.value for point in c.incumbents if point.value is not None] for c in campaigns]
    paths = [path for path in paths if path]
    values = [
        sign * point.value
        for campaign in campaigns
        for point in campaign.drawn
        if point.value is not None and point.kind not in ("tainted", "rejected")
    ]
    if not values:
        return None
    start = max((path[0] for path in paths), default=statistics.median(values))
    best = min((min(path) for path in paths), default=min(values))
    highest_kept = max((max(path) for path in paths), default=start)
    noise = 2.0 * max((campaign.noise_sd or 0.0 for campaign in campaigns), default=0.0)
    spread = statistics.median(abs(value - start) for value in values)
    tiny = 1e-6 * max(abs(start), abs(best)) or 1e-6
    span = max(start - best, 2.0 * noise, tiny, 0.0 if start > best else spread)
    # Failures are shown up to the gain's own size above the start, or where they usually lie if that is not far.
    ceiling = start + max(span, min(2.5 * spread, 3.0 * span))
    high = max([value for value in values if value <= ceiling], default=start)
    high = max(high, start + 0.15 * span, highest_kept + noise, start + noise)
    # A discarded score better than the best (its repeat failed) is shown unless it is absurd.
    low = max(min(values), best - 0.5 * span)
    low = min(low, best - noise)
    margin = high - low
    low, high = low - 0.14 * margin, high + 0.05 * margin
    return Scale(-high, -low, "high") if maximize else Scale(low, high, "low")
