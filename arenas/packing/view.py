"""Draws a packing for people to look at: the square, the circles, the sum of the radii. No score is taken from it."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from score import Refused, circles, total

PIXELS = 420
LARGEST = 0.15  # radius from which on a circle has the full colour


def drawn(packing: list[tuple[float, float, float]], words: str) -> str:
    """An SVG; y grows upwards as in the packing."""
    shapes = [
        f'<circle cx="{x:.6f}" cy="{1 - y:.6f}" r="{radius:.6f}" '
        f'fill="hsl(212, 60%, {88 - 40 * min(1.0, radius / LARGEST):.0f}%)" stroke="#1f4e79" stroke-width="0.002"/>'
        for x, y, radius in packing
    ]
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="-0.03 -0.03 1.06 1.13" '
        f'width="{PIXELS}" height="{round(PIXELS * 1.13 / 1.06)}">'
        '<rect x="-0.03" y="-0.03" width="1.06" height="1.13" fill="white"/>'
        '<rect x="0" y="0" width="1" height="1" fill="none" stroke="#333" stroke-width="0.004"/>'
        f"{''.join(shapes)}"
        f'<text x="0.5" y="1.065" font-family="sans-serif" font-size="0.045" text-anchor="middle">{words}</text>'
        "</svg>\n"
    )


def main() -> int:
    try:
        exact = circles(Path(os.environ["AUTORESEARCH_ARTIFACT"]) / "circles.json")
        words = f"{len(exact)} circles, sum of radii {float(total(exact)):.6f}"
    except Refused as refusal:
        print(refusal.args[1], file=sys.stderr)
        return 1
    picture = drawn([(float(x), float(y), float(radius)) for x, y, radius in exact], words)
    (Path(os.environ["AUTORESEARCH_VIEW"]) / "view.svg").write_text(picture, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
