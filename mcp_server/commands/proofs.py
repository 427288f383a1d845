"""Before a loop: is this arena sound? check-arena."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import click
from pydantic import Field
from rich.progress import BarColumn, Progress, TextColumn
from rich.table import Column, Table
from rich.text import Text

from mcp_server.commands import asking
from mcp_server.commands.names import Place
from mcp_server.faces import terminal
from mcp_server.nouns.replies import Reply
from mcp_server.proving.asked import PATIENCE_SECONDS, REPEATS, Proof, Step, Wish
from mcp_server.proving.evidence import Severity, Tried
from mcp_server.proving.proof import prove
from mcp_server.proving.results import iteration_seconds
from mcp_server.proving.verdict import Readiness

MARKS = {Severity.BLOCKS: ("✗", "bold red"), Severity.WARNS: ("!", "yellow"), Severity.NOTES: ("·", "dim")}
COLOURS = {Readiness.READY: "bold green", Readiness.REPEATS: "bold yellow", Readiness.NOT_READY: "bold red"}
NIGHT_SECONDS = 8 * 3600


class FindingReply(Reply):
    """One thing that was found."""

    code: str
    severity: str
    said: str
    mend: str = ""


class TriedReply(Reply):
    """One variant that was run, and how it ended."""

    aim: str
    what: str
    ending: str
    score: float | None = None


class ProofReply(Reply):
    """The verdict on an arena, with the numbers behind it. All scores are in the arena's unit."""

    verdict: str = Field(description="ready, ready with repeats or not ready")
    repeats: int | None = Field(default=None, description="runs of each side that show a usual change")
    reasons: list[str] = Field(default_factory=list)
    scores: list[float] = Field(
        default_factory=list, description="of the unchanged code: twice on one seed, then on others"
    )
    repeatable: bool | None = Field(default=None, description="whether one seed gave one score")
    noise: float | None = Field(default=None, description="standard deviation of a comparison of two runs")
    smallest_change: float | None = None
    typical_change: float | None = Field(default=None, description="what the referee expects of a change that helps")
    change_assumed: bool | None = Field(default=None, description="whether keep.min_delta leaves these to be guessed")
    iteration_seconds: float | None = None
    iterations_a_night: int | None = None
    cpu_seconds: float | None = Field(default=None, description="of training, per run")
    runs: int = 0
    findings: list[FindingReply] = Field(default_factory=list)
    tried: list[TriedReply] = Field(default_factory=list)


def proof_reply(proof: Proof) -> ProofReply:
    """What a proof says to tools and people."""
    baseline, verdict, scale = proof.evidence.baseline, proof.verdict, proof.verdict.scale
    first = [trial.score for trial in baseline if trial.seed == baseline[0].seed]
    seconds = iteration_seconds(baseline)
    cpu = [trial.result.cpu_seconds for trial in baseline if trial.result.cpu_seconds is not None]
    return ProofReply(
        verdict=verdict.readiness,
        repeats=verdict.repeats or None,
        reasons=verdict.reasons,
        scores=[trial.score for trial in baseline if trial.score is not None],
        repeatable=len(set(first)) == 1 if len(first) > 1 and None not in first else None,
        noise=scale.width if scale else None,
        smallest_change=scale.smallest if scale else None,
        typical_change=scale.typical if scale else None,
        change_assumed=scale.assumed if scale else None,
        iteration_seconds=round(seconds, 2),
        iterations_a_night=int(NIGHT_SECONDS / seconds) if scale and seconds > 0 else None,
        cpu_seconds=round(sum(cpu) / len(cpu), 3) if cpu else None,
        runs=len(baseline) + len(proof.evidence.tried),
        findings=[FindingReply(code=f.code, severity=f.severity, said=f.said, mend=f.mend) for f in verdict.findings],
        tried=[_tried(one) for one in proof.evidence.tried],
    )


def _tried(one: Tried) -> TriedReply:
    return TriedReply(aim=one.aim, what=one.what, ending=one.trial.ending, score=one.trial.score)


@click.command("check-arena")
@click.option(
    "--repo",
    "folder",
    type=asking.Here(),
    metavar="DIR",
    help="The folder with program.md. Default: here.",
)
@click.option(
    "--repeats", type=click.IntRange(2, 20), default=REPEATS, show_default=True, help="Runs of the unchanged code."
)
@click.option("--better", metavar="FILE", help="A version that must score better: file, folder, .patch or NAME=VALUE.")
@click.option("--worse", metavar="FILE", help="A version that must score worse. Default: several harms are tried.")
@click.option(
    "--patience",
    type=asking.Finite(0),
    default=PATIENCE_SECONDS,
    show_default=True,
    metavar="SECONDS",
    help="How long a score may stay pending.",
)
@asking.replying
def check_arena(
    place: Place,
    folder: Path | None,
    repeats: int,
    better: str | None,
    worse: str | None,
    patience: float,
    as_json: bool,
) -> None:
    """Prove an arena before any loop: run it, cheat in it, harm it, and say whether it is ready.

    All of it happens in a throw-away copy; your repository is only read and no campaign is started. The unchanged code
    runs several times: is the score repeatable, how far does chance move it, what does an iteration cost? Then simple
    cheats are really tried: an empty attempt, printed and forged scores, answers that a run can read, a scorer that
    runs the attempt's code, constants of the measure, checks that pass on anything. Then a deliberate harm, and your
    deliberate improvement if you give one, must be told apart.

    The verdict is "ready" or "ready with repeats" (exit status 0), or "not ready" (1), with the reasons and what mends
    them. It covers what was tried, not what a cleverer cheat might find.

    \b
    Examples:
      autoresearch check-arena
      autoresearch check-arena --better faster.py --worse slower.py
      autoresearch check-arena --better RATE=0.1,DEPTH=6 --repeats 6
      autoresearch check-arena --repo arenas/packing --json
    """
    with _ending_well(), _progress(as_json) as tell:
        proof = prove(folder or place.folder, Wish(place.folder, repeats, better, worse, patience), tell)
    reply = proof_reply(proof)
    asking.answer(reply, as_json, *_page(reply, proof))
    sys.exit(1 if proof.verdict.readiness is Readiness.NOT_READY else 0)


@contextmanager
def _ending_well() -> Iterator[None]:
    """Whoever ends us by SIGTERM still gets the runs ended and the copy removed."""

    def leave(number: int, frame: object) -> None:
        sys.exit(128 + number)

    before = signal.signal(signal.SIGTERM, leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def _progress(quiet: bool) -> Iterator[Callable[[Step], None]]:
    """A bar on a terminal, a line for each step elsewhere; on stderr."""
    console = terminal.screen(stderr=True)
    if quiet:
        yield lambda step: None
        return
    if not console.is_terminal:
        yield lambda step: console.print(f"{step.done + 1}/{max(step.planned, step.done + 1)} {step.said}")
        return
    columns = (TextColumn("{task.description}"), BarColumn(complete_style="cyan"), TextColumn("{task.fields[left]}"))
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("…", total=1.0, left="")

        def tell(step: Step) -> None:
            left = "" if step.seconds_left is None else f"{terminal.seconds(step.seconds_left)} left"
            bar.update(task, description=step.said[:60], completed=step.done, total=step.planned, left=left)

        yield tell


def _page(reply: ProofReply, proof: Proof) -> Iterator[Table | Text | None]:
    unit = proof.evidence.arena.metric.unit
    rows: list[tuple[str, str | Text | None]] = [("arena", proof.evidence.arena.goal)]
    if reply.noise is not None and reply.smallest_change is not None:
        scores = ", ".join(terminal.number(score) for score in reply.scores)
        same = {True: "; the same seed gives the same score", False: "; the same seed gives another score", None: ""}
        assumed = " (assumed; keep.min_delta says it)" if reply.change_assumed else ""
        rows += [
            ("scores", f"{scores} {unit}".rstrip() + same[reply.repeatable]),
            (
                "noise",
                f"{reply.noise:.3g} between two runs; smallest change worth it {reply.smallest_change:.3g}{assumed}",
            ),
            ("iteration", f"{reply.iteration_seconds:.1f} s, about {reply.iterations_a_night:,} in a night of 8 h"),
        ]
    rows.append(("runs", f"{reply.runs} in a throw-away copy"))
    yield terminal.facts(rows)
    if reply.tried:
        table = Table.grid(Column(style="dim", no_wrap=True), Column(ratio=1), Column(), padding=(0, 2))
        for one in reply.tried:
            table.add_row(one.aim.replace("_", " "), Text(one.what), Text(one.ending))
        yield Text("")
        yield table
    yield Text("")
    for finding in reply.findings:
        mark, style = MARKS[Severity(finding.severity)]
        line = Table.grid(Column(width=1, style=style), Column(), padding=(0, 1))
        line.add_row(mark, Text(finding.said))
        if finding.mend:
            line.add_row("", Text(finding.mend, style="dim"))
        yield line
    more = (
        f": {reply.repeats} runs of each side show a change of the usual size"
        if reply.repeats and reply.repeats > 1
        else ""
    )
    yield Text(f"{reply.verdict}{more}", style=COLOURS[proof.verdict.readiness])
