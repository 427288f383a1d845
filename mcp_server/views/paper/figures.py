"""The figures of a paper as SVG: progress, ablations, replications, learning curves. Pure text, every name escaped."""

from __future__ import annotations

from collections.abc import Sequence

from mcp_server.judging.totals import Line
from mcp_server.nouns.attempt import Attempt
from mcp_server.views.chart.words import shown
from mcp_server.views.comparison.plot import BOTTOM, Plot, cut, span
from mcp_server.views.paper.material import Curve, Material, Measurement

NAMED = 300  # pixels for the names of rows
ROW = 26


def figures(of: Material) -> dict[str, str]:
    """Every figure that there is something to draw for, by file name, in the order of the paper."""
    drawn = {
        "progress.svg": _progress(of),
        "ablations.svg": _rows_plot("What each change is worth in the end", _ablation_rows(of)),
        "replications.svg": _rows_plot("Who measured each change", _replication_rows(of)),
        "curves.svg": _curves(of.curves),
    }
    return {name: svg for name, svg in drawn.items() if svg}


def _progress(of: Material) -> str:
    """Scores in order; far ones are drawn at the edge, or a diverged run would hide all others."""
    start = of.baseline.score
    rises = of.found.arena.metric.direction == "maximize"
    ways = [one.experiment for one in (of.baseline, *of.course) if one.experiment.decision == "keep"]
    line = Line(rises, start, sorted(ways, key=lambda one: one.decided_at or ""))
    tried = [(one, level) for one in of.course if one.gain is not None and (level := line.of(one)) is not None]
    if start is None or not tried:
        return ""
    kept = [level for one, level in tried if one.experiment.decision == "keep"]
    reach = max((abs(start - value) for value in kept), default=0.0) or abs(start) * 0.1 or 1.0
    near = [level for _, level in tried if abs(level - start) <= 2 * reach]
    plot = Plot((1, max(one.number for one, _ in tried) + 1), span([start, *kept, *near], 0.06))
    plot.axis_x("experiment", whole=True)
    plot.axis_y()
    best, path = start, f"M{plot.x(of.baseline.number):.1f} {plot.y(start):.1f}"
    for one, level in tried:
        value = min(max(level, plot.ys[0]), plot.ys[1])
        x, y = plot.x(one.number), plot.y(value)
        if one.experiment.decision == "keep":
            path += f"H{x:.1f}V{y:.1f}"
            best = value
            plot.put(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="5" fill="#009E73"/>')
            plot.text(x, y + (-9 if rises else 18), f"#{one.number}")
        else:
            plot.put(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="2.6" fill="#8b949e"/>')
    plot.put(f'<path d="{path}H{plot.x(plot.xs[1]):.1f}" fill="none" stroke="#0072B2" stroke-width="2"/>')
    unit = f", {of.found.arena.metric.unit}" if of.found.arena.metric.unit else ""
    plot.text(plot.left, 15, f"{of.found.arena.metric.name}{unit}; best {shown(best)}", "start")
    return plot.svg("Every scored attempt in order; kept ones are large, the line is the best so far")


def _ablation_rows(of: Material) -> list[tuple[str, Measurement]]:
    rows = []
    for number, some in sorted(of.ablations.items()):
        name = of.told[number].experiment.description
        rows += [(f"#{number} {name}", worth(one)) for one in some]
    return rows


def worth(one: Attempt) -> Measurement:
    """What a change is worth by the run without it: what was lost there."""
    edges = one.interval
    return Measurement(f"#{one.number}", -(one.gain or 0.0), None if edges is None else (-edges[1], -edges[0]))


def _replication_rows(of: Material) -> list[tuple[str, Measurement]]:
    rows = []
    for number, others in sorted(of.replications.items()):
        one = of.told[number]
        rows.append((f"#{number} {one.experiment.description}", own(one)))
        rows += [(f"    {other.record}", other) for other in others]
    return rows


def own(one: Attempt) -> Measurement:
    """An attempt's own measurement."""
    return Measurement(f"#{one.number}", one.gain or 0.0, one.interval)


def _rows_plot(title: str, rows: Sequence[tuple[str, Measurement]]) -> str:
    """One row a measurement: a square at the gain, its 95 % interval as a line, and nothing gained at zero."""
    if not rows:
        return ""
    values = [edge for _, one in rows for edge in (one.gain, *(one.interval or ()))] + [0.0]
    plot = Plot(span(values), (0, len(rows)), Plot.top + BOTTOM + ROW * len(rows), left=NAMED)
    plot.axis_x("gain, positive is better; 95 % interval")
    plot.put(f'<path d="M{plot.x(0):.1f} {plot.top}V{plot.height - BOTTOM}" stroke="#1b1f24" stroke-dasharray="4 3"/>')
    for place, (name, one) in enumerate(rows):
        y = plot.top + ROW * place + ROW / 2
        plot.text(12 if not name.startswith(" ") else 30, y + 4, cut(name.strip()), "start")
        if one.interval is not None:
            ends = f"{plot.x(one.interval[0]):.1f} {y:.1f}H{plot.x(one.interval[1]):.1f}"
            plot.put(f'<path d="M{ends}" stroke="#0072B2" stroke-width="2"/>')
        plot.put(f'<rect x="{plot.x(one.gain) - 4:.1f}" y="{y - 4:.1f}" width="8" height="8" fill="#0072B2"/>')
    return plot.svg(title)


def _curves(curves: Sequence[Curve]) -> str:
    """The second half of the losses decides the height: the fall from a random start hides everything else."""
    told = [one for one in curves if len(one.points) > 1]
    if not told:
        return ""
    late = [point.loss for one in told for point in one.points[len(one.points) // 4 :]]
    seconds = max(point.seconds for one in told for point in one.points)
    plot = Plot((0, seconds or 1.0), span(late), 380, right=230)
    plot.axis_x("seconds of the budget")
    plot.axis_y()
    plot.text(plot.left, 15, "training loss, as the trainer told it; no score", "start")
    for place, one in enumerate(told):
        points = ((point.seconds, min(point.loss, plot.ys[1])) for point in one.points)
        plot.line(place, cut(f"#{one.number} {one.name}", 27), points)
    return plot.svg("Training loss against seconds of the budget")
