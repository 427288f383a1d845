"""Draws the plugin's icon: attempts scattered over a night, and the staircase of the few that were kept.

python scripts/draw_icon.py [FILE]        (default: .claude-plugin/icon.png, 1024 x 1024)
"""

from __future__ import annotations

import sys
from pathlib import Path

import matplotlib

matplotlib.use("agg")
import matplotlib.pyplot as plt
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.patches import FancyBboxPatch

PIXELS = 1024
NIGHT, DEEP, LINE, KEPT, TRIED = "#16324f", "#0a1626", "#f4b942", "#ffd978", "#7fa3c7"

# a drawing, not data: (x, y) of the kept attempts, best so far, and of some that were not kept
STAIRS = ((0.15, 0.77), (0.31, 0.62), (0.48, 0.51), (0.64, 0.34), (0.80, 0.24))
DISCARDED = (
    *((0.19, 0.87), (0.28, 0.84), (0.37, 0.75), (0.43, 0.86), (0.45, 0.69), (0.54, 0.63), (0.57, 0.79)),
    *((0.60, 0.58), (0.70, 0.49), (0.71, 0.68), (0.77, 0.41), (0.85, 0.54), (0.87, 0.36), (0.84, 0.78)),
)


def draw(path: Path) -> None:
    """Write the icon to `path`."""
    figure = plt.figure(figsize=(PIXELS / 100, PIXELS / 100), dpi=100)
    axes = figure.add_axes((0, 0, 1, 1), xlim=(0, 1), ylim=(0, 1))
    axes.axis("off")
    tile = FancyBboxPatch((0.02, 0.02), 0.96, 0.96, boxstyle="round,pad=0,rounding_size=0.21", linewidth=0)
    tile.set_facecolor("none")
    axes.add_patch(tile)
    sky = LinearSegmentedColormap.from_list("sky", (DEEP, NIGHT))
    gradient = axes.imshow(
        [[0.0, 0.0], [1.0, 1.0]], extent=(0, 1, 0, 1), cmap=sky, interpolation="bicubic", aspect="auto"
    )
    gradient.set_clip_path(tile)
    axes.set(xlim=(0, 1), ylim=(0, 1))

    axes.scatter(*zip(*DISCARDED, strict=True), s=420, color=TRIED, alpha=0.55, linewidths=0, zorder=2)
    steps = [STAIRS[0]]
    for x, y in STAIRS[1:]:
        steps += [(x, steps[-1][1]), (x, y)]
    steps.append((0.89, steps[-1][1]))
    for width in range(70, 22, -2):  # a glow that fades, then the line itself
        axes.plot(*zip(*steps, strict=True), color=LINE, linewidth=width, alpha=0.012, zorder=3,
                  solid_joinstyle="round", solid_capstyle="round")  # fmt: skip
    axes.plot(*zip(*steps, strict=True), color=LINE, linewidth=22, solid_joinstyle="round", solid_capstyle="round")
    axes.scatter(*zip(*STAIRS, strict=True), s=2300, color=KEPT, edgecolors=DEEP, linewidths=9, zorder=4)
    figure.savefig(path, dpi=100, transparent=True)
    plt.close(figure)


if __name__ == "__main__":
    draw(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).resolve().parent.parent / ".claude-plugin/icon.png")
