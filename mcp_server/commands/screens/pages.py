"""Replies as pages of a terminal: what a person reads of a score, a decision, a lab, a history, an experiment."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import RenderableType
from rich.progress_bar import ProgressBar
from rich.table import Column, Table
from rich.text import Text

from mcp_server.commands.asking import hint, problems
from mcp_server.faces.terminal import (
    facts,
    gained,
    in_widths,
    joined,
    number,
    one_line,
    part_done,
    phase_of,
    seconds,
    sparkline,
    stack,
    status,
)
from mcp_server.nouns.numbers import fixed
from mcp_server.nouns.replies import (
    CrashReply,
    DecisionReply,
    ExperimentReply,
    RunReply,
    ScoreReply,
    StatusReply,
)
from mcp_server.views.history import HistoryReply, PageReply

Parts = list[RenderableType | None]
DIFF_STYLES = {"+++": "bold", "---": "bold", "@@": "cyan", "+": "green", "-": "red", "diff": "bold", "index": "dim"}


def lines(said: Sequence[str]) -> Parts:
    return [Text(line) for line in said]


def brief(reply: ExperimentReply) -> Parts:
    """Where an experiment is."""
    rows: list[tuple[str, RenderableType | str | None]] = [
        ("experiment", f"{reply.experiment}  {reply.description}"),
        ("status", _status(reply)),
        ("score", number(reply.score) if reply.score is not None else None),
    ]
    return [facts(rows), problems(reply.warnings), hint(reply.next)]


def _status(reply: ExperimentReply, label: str = "") -> Text:
    doing = phase_of(reply) if reply.phase else ""
    left = f"{seconds(reply.eta_seconds)} left" if reply.eta_seconds is not None else ""
    loss = f"loss {fixed(reply.loss, 3)}" if reply.loss is not None else ""
    more = joined(doing if doing != reply.status else "", loss, left)
    return Text.assemble(status(reply.status, label), f"  {more}" if more else "")


def score(reply: ScoreReply, label: str = "") -> Parts:
    """All that a score says. label: what kind of keep it became."""
    unit = f" {reply.unit}" if reply.unit else ""
    edges = [number(edge) for edge in reply.interval]
    interval = f"  [{' … '.join(edges)}]" if len({*edges}) == 2 else ""  # exact as far as it is shown: nothing to say
    against = f"against experiment {reply.incumbent} ({number(reply.incumbent_score)})" if reply.incumbent else ""
    widths = in_widths(reply.change, reply.noise_widths)
    change = None if reply.change is None else Text.assemble(gained(reply.change), f"  {joined(widths, against)}")
    rows: list[tuple[str, RenderableType | str | None]] = [
        ("experiment", f"{reply.experiment}  {reply.description}"),
        ("status", _status(reply, label)),
        ("score", f"{number(reply.score)}{unit}{interval}" if reply.score is not None else None),
        ("gain", change),
        ("verdict", _verdict(reply)),
        ("changed", ", ".join(reply.knobs)),
        ("steps", f"{reply.steps:,} in {seconds(reply.train_seconds)}" if reply.steps else None),
        ("loss", _curve([point[1] for point in reply.curve])),
        ("secondary", ", ".join(f"{name} {value:g}" for name, value in reply.secondary.items())),
        ("python", reply.python),
        ("reason", joined(reply.reason, reply.detail)),
    ]
    return [facts(rows), *crash(reply.crash), problems(reply.warnings), hint(reply.next)]


def _verdict(reply: ScoreReply) -> str | None:
    if reply.verdict is None:
        return None
    sure = reply.verdict.probability
    chance = "" if sure is None else f"{100 * sure:.0f} % sure it is better"
    label = f" ({reply.verdict.label})" if reply.verdict.label else ""
    said = [joined(reply.verdict.decision + label, chance, reply.verdict.units)]
    said += [reply.verdict.reason, f"on single examples: {', '.join(reply.verdict.flipped)}"]
    return "\n".join(said if reply.verdict.flipped else said[:2]).rstrip()


def _curve(losses: Sequence[float]) -> str | None:
    if len(losses) < 2:
        return None
    return f"{sparkline(losses)}  {fixed(losses[0], 3)} → {fixed(losses[-1], 3)}"


def crash(found: CrashReply | None) -> Parts:
    """Why a run ended badly; the text is the run's and stays text."""
    if found is None:
        return []
    told = [Text(f"{found.kind}: {found.message}" if found.message else found.kind, style="red")]
    return [*told, *(Text(f"  {frame}", style="dim") for frame in found.frames), *lines(found.excerpt.splitlines())]


def decision(reply: DecisionReply) -> Parts:
    """What was decided and what git did."""
    styles = {"kept": "bold green", "confirming": "cyan", "rebased": "cyan", "overtaken": "yellow"}
    style = styles.get(reply.decision, "bold")
    edges = [f"{edge:+.4g}" for edge in reply.interval]
    band = f"95 %: {' to '.join(edges)}" if len({*edges}) == 2 else ""
    widths = joined(band, in_widths(reply.change, reply.noise_widths))
    rows: list[tuple[str, RenderableType | str | None]] = [
        ("experiment", str(reply.experiment)),
        ("decision", Text(joined(reply.decision, reply.label), style=style)),
        ("score", number(reply.score) if reply.score is not None else None),
        ("gain", Text.assemble(gained(reply.change), f"  {widths}") if reply.change is not None else None),
        ("examples", reply.units),
        ("changed on", ", ".join(reply.flipped)),
        ("reason", reply.reason),
        ("commit", reply.commit),
        ("goes on as", f"experiment {reply.carried_on}" if reply.carried_on else None),
        ("put back", ", ".join(reply.restored)),
        ("repeats", ", ".join(f"seed {run.seed} {run.state}" for run in reply.runs)),
    ]
    left = f"{', '.join(reply.left)}: edited since the snapshot, left alone." if reply.left else ""
    return [facts(rows), problems([left] if left else []), hint(reply.next)]


# --- the lab ----------------------------------------------------------------------------------------------------------


def lab(reply: StatusReply, width: int, short: bool = False) -> Parts:
    """Where the lab stands, on one screen."""
    head = [Text(joined(reply.campaign or "no campaign yet", reply.goal), style="bold")]
    head.append(Text(joined(reply.metric, reply.budget, reply.tier.split(":")[0], reply.stop), style="dim"))
    if short:
        return [*head, _best(reply), problems(reply.problems), hint(reply.next)]
    rows: list[tuple[str, RenderableType | str | None]] = [
        ("editable", ", ".join(reply.editable)),
        ("best", _best(reply)),
        ("gain", _totals(reply)),
        ("tried", _counts(reply)),
        ("noise", _noise(reply)),
        ("pairing", reply.pairing),
        ("python", reply.python),
        (
            "devices",
            joined(*(f"{d.device} {d.state}" + (f" ({d.experiment})" if d.experiment else "") for d in reply.devices)),
        ),
        *(("rules changed", one_line(words)) for words in reply.rules),
        ("undecided", ", ".join(map(str, reply.waiting_for_decision))),
        *(("running", running(one, width)) for one in reply.running),
        ("last", stack(map(one_line, reply.last)) if reply.last else None),
        ("learned", stack(map(one_line, reply.learnings)) if reply.learnings else None),
        *(("elsewhere", words) for words in reply.community),
        ("imported", f"{reply.tried_elsewhere} attempts, tried elsewhere" if reply.tried_elsewhere else ""),
        ("repeat", reply.repeat or None),
        ("paused", reply.paused),
        ("money", reply.money.words if reply.money else ""),
        *(("queue", one_line(words)) for words in reply.ideas),
        ("advice", reply.advice),
        ("suggest", reply.landscape),
        *(("try", one_line(words)) for words in reply.suggestions),
        ("disk", reply.disk),
        ("chart", reply.chart),
    ]
    return [*head, facts(rows), problems(reply.problems), hint(reply.next)]


def _best(reply: StatusReply) -> Text:
    best = reply.incumbent
    if best is None:
        return Text("no score yet", style="dim")
    return Text.assemble((number(best.score), "bold green"), f"  experiment {best.experiment}: {best.description}")


def _totals(reply: StatusReply) -> str | None:
    totals = reply.totals
    if totals is None or totals.claimed_gain is None:
        return None
    honest = f"honest {number(totals.honest_gain, sign=True)}" if totals.honest_gain is not None else ""
    false = totals.expected_false_keeps
    lucky = f"{false:.1f} keeps may be luck" if false is not None and false >= 0.05 else ""
    exam = f"exam {number(totals.exam_gain, sign=True)}" if totals.exam_gain is not None else ""
    claimed = f"claimed {number(totals.claimed_gain, sign=True)} from {number(totals.baseline)}"
    first = (
        f"since {totals.first_campaign} {number(totals.gain_since_first, sign=True)}" if totals.first_campaign else ""
    )
    return joined(claimed, honest, lucky, first, exam)


def _counts(reply: StatusReply) -> str:
    words = {"baseline": "baseline", "keep": "kept", "revert": "reverted", "open": "open", "overtaken": "overtaken"}
    counts = reply.experiments
    parts = [f"{counts[key]} {word}" for key, word in words.items() if counts.get(key)]
    total = counts.get("all", 0)
    return joined(f"{total} experiment{'s' * (total != 1)}", *parts) if counts else ""


def _noise(reply: StatusReply) -> str | None:
    noise = reply.noise
    if noise is None or noise.sd is None:
        return None
    pairs = f"paired {number(noise.paired_sd)}" if noise.paired_sd is not None else ""
    return joined(f"sd {number(noise.sd)}", pairs, f"from {noise.runs} runs")


def running(reply: ExperimentReply, width: int) -> RenderableType:
    """One experiment under way, with a bar where it is known how far it is."""
    elapsed, left = reply.elapsed_seconds, reply.eta_seconds
    said = Text.assemble(f"{reply.experiment}  ", _status(reply), f"  {reply.description}")
    if elapsed is None or left is None:
        return said
    grid = Table.grid(Column(ratio=1, no_wrap=True), Column(width=max(8, min(30, width // 5))), padding=(0, 1))
    grid.add_row(said, ProgressBar(total=1.0, completed=part_done(elapsed, left), complete_style="cyan"))
    return grid if width < 1000 else said


# --- many experiments, and one ----------------------------------------------------------------------------------------


def table(reply: HistoryReply) -> Parts:
    """The experiments of a campaign, a row each."""
    rows = Table(
        Column("#", justify="right", style="dim", no_wrap=True),
        Column("status", no_wrap=True),
        Column(reply.metric or "score", justify="right", no_wrap=True),
        Column("gain", justify="right", no_wrap=True),
        Column("± 95 %", justify="right", style="dim", no_wrap=True),
        Column("noise", justify="right", style="dim", no_wrap=True),
        Column(one_line("what was changed")),  # the only one that may shrink: its cells end in an ellipsis then
        box=None,
        header_style="dim",
        padding=(0, 1, 0, 0),
        pad_edge=False,
    )
    for row in reply.experiments:
        widths = in_widths(row.change, row.noise_widths).removesuffix(" noise widths")
        rows.add_row(
            str(row.experiment),
            status(row.status, row.label),
            number(row.score),
            gained(row.change) if row.change is not None else "",
            f"{(row.interval[1] - row.interval[0]) / 2:.2g}" if row.interval else "",
            widths and f"{widths}σ",
            one_line(row.description),
        )
    more = Text(f"{reply.left_out} not shown", style="dim") if reply.left_out else None
    changed = [one_line(f"rules changed {words}") for words in reply.rules]
    return [rows, *([more] if more else []), *changed]


def experiment(reply: PageReply) -> Parts:
    """One experiment: what was tried, what came of it, and why."""
    row = reply.row
    expected = "" if reply.expected_delta is None else f"expected {number(reply.expected_delta, sign=True)}"
    rows: list[tuple[str, RenderableType | str | None]] = [
        ("why", reply.hypothesis),
        ("foreseen", expected),
        ("base", f"experiment {reply.base}" if reply.base else None),
        ("runs", _runs(reply.runs) if len(reply.runs) > 1 else None),
        ("curve", _curve([point[1] for point in reply.curve])),
        ("measured on", joined(reply.device, reply.tier)),
        ("learned", stack(lines(reply.learnings)) if reply.learnings else None),
        ("commit", reply.commit[:12]),
        ("vault", f"git show {reply.vault}"),
        ("log", reply.log),
    ]
    # the page has the whole curve, the score's reply a few points of it
    told = score(reply.score.model_copy(update={"curve": [], "next": "", "status": row.status}), row.label)
    return [*told, facts(rows), Text(), *diff(reply.diff), hint(reply.score.next)]


def _runs(runs: Sequence[RunReply]) -> Table:
    grid = Table.grid(padding=(0, 2))
    for run in runs:
        grid.add_row(
            f"seed {run.seed}", run.purpose, status(run.state), number(run.score), joined(run.reason, run.tainted)
        )
    return grid


def diff(text: str) -> Parts:
    """A diff in the usual colours; the text in it is the agent's and stays text."""
    found: Parts = []
    for line in text.splitlines():
        mark = next((mark for mark in DIFF_STYLES if line.startswith(mark)), "")
        found.append(Text(line, style=DIFF_STYLES.get(mark, "")))
    return found
