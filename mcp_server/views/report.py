"""The report of a campaign: what was asked, what was found, what one may believe, and how to do it again.

Written from the ledger alone, as Markdown that can be a pull request's text; the HTML is that same text rendered, with
the chart inside the file. Everything agents wrote is escaped: it may tell, but not format, link or fetch anything.
"""

from __future__ import annotations

import shlex
import statistics
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

from jinja2 import Environment, FileSystemLoader
from markdown_it import MarkdownIt
from markupsafe import Markup

from mcp_server.judging.totals import prune_order
from mcp_server.judging.verdict import Comparison
from mcp_server.nouns.attempt import Attempt
from mcp_server.nouns.numbers import counted, duration, fixed
from mcp_server.nouns.replies import TotalsReply
from mcp_server.nouns.text import clean_block, fenced, minute, plain, table
from mcp_server.views.chart.words import shown
from mcp_server.views.findings import DIFF_BYTES, MOST_KEPT, Findings
from mcp_server.views.front import svg
from mcp_server.views.pictures import as_data
from mcp_server.views.watched import words

CHART, FRONT = "progress.png", "front.svg"
IN_SLOTS = (
    "Attempts are drawn, and gains added up, by how much better or worse each was than the incumbent that trained "
    "beside it in the same slot: a machine moves, so scores of different times do not compare."
)
MOST_FAILURES_PER_THEME = 3
WATCHED = ("kept", "score", "watched", "gain", "watched gain", "divergence")


# --- as Markdown ------------------------------------------------------------------------------------------------------


def markdown(found: Findings, chart: bool) -> str:
    """The report. `chart`: progress.png lies beside it."""
    title = f"# {plain(found.campaign.tag)}: {plain(found.arena.goal)}"
    sections = [
        title,
        _in_short(found),
        f"![Every experiment of the campaign, kept and not, with the best so far]({CHART})" if chart else "",
        IN_SLOTS if any(one.experiment.verdict.comparison == Comparison.SLOT for one in found.kept) else "",
        _question(found),
        _result(found),
        _pictures(found),
        _watched(found),
        _front(found),
        _changes(found),
        _failures(found),
        _predictions(found),
        _lessons(found),
        _elsewhere(found),
        _next(found),
        _again(found),
    ]
    return "\n\n".join(section for section in sections if section) + "\n"


def _in_short(found: Findings) -> str:
    totals, name = found.totals, plain(found.arena.metric.name)
    decided = sum(found.outcomes.values())
    count = f"{decided:,} experiments in {duration(found.seconds)}, {len(found.kept)} kept"
    if totals.best is None or totals.baseline is None:
        return f"**{count}.** No baseline has a score yet."
    claim = " Every score is CLAIMED BY THE RUN that printed it; nobody measured it." if found.arena.claimed else ""
    moved = f"{name} {shown(totals.baseline)} → {shown(totals.best)}{_unit(found)}"
    return f"**{moved}: {count}.**{claim} {_believable(totals)}"


def _believable(totals: TotalsReply) -> str:
    if totals.exam_gain is not None:
        edges = " to ".join(shown(edge) for edge in totals.exam_interval)
        said = f"On the untouched split and fresh seeds the gain is {shown(totals.exam_gain)}"
        if not edges:
            return f"{said}."
        sure = totals.exam_interval[0] > 0
        verdict = "it is real" if sure else "which includes no gain at all"
        return f"{said}, 95 % interval {edges}: {verdict}."
    if totals.honest_gain is not None:
        return (
            f"Allowing for luck in the choice, a gain of {shown(totals.honest_gain)} is believable; "
            "no closing exam was made (`autoresearch exam`)."
        )
    return "Nothing but the baseline was kept."


def _signed(gain: float) -> str:
    """A gain with its sign."""
    return ("+" if gain > 0 else "") + shown(gain)  # never begins a line, where it would be a list's


def _unit(found: Findings) -> str:
    return f" {plain(found.arena.metric.unit)}" if found.arena.metric.unit else ""


def _table(rows: Sequence[tuple[str, str]]) -> str:
    return table(("", ""), (row for row in rows if row[1]))


def _question(found: Findings) -> str:
    arena, campaign = found.arena, found.campaign
    budget = arena.budget
    devices = [f"{plain(one.identity)}{f', driver {plain(one.driver)}' if one.driver else ''}" for one in found.devices]
    better = "higher is better" if arena.metric.direction == "maximize" else "lower is better"
    return "## Question and setup\n\n" + _table(
        [
            ("question", plain(arena.goal)),
            ("measured", f"{plain(arena.metric.name)}{_unit(found)}, {better}" if not arena.claimed else ""),
            ("CLAIMED BY THE RUN", f"{plain(arena.metric.name)}{_unit(found)}, {better}" if arena.claimed else ""),
            ("edited", ", ".join(plain(path) for path in arena.editable)),
            ("budget of a run", f"{budget.seconds:g} s of {'processor' if found.clock == 'cpu' else 'wall'} time"),
            ("machine", "; ".join(devices)),
            ("shut in by", ", ".join(found.tiers)),
            ("began", f"{minute(campaign.began_at)} from commit {campaign.pinned[:12]}"),
            ("computed", f"{duration(found.run_seconds)} of runs"),
            ("spent", plain(found.money, 600)),
            *(("rules changed", plain(words)) for words in found.rules),
            ("data", f"corpus {plain(campaign.fingerprint)[:12]}" if campaign.fingerprint else ""),
        ]
    )


def _result(found: Findings) -> str:
    totals, noise, unit = found.totals, found.noise, _unit(found)
    edges = " to ".join(shown(edge) for edge in totals.exam_interval)
    exam = "" if totals.exam_gain is None else f"{shown(totals.exam_gain)}{unit}" + (f" ({edges})" if edges else "")
    spread = "" if noise.sd is None else f"{shown(noise.sd)}{unit} from {noise.runs} runs"
    rows = [
        ("baseline", "" if totals.baseline is None else f"{shown(totals.baseline)}{unit}"),
        ("best", "" if totals.best is None else f"{shown(totals.best)}{unit}"),
        ("claimed gain", "" if totals.claimed_gain is None else f"{shown(totals.claimed_gain)}{unit}"),
        (
            "honest gain",
            "" if totals.honest_gain is None else f"{shown(totals.honest_gain)}{unit}, allowing for luck",
        ),
        (f"gain since {plain(totals.first_campaign)}", _since_first(totals, unit)),
        ("gain by closing exam", exam or "not made"),
        ("claimed before", plain(totals.claim)),
        ("expected false keeps", "" if totals.expected_false_keeps is None else f"{totals.expected_false_keeps:.2f}"),
        ("noise of one run", spread),
        ("outcomes", ", ".join(f"{count:,} {name}" for name, count in sorted(found.outcomes.items()))),
        ("not decided yet", str(found.left) if found.left else ""),
    ]
    return "## Result\n\n" + _table(rows)


def _pictures(found: Findings) -> str:
    """What the baseline and the latest keeps made, side by side."""
    if not found.pictures:
        return ""
    heads = [f"{one.number}: {plain(one.experiment.description, 60)}" for one, _ in found.pictures]
    images = [f"![What experiment {one.number} made]({picture.name(one.number)})" for one, picture in found.pictures]
    said = "Drawn by the arena's own `view` command from what each run left; no score is taken from a picture."
    return "\n\n".join(["## What it made", said, table(heads, [images])])


def _watched(found: Findings) -> str:
    """The keeps on a third draw, with what of their gains it does not show."""
    if len(found.watched) < 2:
        return ""
    rows = [
        (
            f"{one.number}: {plain(one.description, 80)}",
            *map(shown, (one.score, one.watch, one.gain, one.watch_gain, one.divergence)),
        )
        for one in found.watched
    ]
    said = (
        "Every run was also scored on a third draw that no decision and no agent has seen. "
        f"{words(found.watched).capitalize()}."
    )
    return "\n\n".join(["## Watch series", said, table(WATCHED, rows)])


def _front(found: Findings) -> str:
    """Several primary metrics: what a keep means, and who is beaten by nobody."""
    some = [one for one in found.places if one.front]
    if not some:
        return ""
    names = list(some[0].values)
    rows = [
        (f"{one.number}: {plain(one.description, 80)}", *(shown(one.values[name]) for name in names), "kept" * one.kept)
        for one in sorted(some, key=lambda place: place.values[names[0]])
    ]
    said = (
        f"A keep is a step on the front of {', '.join(map(plain, names))}: surely better in one at least, surely worse "
        "in none. By their measured values nobody beats these; who trades one for another is in the vault, and not on "
        "the branch."
    )
    picture = f"![Every attempt by its metrics, with the front as a line]({FRONT})"
    return "\n\n".join(["## Pareto front", said, picture, table(("attempt", *map(plain, names), ""), rows)])


def _since_first(totals: TotalsReply, unit: str) -> str:
    """What the lab has gained since its first campaign on this contract: a later one may have begun from worse code."""
    gain = totals.gain_since_first
    return "" if gain is None else f"{_signed(gain)}{unit}, from the baseline of the lab's first campaign"


def _changes(found: Findings) -> str:
    if not found.kept:
        return "## Kept changes\n\nNone."
    parts = ["## Kept changes"]
    for one in found.kept[:MOST_KEPT]:
        experiment, sure = one.experiment, one.experiment.verdict.probability
        said = [
            f"gain {_signed(one.gain)}{_unit(found)}" if one.gain is not None else "",
            _interval(one.interval, _unit(found)),
            f"{fixed(abs(one.widths), 1)} noise widths" if one.widths is not None else "",
            f"{100 * sure:.0f} % sure" if sure is not None else "",
            plain(one.experiment.verdict.examples),
            plain(one.label),
            f"cost {counted(len(one.runs), 'run')}, {duration(one.seconds)}",
        ]
        parts.append(f"### {experiment.number}: {plain(experiment.description)}")
        parts.append("; ".join(part for part in said if part) + ".")
        if experiment.verdict.flipped:
            parts.append(f"On single examples: {', '.join(plain(flip, 100) for flip in experiment.verdict.flipped)}.")
        if experiment.hypothesis:
            parts.append(f"Why it was tried: {plain(experiment.hypothesis, 600)}")
        if found.diffs.get(experiment.number):
            parts.append(fenced(clean_block(found.diffs[experiment.number], DIFF_BYTES), "diff"))
    if len(found.kept) > MOST_KEPT:
        parts.append(f"{len(found.kept) - MOST_KEPT} more are in `git log {found.campaign.branch}`.")
    return "\n\n".join(parts)


def _interval(edges: tuple[float, float] | None, unit: str) -> str:
    return "" if edges is None else f"95 % interval {_signed(edges[0])} to {_signed(edges[1])}{unit}"


def _failures(found: Findings) -> str:
    """By theme, most tried first; the most telling are those far from the noise, then those that did not run at all."""
    if not found.failed:
        return ""
    themes: defaultdict[str, list[Attempt]] = defaultdict(list)
    for one in found.failed:
        themes[one.experiment.theme].append(one)
    parts = ["## What did not work"]
    for theme, tried in sorted(themes.items(), key=lambda item: -len(item[1])):
        losses = [one.gain for one in tried if one.gain is not None]
        middle = f", typically {_signed(statistics.median(losses))}" if losses else ""
        parts.append(f"**{plain(theme)}**: {len(tried)} tried and not kept{middle}.")
        telling = sorted(tried, key=_telling, reverse=True)[:MOST_FAILURES_PER_THEME]
        parts.append("\n".join(f"- {_failure(one)}" for one in telling))
    return "\n\n".join(parts)


def _telling(one: Attempt) -> tuple[float, int]:
    return (abs(one.widths) if one.widths is not None else 2.0, one.number)


def _failure(one: Attempt) -> str:
    if one.gain is None:
        said = plain(one.experiment.verdict.reason, 160)
    else:
        said = _signed(one.gain) + (f", {abs(one.widths):.1f} noise widths" if one.widths is not None else "")
        said += f", {plain(one.experiment.verdict.examples)}" if one.experiment.verdict.examples else ""
    return f"{one.number}, {one.came}: {plain(one.experiment.description)} ({said})"


def _predictions(found: Findings) -> str:
    return f"## How well predictions held\n\n{plain(found.predicted, 600)}" if found.predicted else ""


def _lessons(found: Findings) -> str:
    if not found.lessons:
        return ""
    lines = [
        f"- {plain(one.text, 600)}" + (f" (experiment {one.experiment})" if one.experiment else "")
        for one in found.lessons
    ]
    return "## Learned\n\n" + "\n".join(lines)


def _elsewhere(found: Findings) -> str:
    if not found.elsewhere:
        return ""
    lines = "\n".join(f"- {plain(one, 400)}" for one in found.elsewhere)
    said = "Of the same contract. Another lab's word is advice, and what stands in quotes is its own."
    return f"## What other labs found\n\n{said}\n\n{lines}"


def _next(found: Findings) -> str:
    ideas = []
    doubtful = prune_order([one.experiment for one in found.kept])
    if doubtful:
        listed = ", ".join(map(str, sorted(doubtful)[-8:]))
        ideas.append(
            f"Re-test the provisional keeps ({listed}) with `autoresearch prune`; the latest are most often luck."
        )
    if found.totals.exam_gain is None and found.kept:
        ideas.append("Make the closing exam (`autoresearch exam`): it measures the gain on data no decision has seen.")
    if found.untried:
        ideas.append(f"Least tried themes: {', '.join(found.untried)}.")
    near = [one for one in found.failed if (one.gain or 0.0) > 0]
    near.sort(key=lambda one: -(one.gain or 0.0))
    ideas += [f"Nearly kept: {_failure(one)}; it may add up with another change." for one in near[:3]]
    return "## What to try next\n\n" + "\n".join(f"- {idea}" for idea in ideas) if ideas else ""


def _again(found: Findings) -> str:
    tag, pinned = found.campaign.tag, found.campaign.pinned
    commands = [
        f"git checkout {pinned}",
        f"autoresearch start {tag[:30]}-again",
        f"git restore --source {found.campaign.branch} -- {shlex.join(found.arena.editable)}",
        f'autoresearch run "the incumbent of {tag}"',
        "autoresearch decide --wait",  # an exam compares what was kept
        "autoresearch exam",
    ]
    attempts = f"git show refs/autoresearch/{tag}/N        # any attempt, kept or not"
    return "## How to reproduce\n\n" + fenced("\n".join([*commands, attempts]), "sh")


# --- as HTML ----------------------------------------------------------------------------------------------------------


def html(found: Findings, chart: bytes | None) -> str:
    """One file that needs no other: the Markdown rendered, the chart inside it. Raw HTML in the text stays text."""
    return rendered(markdown(found, chart is not None), inside(found, chart), found.campaign.tag, "report.html")


def pictures(found: Findings) -> dict[str, bytes]:
    """Every picture that the report shows but the chart, by the name under which it lies beside it."""
    shown = {picture.name(one.number): picture.content or b"" for one, picture in found.pictures}
    return shown | ({FRONT: svg(found.places, found.arena).encode()} if found.places else {})


def inside(found: Findings, chart: bytes | None) -> dict[str, str]:
    """All of them as data, by name."""
    shown = pictures(found) | ({} if chart is None else {CHART: chart})
    return {name: as_data(name.rpartition(".")[2], content) for name, content in shown.items()}


def rendered(text: str, images: Mapping[str, str], title: str, template: str, card: str = "") -> str:
    """Markdown as one HTML file. images: by the name in the text, as data; no other image is shown.

    card: the file beside it that other sites show when they link to it.
    """
    reader = MarkdownIt("commonmark", {"html": False}).enable("table")
    tokens = reader.parse(text)
    for token in tokens:
        for child in token.children or []:
            if child.type == "image":  # these are ours; what an agent wrote cannot make another
                child.attrs["src"] = images.get(str(child.attrs.get("src")), "")
    pages = Environment(loader=FileSystemLoader(Path(__file__).parents[1] / "dashboard" / "templates"), autoescape=True)
    body = Markup(reader.renderer.render(tokens, reader.options, {}))
    return pages.get_template(template).render(title=title, body=body, card=card)
