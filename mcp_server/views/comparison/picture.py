"""The curves of a comparison as an SVG file: a line an arm in its band. Pure text; every name is escaped."""

from __future__ import annotations

from mcp_server.views.comparison.compare import CompareReply
from mcp_server.views.comparison.plot import COLOURS, Plot, cut

NAMES = {"experiments": "experiments", "hours": "hours", "device_hours": "device-hours", "cost_usd": "US dollars"}


def svg(reply: CompareReply) -> str:
    """Best gain so far against what was spent; bands are 95 % of the mean over campaigns."""
    values = [0.0, *(value for curve in reply.curves for value in (*curve.gain, *curve.low, *curve.high))]
    plot = Plot((0.0, reply.budget or 1.0), (min(values), max(values)), 460, left=80, right=180, top=40)
    plot.axis_x(NAMES.get(reply.axis, reply.axis))
    plot.axis_y()
    unit = f" ({reply.unit})" if reply.unit else ""
    plot.text(plot.left, 24, f"Best gain of {reply.metric}{unit}, mean over campaigns, 95 % band", "start")
    for place, curve in enumerate(reply.curves):
        if curve.low:
            there, back = zip(curve.spent, curve.high, strict=True), zip(curve.spent, curve.low, strict=True)
            band = plot.points([*there, *reversed([*back])])
            plot.put(f'<polygon points="{band}" fill="{COLOURS[place % len(COLOURS)]}" opacity="0.15"/>')
        plot.line(place, cut(curve.arm, 20), zip(curve.spent, curve.gain, strict=True))
    return plot.svg("Best gain against what was spent, a line an arm")
