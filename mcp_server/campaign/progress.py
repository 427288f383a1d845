"""Where things stand, read from the ledger and said as replies; decides nothing and changes nothing."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from datetime import UTC, datetime

from mcp_server.arena.program import Arena
from mcp_server.campaign.attempt import read
from mcp_server.campaign.evidence import Judgement
from mcp_server.campaign.reins.gate import paused
from mcp_server.judging.looks import told_live
from mcp_server.ledger import Ledger
from mcp_server.nouns.attempt import failure_of
from mcp_server.nouns.numbers import duration
from mcp_server.nouns.paths import LabPaths
from mcp_server.nouns.records import CurvePoint, RunProgress, RunState
from mcp_server.nouns.replies import CrashReply, ExperimentReply, RunReply, ScoreReply, VerdictReply
from mcp_server.nouns.rows import Experiment, Run
from mcp_server.nouns.text import clean_block, clean_line

CURVE_POINTS = 6
EXCERPT_CHARACTERS = 1500


def run_reply(run: Run) -> RunReply:
    return RunReply(
        run=run.run,
        seed=run.seed,
        purpose=run.purpose,
        state=run.state,
        score=rounded(run.score),
        reason=run.result.reason if run.result else "",
        tainted=run.tainted,
    )


def progress_of(paths: LabPaths, run: Run) -> RunProgress | None:
    """What the supervisor last said; None when it has not spoken."""
    with contextlib.suppress(OSError, ValueError):
        return RunProgress.read(paths.run(run.campaign, run.experiment, run.run).progress)
    return None


def experiment_reply(
    ledger: Ledger, paths: LabPaths, experiment: Experiment, arena: Arena, now: datetime
) -> ExperimentReply:
    """The short form: where it is, and how long it will take."""
    found = read(ledger, experiment)
    reply = ExperimentReply(
        experiment=experiment.number,
        campaign=experiment.campaign,
        status=found.status,
        description=experiment.description,
        score=rounded(found.score),
    )
    reply.change, reply.noise_widths = rounded(found.gain), rounded(found.widths, 2)
    waiting = [run for run in found.runs if not run.state.terminal] or list(found.beside)
    if waiting and experiment.decision is None:
        _say_progress(reply, ledger, paths, waiting, arena, now)
    return reply


def _say_progress(
    reply: ExperimentReply, ledger: Ledger, paths: LabPaths, waiting: list[Run], arena: Arena, now: datetime
) -> None:
    ahead = [run for run in ledger.open_runs() if run.ticket < waiting[0].ticket and run.state is not RunState.PENDING]
    slot = usual_slot_seconds(ledger, reply.campaign, arena)
    left = slot * len(waiting)
    # only where nothing runs or waits for a device is it the world that is awaited
    current = min(waiting, key=lambda run: (run.state is not RunState.RUNNING, run.state is RunState.PENDING))
    progress = progress_of(paths, current)
    if current.state is RunState.PENDING and current.ask_again_at is not None:
        reply.phase, left = "pending", max(0.0, current.ask_again_at - now.timestamp())
    elif current.state is RunState.QUEUED and (current.ask_again_at or 0.0) > now.timestamp():
        due = datetime.fromtimestamp(current.ask_again_at or 0.0, UTC)
        reply.phase, reply.reason = "waiting for quiet", f"Measured beside other programs; {tried_again(due, now)}"
        left += (due - now).total_seconds()
    elif (progress is None or progress.phase == "waiting") and paused(ledger, reply.campaign, now):
        reply.phase = "paused"
    elif progress is None or progress.phase == "waiting":
        reply.phase, reply.queue_position = "waiting", len(ahead)
        left += slot * len(ahead)
    else:
        reply.phase, reply.loss = progress.phase, rounded(progress.loss, 4) if told_live(current) else None
        reply.elapsed_seconds = round(progress.elapsed_seconds, 1)
        if progress.budget_seconds:
            left -= slot * min(1.0, progress.elapsed_seconds / progress.budget_seconds) * 0.9
    reply.eta_seconds = round(max(0.0, left), 1)


def tried_again(due: datetime, now: datetime) -> str:
    """In local time, as the clock on the wall shows it."""
    soon = duration(max(1.0, (due - now).total_seconds()))
    return f"it is tried again at {due.astimezone():%H:%M:%S} (in {soon}), by the first call after that."


def usual_slot_seconds(ledger: Ledger, campaign: str, arena: Arena) -> float:
    """How long a run takes on the wall, from the first baseline run; the budget while there is none."""
    baseline = ledger.baseline(campaign)
    for run in baseline.runs if baseline else ():
        result = run.result
        if result is not None and result.wall_seconds is not None:
            return (result.startup_seconds or 0) + result.wall_seconds + (result.score_seconds or 0)
    return arena.budget.seconds


def score_reply(
    ledger: Ledger,
    paths: LabPaths,
    experiment: Experiment,
    arena: Arena,
    now: datetime,
    judgement: Judgement | None,
) -> ScoreReply:
    """The long form: all that is known of one experiment."""
    short = experiment_reply(ledger, paths, experiment, arena, now)
    runs = ledger.runs(experiment.campaign, experiment.number)
    reply = ScoreReply(**{name: getattr(short, name) for name in ExperimentReply.model_fields}, unit=arena.metric.unit)
    reply.incumbent, reply.incumbent_score = _compared_with(ledger, experiment, arena)
    if judgement is not None:
        verdict = judgement.verdict
        reply.change, reply.noise_widths = rounded(judgement.change), rounded(judgement.widths, 2)
        reply.verdict = VerdictReply(
            decision=verdict.decision,
            label=judgement.label or "",
            probability=rounded(verdict.probability, 3),
            reason=verdict.reason,
            code=verdict.code,
            units=judgement.shown.examples,
            flipped=list(judgement.shown.flipped),
        )
    elif experiment.verdict.units:
        reply.verdict = decided_reply(experiment)
    if len(runs) > 1:
        reply.runs = [run_reply(run) for run in runs]
    shown = failure_of(runs) or next((run for run in runs if run.result is not None), None)
    if shown is not None and shown.result is not None:
        _say_result(reply, shown)
    reply.knobs = [f"{name}: {before} -> {after}" for name, before, after in experiment.knobs[:8]]
    return reply


def decided_reply(experiment: Experiment) -> VerdictReply:
    """The verdict as it was decided."""
    verdict = experiment.verdict
    return VerdictReply(
        decision=experiment.decision or "",
        label=experiment.label or "",
        probability=verdict.probability,
        reason=clean_line(verdict.reason, 400),
        units=verdict.examples,
        flipped=list(verdict.flipped),
    )


def _compared_with(ledger: Ledger, experiment: Experiment, arena: Arena) -> tuple[int | None, float | None]:
    """The experiment it is judged against and that one's score; of a decided one as they were when it was decided."""
    verdict = experiment.verdict
    if experiment.decision is None:
        incumbent = ledger.incumbent(experiment.campaign)
        number = incumbent.number if incumbent is not None else None
    else:
        number = experiment.base if verdict.against is None else verdict.against
    if number is None or number == experiment.number:
        return None, None
    if experiment.decision is not None and verdict.score is not None and verdict.change is not None:
        return number, rounded(arena.loss(arena.loss(verdict.score) + verdict.change))
    return number, rounded(read(ledger, ledger.experiment(experiment.campaign, number)).score)


def _say_result(reply: ScoreReply, run: Run) -> None:
    result = run.result
    assert result is not None
    reply.interval = edges(result.interval)
    measured = result.secondary | {f"suite {name}": value for name, value in result.suite.items()}
    reply.secondary = {name: float(f"{value:.6g}") for name, value in measured.items()}
    reply.curve = [[point.step, round(point.loss, 4)] for point in thinned(result.curve, CURVE_POINTS)]
    reply.steps, reply.memory_mb = result.steps, rounded(result.peak_memory_mb, 0)
    reply.train_seconds, reply.python = rounded(result.train_seconds, 1), result.python
    reply.reason, reply.detail = result.reason, clean_block(result.detail, EXCERPT_CHARACTERS)
    reply.warnings = list(result.flags) + ([f"tainted: {result.tainted}"] if result.tainted else [])
    if result.crash is not None and run.state is not RunState.SCORED:
        crash = result.crash
        reply.crash = CrashReply(
            kind=clean_line(crash.kind, 80),
            message=clean_line(crash.message, 300),
            frames=[clean_line(frame, 200) for frame in crash.frames[-4:]],
            excerpt="" if crash.frames else clean_block(crash.excerpt, EXCERPT_CHARACTERS),
        )


def thinned(curve: Sequence[CurvePoint], points: int) -> list[CurvePoint]:
    """At most `points` of a curve, evenly spaced, first and last included."""
    if len(curve) <= points:
        return list(curve)
    return [curve[round(i * (len(curve) - 1) / (points - 1))] for i in range(points)]


def rounded(value: float | None, digits: int | None = None) -> float | None:
    """To so many decimals; else to six, or six significant digits where that is finer: a score may have any unit."""
    if value is None or digits is not None or abs(value) >= 1.0:
        return None if value is None else round(value, 6 if digits is None else digits)
    return float(f"{value:.6g}")


def edges(interval: Sequence[float] | None) -> list[float]:
    """An interval for a reply; [] where none was measured."""
    return [found for edge in interval or () if (found := rounded(edge)) is not None]


def in_the_field(numbers: Sequence[int], due_seconds: float) -> str:
    """What to do while only the world is awaited."""
    who = f"Experiment {numbers[0]} is" if len(numbers) == 1 else f"Experiments {', '.join(map(str, numbers))} are"
    return (
        f"{who} in the field; the next answer is due in about {duration(due_seconds)}. Nothing runs or waits here "
        "meanwhile: propose another, or end the turn; the next call after that settles it."
    )
