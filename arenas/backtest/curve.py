"""The equity curve as a picture, with the period that nobody has seen: SVG, by hand, for a scorer has no library."""

from __future__ import annotations

import math

WIDE, HIGH, EDGE = 720, 280, 40


def svg(returns: list[float], first: int, days: int, final: int, words: str) -> str:
    """`returns` begin on day `first` of `days`; the days from `final` on are shaded. The scale is logarithmic."""
    heights, sum_of_logs = [0.0], 0.0
    for change in returns:
        sum_of_logs += math.log(max(1e-9, 1.0 + change))
        heights.append(sum_of_logs)
    low, high = min(heights), max(heights)
    span = (high - low) or 1.0

    def across(day: int) -> float:
        return EDGE + (WIDE - 2 * EDGE) * day / max(1, days)

    points = " ".join(
        f"{across(first + at):.1f},{HIGH - EDGE - (HIGH - 2 * EDGE) * (height - low) / span:.1f}"
        for at, height in enumerate(heights)
    )
    shade, height = across(final), HIGH - 2 * EDGE
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDE} {HIGH}" font-family="sans-serif" font-size="12">'
        f'<rect width="{WIDE}" height="{HIGH}" fill="white"/>'
        f'<rect x="{shade:.1f}" y="{EDGE}" width="{across(days) - shade:.1f}" height="{height}" fill="#dddddd"/>'
        f'<text x="{shade + 6:.1f}" y="{EDGE + 16}" fill="#555555">kept for the exam</text>'
        f'<polyline points="{points}" fill="none" stroke="#1f5fa8" stroke-width="1.5"/>'
        f'<text x="{EDGE}" y="{EDGE - 14}" fill="#222222">{words}</text>'
        f'<text x="{EDGE}" y="{HIGH - 12}" fill="#555555">days; equity after costs, logarithmic, '
        f"{100 * (math.exp(low) - 1):+.0f} % to {100 * (math.exp(high) - 1):+.0f} %</text></svg>\n"
    )
