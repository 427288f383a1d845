"""The curves of a comparison as an SVG file: a line an arm in its band. Pure text; every name is escaped."""

from __future__ import annotations

from html import escape

from mcp_server.views.comparison.compare import CompareReply

WIDTH, HEIGHT = 860, 460
LEFT, RIGHT, TOP, BOTTOM = 80, 180, 40, 50
# of Okabe and Ito (2008), told apart by everybody; dashes tell the lines apart without colour
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
DASHES = ("", "7 4", "2 3", "9 3 2 3", "12 4", "4 2", "1 2")
NAMES = {"experiments": "experiments", "hours": "hours", "device_hours": "device-hours", "cost_usd": "US dollars"}


def svg(reply: CompareReply) -> str:
    """Best gain so far against what was spent; bands are 95 % of the mean over campaigns."""
    values = [value for curve in reply.curves for value in (*curve.gain, *curve.low, *curve.high)] or [0.0]
    low, high = min(0.0, *values), max(values)
    high = high if high > low else low + 1.0
    budget = reply.budget or 1.0

    def x(spent: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * spent / budget

    def y(gain: float) -> float:
        return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * (gain - low) / (high - low)

    unit = f" ({reply.unit})" if reply.unit else ""
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" '
        'font-size="13">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>',
        f'<text x="{LEFT}" y="24" font-size="15">Best gain of {escape(reply.metric)}{escape(unit)}, '
        "mean over campaigns, 95 % band</text>",
    ]
    for step in range(6):
        gain, spent = low + (high - low) * step / 5, budget * step / 5
        parts.append(f'<path d="M{LEFT} {y(gain):.1f}H{WIDTH - RIGHT}" stroke="#ddd"/>')
        parts.append(f'<text x="{LEFT - 8}" y="{y(gain) + 4:.1f}" text-anchor="end">{gain:.4g}</text>')
        parts.append(f'<text x="{x(spent):.1f}" y="{HEIGHT - BOTTOM + 20}" text-anchor="middle">{spent:.3g}</text>')
    named = NAMES.get(reply.axis, reply.axis)
    middle = (LEFT + WIDTH - RIGHT) / 2
    parts.append(f'<text x="{middle}" y="{HEIGHT - 10}" text-anchor="middle">{named}</text>')
    for place, curve in enumerate(reply.curves):
        colour, dash = COLOURS[place % len(COLOURS)], DASHES[place % len(DASHES)]
        if curve.low:
            there = " ".join(f"{x(at):.1f},{y(gain):.1f}" for at, gain in zip(curve.spent, curve.high, strict=True))
            back = " ".join(
                f"{x(at):.1f},{y(gain):.1f}" for at, gain in zip(curve.spent[::-1], curve.low[::-1], strict=True)
            )
            parts.append(f'<polygon points="{there} {back}" fill="{colour}" opacity="0.15"/>')
        line = " ".join(f"{x(at):.1f},{y(gain):.1f}" for at, gain in zip(curve.spent, curve.gain, strict=True))
        parts.append(
            f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="2.2" stroke-dasharray="{dash}"/>'
        )
        at = TOP + 20 * place + 10
        parts.append(
            f'<path d="M{WIDTH - RIGHT + 12} {at}h28" stroke="{colour}" stroke-width="2.2" stroke-dasharray="{dash}"/>'
        )
        parts.append(f'<text x="{WIDTH - RIGHT + 46}" y="{at + 4}">{escape(curve.arm)}</text>')
    return "\n".join([*parts, "</svg>"]) + "\n"
