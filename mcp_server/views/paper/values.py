"""Every number a paper can say, by its placeholder, with the records it comes from; and its tables. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from mcp_server.nouns.attempt import Attempt
from mcp_server.nouns.numbers import fixed
from mcp_server.nouns.text import plain, table
from mcp_server.views.chart.words import shown
from mcp_server.views.paper.figures import own, worth
from mcp_server.views.paper.material import Material, Measurement, pooled
from mcp_server.views.paper.placeholders import Values

MOST_ROWS = 200
HEAD = ("record", "change", "gain", "95 % interval", "noise widths", "surely better", "looks", "seeds", "snapshot")
MEANT = {
    "experiments": "how many attempts were decided",
    "kept": "how many were kept",
    "failed": "how many were not",
    "baseline": "score of the unchanged code",
    "best": "of the last keep: the baseline and what was gained in slots, else its score",
    "claimed_gain": "what the keeps add up to, chosen as the best of many",
    "honest_gain": "the same, allowing for luck in the choice",
    "false_keeps": "how many keeps are luck, expected",
    "noise": "standard deviation of one run",
    "exam_gain": "gain by the closing exam",
    "exam_interval": "its 95 % interval",
    "budget": "of one run",
    "gain:N": "measured gain of #N over the incumbent of its time",
    "interval:N": "its 95 % interval",
    "widths:N": "the gain in noise widths",
    "sure:N": "probability that it is truly better",
    "score:N": "score of #N",
    "looks:N": "runs spent on it",
    "change:N": "the description of #N",
    "worth:N": "what was lost without #N, by the last ablation",
    "replicated:N": "what the others who measured #N gained, pooled",
    "table:kept, table:failed, table:ablations, table:replications": "a table, on a line of its own",
}


def signed(gain: float, unit: str = "") -> str:
    """A gain with its sign and unit."""
    return ("+" if gain > 0 else "") + shown(gain) + (f" {unit}" if unit else "")


def span(edges: Sequence[float] | None) -> str:
    """An interval; "" where none is known."""
    return f"{signed(edges[0])} to {signed(edges[1])}" if edges else ""


def _minus(text: str) -> str:
    return text.replace("-", "−")


def values_of(of: Material, year: int) -> Values:
    """What the placeholders of this paper stand for; what was not measured has none."""
    words = dict(_totals(of))
    others = frozenset(one.record for some in of.replications.values() for one in some)
    for one in of.told.values():
        words |= dict(_of_attempt(of, one))
    tables = {
        "table:kept": rows(of.found.kept),
        "table:failed": rows(telling(of.found.failed)),
        "table:ablations": ablations(of),
        "table:replications": replications(of),
    }
    return Values(words, {name: text for name, text in tables.items() if text}, frozenset(of.told), others, year)


def _totals(of: Material) -> Iterator[tuple[str, str]]:
    totals, unit, baseline = of.found.totals, of.found.arena.metric.unit, of.baseline.number
    keeps = [one.number for one in of.course if one.experiment.decision == "keep"]
    last, kept = max(keeps, default=baseline), len(keeps)
    yield "experiments", f"{len(of.course):,}"
    yield "kept", f"{kept:,}"
    yield "failed", f"{len(of.course) - kept:,}"
    yield "budget", f"{of.found.arena.budget.seconds:g} s"
    told = [
        ("baseline", totals.baseline, f" (#{baseline})"),
        ("best", totals.best, f" (#{last})"),
        ("claimed_gain", totals.claimed_gain, f" (#{baseline} to #{last})"),
        ("honest_gain", totals.honest_gain, f" (#{baseline} to #{last})"),
        ("exam_gain", totals.exam_gain, " (closing exam)"),
        ("noise", of.found.noise.sd, f" ({of.found.noise.runs} runs)"),
    ]
    for name, value, records in told:
        if value is not None:
            said = signed(value) if name.endswith("gain") else shown(value)
            yield name, said + (f" {plain(unit)}" if unit else "") + records
    if totals.expected_false_keeps is not None:
        yield "false_keeps", f"{totals.expected_false_keeps:.2f}"
    if totals.exam_interval:
        yield "exam_interval", f"{span(totals.exam_interval)} (closing exam)"


def _of_attempt(of: Material, one: Attempt) -> Iterator[tuple[str, str]]:
    verdict, n, unit = one.experiment.verdict, one.number, of.found.arena.metric.unit
    record, unit = f" (#{n})", plain(unit) if unit else ""
    yield f"change:{n}", f"“{plain(one.experiment.description, 160)}”{record}"
    if one.score is not None:
        yield f"score:{n}", shown(one.score) + (f" {unit}" if unit else "") + record
    if verdict.change is not None:
        yield f"gain:{n}", signed(verdict.change, unit) + record
    if verdict.interval is not None:
        yield f"interval:{n}", span(verdict.interval) + record
    if verdict.noise_widths is not None:
        yield f"widths:{n}", _minus(fixed(verdict.noise_widths, 1)) + record
    if verdict.probability is not None:
        yield f"sure:{n}", f"{100 * verdict.probability:.0f} %{record}"
    if verdict.looks:
        yield f"looks:{n}", f"{verdict.looks}{record}"
    if n in of.ablations:
        last = of.ablations[n][-1]
        yield f"worth:{n}", signed(worth(last).gain, unit) + f" (#{last.number}, without #{n})"
    found = pooled(of.replications.get(n, []))
    if found is not None:
        names = ", ".join(line.record for line in of.replications[n][:6])
        yield f"replicated:{n}", signed(found.gain, unit) + f" ({names})"


# --- tables -----------------------------------------------------------------------------------------------------------


def rows(attempts: Sequence[Attempt]) -> str:
    """A table of attempts; "" of none. What stands in a row was fixed when the attempt was decided."""
    return table(HEAD, map(_cells, attempts))


def row(one: Attempt) -> str:
    """One attempt as `rows` has it; of the verdict alone, so that it reads the same whenever it is written."""
    return rows([one]).rpartition("\n")[2]


def _cells(one: Attempt) -> Sequence[str]:
    verdict = one.experiment.verdict
    gain = signed(verdict.change) if verdict.change is not None else plain(str(verdict.code or one.status), 40)
    return (
        f"#{one.number}",
        plain(one.experiment.description, 120),
        gain,
        span(verdict.interval),
        "" if verdict.noise_widths is None else _minus(fixed(verdict.noise_widths, 1)),
        "" if verdict.probability is None else f"{100 * verdict.probability:.0f} %",
        str(verdict.looks or ""),
        ", ".join(map(str, verdict.seeds[:8])),
        one.experiment.snapshot[:10],
    )


def telling(attempts: Sequence[Attempt]) -> list[Attempt]:
    """Those that are listed where there are very many: the farthest from the noise, in order of number."""
    first = sorted(attempts, key=lambda one: -abs(one.widths if one.widths is not None else 2.0))[:MOST_ROWS]
    return sorted(first, key=lambda one: one.number)


def ablations(of: Material) -> str:
    """What each kept change is worth in the end, by the runs without it; "" where none was taken back."""
    found = [
        (f"#{n}", f"#{one.number}", signed(worth(one).gain), span(worth(one).interval), plain(one.outcome))
        for n, some in sorted(of.ablations.items())
        for one in some
    ]
    return table(("change", "run without it", "lost without it", "95 % interval", "that run was"), found)


def replications(of: Material) -> str:
    """Every other measurement of each kept change, and all of them pooled; "" where nobody measured again."""
    lines = []
    for n, others in sorted(of.replications.items()):
        lines.append(_measured(f"#{n}", "its own verdict", own(of.told[n])))
        lines += [_measured("", other.record, other) for other in others]
        found = pooled(others)
        if found is not None and len(others) > 1:
            lines.append(_measured("", f"the {len(others)} others pooled", Measurement("", found.gain, found.interval)))
    return table(("change", "measured by", "gain", "95 % interval"), lines)


def _measured(change: str, who: str, one: Measurement) -> Sequence[str]:
    return change, plain(who), signed(one.gain), span(one.interval)
