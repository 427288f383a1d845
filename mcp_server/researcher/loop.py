"""The loop of an agent, over the real protocol, by a researcher without a language model.

A client starts `python -m mcp_server` in a lab and does what an agent does: recall, edit, run, read the score, commit
or revert, write down what was learned. Scores, verdicts and git are the server's, as for any client.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, TypeVar

import anyio
from mcp.client import Client
from mcp.client.stdio import StdioServerParameters, stdio_client
from mcp.shared.exceptions import MCPError
from mcp_types import Implementation

import mcp_server
from mcp_server import __version__
from mcp_server.judging.verdict import Decision
from mcp_server.nouns.errors import AutoresearchError, NotNow
from mcp_server.nouns.files import write_atomically
from mcp_server.nouns.numbers import fixed
from mcp_server.nouns.records import Kind, RunState, Status
from mcp_server.nouns.replies import (
    CampaignReply,
    DecisionReply,
    ExperimentReply,
    LearningReply,
    RecallReply,
    Reply,
    ScoreReply,
    StatusReply,
)
from mcp_server.researcher import classical
from mcp_server.researcher.habits import UNKNOWN, Proposal, Trial, deviation, judged, lesson, propose
from mcp_server.researcher.listed import SUGGESTIONS, in_order, parse_suggestions, recorded, suggest
from mcp_server.views.history import HistoryRow

FEWEST, MOST = 5, 12  # experiments after the baseline: promised, and enough
SPARE = 5  # runs for the repeats that a first keep has to stand on a machine that moves, whatever the time
SPARE_OF_SECONDS = 8  # the same, where a run takes a second
NOT_RUN = 0  # in place of a number
WAIT_SECONDS = 60.0  # of one call; a longer wait is several calls
R = TypeVar("R", bound=Reply)


class Audience(Protocol):
    """Who watches: a live screen, plain lines, or a test."""

    def say(self, words: str) -> None: ...

    def show(self, row: HistoryRow) -> None:
        """An experiment as it stands; the same number again replaces it."""

    def progress(self, what: str, left_seconds: float, said: str) -> None:
        """A run under way, and about how long it will take."""


@dataclass(frozen=True)
class Pace:
    """How much is tried, and for how long: seconds since `began`, a reading of time.monotonic()."""

    began: float
    experiments: int = 6
    calibrate: int = 2
    seed: int = 0
    limit_seconds: float = 330.0
    researcher: str = "seeded"  # or tpe, or recorded

    @property
    def spent(self) -> float:
        return time.monotonic() - self.began


@dataclass
class Outcome:
    """What came of it, in the server's words."""

    folder: Path
    rows: dict[int, HistoryRow] = field(default_factory=dict)
    status: StatusReply | None = None
    seconds: float = 0.0

    @property
    def kept(self) -> list[HistoryRow]:
        return [row for row in self.rows.values() if row.status == "kept" and row.kind != Kind.BASELINE]


@dataclass
class Session:
    """A client's talk with the server: typed questions, errors as ours."""

    client: Client
    audience: Audience

    async def ask(self, reply: type[R], tool: str, **arguments: Any) -> R:
        """Call one tool. Raises AutoresearchError with the server's words."""
        answer = await self.client.call_tool(tool, arguments, progress_callback=self._heard)
        if answer.is_error or answer.structured_content is None:
            words = " ".join(getattr(part, "text", "") for part in answer.content)
            raise AutoresearchError(words or f"{tool} gave no answer.")
        return reply.model_validate(answer.structured_content)

    async def _heard(self, progress: float, total: float | None, message: str | None) -> None:
        what, _, said = (message or "").partition(": ")
        self.audience.progress(what, (total or progress) - progress, said)

    async def score(self, number: int) -> ScoreReply:
        """Wait for an experiment, however many calls it takes."""
        while True:
            found = await self.ask(ScoreReply, "read_score", experiment=number, wait_seconds=WAIT_SECONDS)
            if not found.open:
                return found


async def campaign(folder: Path, tag: str, pace: Pace, audience: Audience, log: Path) -> Outcome:
    """A campaign from its baseline to the last lesson, through a server of its own whose messages go to `log`."""
    package = str(Path(mcp_server.__file__).resolve().parent.parent)
    environment = {**os.environ, "AUTORESEARCH_PROJECT": str(folder), "PYTHONPATH": package, "PYTHONSAFEPATH": "1"}
    command = StdioServerParameters(command=sys.executable, args=["-m", "mcp_server"], cwd=str(folder), env=environment)
    with open(log, "w") as messages:
        try:
            me = Implementation(name="autoresearch-demo", version=__version__)
            async with Client(stdio_client(command, errlog=messages), client_info=me) as client:
                return await _research(Session(client, audience), folder, tag, pace)
        except (MCPError, AutoresearchError, BaseExceptionGroup) as error:
            # by hand: what is raised in an `except*` reaches the caller in a group of its own on some Pythons
            first = _first(error)
            if isinstance(first, MCPError):
                raise AutoresearchError(f"The server ended: {first}. Its last words are in {log}.") from None
            if isinstance(first, AutoresearchError):
                raise first from None
            raise


def _first(error: BaseException) -> BaseException:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


async def _research(session: Session, folder: Path, tag: str, pace: Pace) -> Outcome:
    outcome = Outcome(folder)
    audience = session.audience

    def show(row: HistoryRow) -> None:
        outcome.rows[row.experiment] = row
        audience.show(row)

    await session.ask(CampaignReply, "start_campaign", tag=tag, calibrate=pace.calibrate)
    show(HistoryRow(experiment=1, status="running", kind=Kind.BASELINE, description="baseline: unchanged code"))
    audience.say(f"Campaign {tag}: the baseline, and {pace.calibrate} more of it to measure the noise.")
    baseline = await session.score(1)
    if baseline.score is None:
        raise NotNow(f"The baseline has no score: {baseline.status}, {baseline.reason}. {baseline.detail}")
    show(_row(baseline, Kind.BASELINE))
    slot = pace.spent
    show(_row(await _repeated(session, pace, slot), Kind.BASELINE))
    status = await session.ask(StatusReply, "lab_status")
    if status.noise is not None and status.noise.sd is not None:
        audience.say(f"Noise of one run: {fixed(status.noise.sd, 4)} {baseline.unit}, from {status.noise.runs} runs.")

    repeats = 0

    def room() -> bool:
        """Whether a repeat leaves time for what is promised: one idea must not use up the whole demonstration."""
        nonlocal repeats
        repeats += 1
        spare = SPARE_OF_SECONDS if pace.researcher == "recorded" else SPARE
        return repeats <= spare or repeat_fits(pace, len(outcome.rows) - 1, slot)

    trials: list[Trial] = []
    while _goes_on(pace, outcome, slot):
        at = time.monotonic()
        if status.community and await _repeat(session, outcome, show, room):
            continue
        trial = await _iterate(session, folder, status, outcome, trials, pace, show, room)
        if trial is None:
            audience.say("Every step this researcher knows was tried.")
            break
        trials.append(trial)
        slot = max(slot, time.monotonic() - at) if len(trials) == 1 else (slot + time.monotonic() - at) / 2
    outcome.status = await session.ask(StatusReply, "lab_status")
    outcome.seconds = pace.spent
    return outcome


async def _repeated(session: Session, pace: Pace, slot: float) -> ScoreReply:
    """Wait for the baseline's other runs: it is kept after the first, and nothing tells how the others fare."""
    began = pace.spent
    while True:
        found = await session.ask(ScoreReply, "read_score", experiment=1, wait_seconds=0)
        over = [run for run in found.runs if RunState(run.state).terminal]
        if len(over) == len(found.runs):
            return found
        left = slot * (len(found.runs) - 1) - (pace.spent - began)
        session.audience.progress(
            "experiment 1", max(0.0, left), f"run {len(over) + 1} of {len(found.runs)}, for the noise"
        )
        await anyio.sleep(1.0)


def _goes_on(pace: Pace, outcome: Outcome, slot: float) -> bool:
    """Whether to try another: what is promised always, what was asked for if it fits, more only for a first success."""
    done = len(outcome.rows) - 1
    if done < min(FEWEST, pace.experiments):
        return True
    fits = pace.spent + slot <= pace.limit_seconds
    return fits and done < (pace.experiments if outcome.kept else max(MOST, pace.experiments))


def repeat_fits(pace: Pace, done: int, slot: float) -> bool:
    """Whether one more run of the same idea fits beside the experiments that are still owed. done: ideas so far."""
    owed = max(0, min(FEWEST, pace.experiments) - done)
    return pace.spent + slot * (owed + 1) <= pace.limit_seconds


def _next_idea(folder: Path, source: str, trials: list[Trial], pace: Pace, device: str) -> Proposal | None:
    """What was recorded, where that is asked for; the arena's own suggestions where it has any; constants to move."""
    seed = pace.seed
    if pace.researcher == "recorded":
        return in_order(recorded(), source, trials)
    if pace.researcher == "tpe":
        return classical.propose(source, trials, seed, device)
    file = folder / SUGGESTIONS
    if file.is_file():
        return suggest(parse_suggestions(file.read_text("utf-8")), source, trials, seed)
    return propose(source, trials, seed, device)


async def _repeat(
    session: Session, outcome: Outcome, show: Callable[[HistoryRow], None], room: Callable[[], bool]
) -> bool:
    """Repeat another lab's attempt where one is due, and decide on it. Whether a run was spent."""
    due = (await session.ask(StatusReply, "lab_status")).repeat
    if not due:
        return False
    source = due.partition(":")[0]
    try:
        run = await session.ask(ExperimentReply, "run_experiment", source=source, wait_seconds=0)
    except AutoresearchError as error:
        session.audience.say(f"{source} of another lab was not repeated: {error}")
        return False
    if run.experiment in outcome.rows:
        return False
    session.audience.say(f"Experiment {run.experiment} repeats {due}.")
    show(HistoryRow(experiment=run.experiment, status="running", kind=Kind.REPLICATION, description=run.description))
    found = await session.score(run.experiment)
    decision = await _decided(session, found, show, room)
    show(_row(found, Kind.REPLICATION, decision))
    return True


async def _iterate(
    session: Session,
    folder: Path,
    status: StatusReply,
    outcome: Outcome,
    trials: list[Trial],
    pace: Pace,
    show: Callable[[HistoryRow], None],
    room: Callable[[], bool],
) -> Trial | None:
    """One experiment from the idea to the lesson; None when there is no idea left. room: for one more repeat."""
    path = folder / status.editable[0]
    source = path.read_text("utf-8")
    device = status.devices[0].device if status.devices else "cpu"
    idea = _next_idea(folder, source, trials, pace, device)
    if idea is None:
        return None
    known = await session.ask(RecallReply, "recall", knobs=idea.knobs, query="" if idea.knobs else idea.description)
    write_atomically(path, idea.source.encode())
    try:
        run = await session.ask(
            ExperimentReply,
            "run_experiment",
            description=idea.description,
            hypothesis=idea.hypothesis,
            expected_delta=idea.expected,
            wait_seconds=0,
        )
        again = f"it is experiment {run.experiment} again" if run.experiment in outcome.rows else ""
    except AutoresearchError as error:
        again = str(error)
    if again:
        write_atomically(path, source.encode())
        session.audience.say(f"{idea.description} was not run: {again}.")
        return Trial(NOT_RUN, idea.moves, UNKNOWN)
    show(HistoryRow(experiment=run.experiment, status="running", description=idea.description))
    if known.found:
        session.audience.say(f"Recalled {known.found} earlier findings on {', '.join(m.name for m in idea.moves)}.")
    found = await session.score(run.experiment)
    decision = await _decided(session, found, show, room)
    gain = decision.change if decision.score is not None or found.score is not None else None
    came = judged(decision.decision == "kept", gain, decision.interval)
    trial = Trial(run.experiment, idea.moves, came, gain, deviation(decision.interval))
    show(_row(found, Kind.ATTEMPT, decision))
    await _learn(session, status, trial, decision, found)
    return trial


async def _decided(
    session: Session, found: ScoreReply, show: Callable[[HistoryRow], None], room: Callable[[], bool]
) -> DecisionReply:
    """What the referee decides, after the repeats it asks for; put back undecided where there is no time for them."""
    number = found.experiment
    while True:
        unsure = found.verdict is not None and found.verdict.decision == Decision.CONFIRM
        if unsure and not room():
            session.audience.say(f"Experiment {number}: another repeat would tell, but the time is for other ideas.")
            return await session.ask(DecisionReply, "commit_or_revert", experiment=number, decision="revert")
        decision = await session.ask(DecisionReply, "commit_or_revert", experiment=number)
        if decision.decision not in ("confirming", "rebased"):
            return decision
        session.audience.say(f"Experiment {number}: {decision.reason}")
        doubted = {"status": Status.CONFIRMING, "change": decision.change, "noise_widths": decision.noise_widths}
        show(_row(found, Kind.ATTEMPT).model_copy(update=doubted))
        number = decision.carried_on or number
        found = await session.score(number)


async def _learn(
    session: Session, status: StatusReply, trial: Trial, decision: DecisionReply, found: ScoreReply
) -> None:
    metric = status.metric.partition(",")[0]
    reason = decision.reason or found.reason
    text = lesson(trial, metric, found.unit, status.budget.partition(" on ")[0], decision.interval, reason)
    try:
        await session.ask(LearningReply, "append_learnings", text=text, experiment=trial.number, tags=["demo"])
    except AutoresearchError as error:
        session.audience.say(f"Not written down: {error}")
        return
    session.audience.say(text)


def _row(found: ScoreReply, kind: Kind, decision: DecisionReply | None = None) -> HistoryRow:
    status = found.status
    if decision is not None:
        ended = Status.DISCARDED if found.status == Status.SCORED else found.status
        status = Status.KEPT if decision.decision == "kept" else ended
    return HistoryRow(
        experiment=found.experiment,
        status=str(status),
        label=decision.label if decision else "baseline" if kind == Kind.BASELINE else "",
        kind=kind,
        description=found.description,
        score=found.score if decision is None or decision.score is None else decision.score,
        change=decision.change if decision else None,
        interval=decision.interval if decision else [],
        noise_widths=decision.noise_widths if decision else None,
    )
