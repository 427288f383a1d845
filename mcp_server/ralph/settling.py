"""What the lab makes of an agent's turn: its edits run, scored and decided, exactly as if it had called the verbs."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from mcp_server import __version__
from mcp_server.arena.stop import target_reached
from mcp_server.campaign.attempt import read
from mcp_server.campaign.bench import incumbent_commit
from mcp_server.campaign.find import open_here
from mcp_server.campaign.waiting import POLL_SECONDS, until_decided, until_finished
from mcp_server.lab import CALIBRATE, Lab
from mcp_server.nouns.errors import AutoresearchError, StillRunning, UnknownExperiment
from mcp_server.nouns.exchanged import short
from mcp_server.nouns.records import Kind, Status
from mcp_server.nouns.replies import DecisionReply
from mcp_server.nouns.rows import Experiment, Proposer
from mcp_server.nouns.text import clean_line
from mcp_server.ralph.pacing import Outcome
from mcp_server.ralph.telling import Told

STOPPING_SECONDS = 30.0
COMMAND_CHARACTERS = 80  # of an agent's command, for the record


@dataclass
class Settled:
    """What became of one turn."""

    outcome: Outcome = Outcome.NOTHING
    experiment: int | None = None
    score: float | None = None
    said: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Position:
    """Where the campaign is: the incumbent's score, whether the arena's target is reached, whether it is over."""

    score: float | None
    incumbent: int | None
    secondary: dict[str, float]
    complete: bool
    over: str
    target: float | None
    paused: str = ""  # why nothing may begin now


def begin(lab: Lab, tag: str, tell: Callable[[str], None]) -> None:
    """A campaign with a scored baseline, begun if there is none. Raises AutoresearchError."""
    begun = False
    with contextlib.suppress(UnknownExperiment):
        begun = bool(lab.lab_status().campaign)
    if not begun:
        tell(f"Campaign {tag}: the baseline runs.")
        lab.start_campaign(tag, calibrate=CALIBRATE)
    with lab.reading() as (bench, campaign, _):
        baseline = bench.ledger.baseline(campaign.tag)
    if baseline is not None:
        until_finished(lab, baseline.number, field_seconds=0)


def position(lab: Lab) -> Position:
    """Read from the ledger; nothing an agent wrote goes into it."""
    status = lab.lab_status()
    incumbent = status.incumbent.experiment if status.incumbent else None
    secondary = lab.read_score(incumbent).secondary if incumbent is not None else {}
    with lab.reading() as (bench, campaign, arena):
        best = bench.ledger.incumbent(campaign.tag)
        score = read(bench.ledger, best).score if best is not None else None
    target = arena.stop.target
    complete = target_reached(arena, score)
    return Position(score, incumbent, secondary, complete, status.stop, target, status.paused)


def settle(lab: Lab, description: str, before: Position) -> Settled:
    """Run what the agent left and decide on all that is open. Raises nothing that an agent can cause."""
    settled = Settled()
    try:
        _decide_open(lab, settled)
        _run_what_is_left(lab, description, settled)
        _decide_open(lab, settled)
    except AutoresearchError as error:
        settled.said.append(str(error))
    after = position(lab)
    # the agent may have kept something by itself; a baseline that comes home is no keep
    if before.incumbent is not None and after.incumbent != before.incumbent and _is_ours(lab, after.incumbent):
        settled.outcome, settled.experiment, settled.score = Outcome.KEPT, after.incumbent, after.score
    return settled


def _is_ours(lab: Lab, number: int | None) -> bool:
    """Whether an experiment came from this work tree: another loop's keep is not this turn's."""
    with lab.reading() as (bench, campaign, _):
        return number is not None and bench.ledger.experiment(campaign.tag, number).tree == str(bench.paths.tree)


def repeat_others(lab: Lab, tell: Callable[[str], None]) -> Settled | None:
    """Repeat what other labs claim and is due here, with no agent: run and decided; None where nothing is due."""
    if _open_here(lab):
        return None
    choice = lab.to_repeat()
    if choice is None:
        return None
    settled = Settled()
    try:
        begun = lab.run_experiment(source=choice.name, proposer=Proposer.of("ralph", __version__))
        tell(f"Experiment {begun.experiment} repeats {choice}.")
        _decide_open(lab, settled)
    except AutoresearchError as error:
        settled.said.append(f"{short(choice.name)} was not repeated: {error}")
    return settled


def _run_what_is_left(lab: Lab, description: str, settled: Settled) -> None:
    with lab.reading() as (bench, campaign, arena):
        tip = incumbent_commit(bench.ledger, campaign)
        untouched = bench.workspace.nothing_changed(arena.editable, tip)
        known = {one.number for one in bench.ledger.experiments(campaign.tag)}
        out = [one for one in bench.ledger.undecided(campaign.tag) if one.tree == str(bench.paths.tree)]
        # edits that are in the field already are not new
        waiting = any(bench.workspace.nothing_changed(arena.editable, one.snapshot) for one in out)
    if untouched or waiting:
        return
    reply = lab.run_experiment(description)
    settled.experiment = reply.experiment
    if reply.experiment in known:
        settled.said.append(f"The same code was tried as experiment {reply.experiment} and not run again.")
        with lab.reading() as (bench, campaign, arena):
            twin = bench.ledger.experiment(campaign.tag, reply.experiment)
            if twin.decision is not None:
                tip = incumbent_commit(bench.ledger, campaign)
                bench.workspace.revert(arena.editable, twin.snapshot, tip)


def _decide_open(lab: Lab, settled: Settled) -> None:
    """Every experiment here that can be decided is; what the world has not answered yet stays out."""
    for number in [one.number for one in _open_here(lab) if one.kind != Kind.BASELINE]:
        decision = _decided(lab, number)
        settled.experiment = number
        if decision is None:
            settled.outcome = Outcome.OUT
            continue
        settled.outcome = Outcome.KEPT if decision.decision == "kept" else Outcome.REVERTED
        settled.score = decision.score
        settled.said.append(f"Experiment {number} {decision.decision}: {decision.reason}")


def _open_here(lab: Lab) -> list[Experiment]:
    """What is undecided, but for what those in other work trees see to: they are not waited for."""
    with lab.reading() as (bench, campaign, _):
        return open_here(bench, campaign)


def _decided(lab: Lab, number: int) -> DecisionReply | None:
    with contextlib.suppress(StillRunning):  # the world is not waited for
        return until_decided(lab, number, "auto", field_seconds=0)
    return None


def begun_since(lab: Lab, last: int) -> list[int]:
    """Numbers of the experiments that were begun in this work tree after number `last`."""
    with lab.reading() as (bench, campaign, _):
        found = bench.ledger.experiments(campaign.tag, last=max(0, bench.ledger.next_number(campaign.tag) - 1 - last))
        return [one.number for one in found if one.tree == str(bench.paths.tree)]


def last_number(lab: Lab) -> int:
    with lab.reading() as (bench, campaign, _):
        return bench.ledger.next_number(campaign.tag) - 1


def note_turn(lab: Lab, numbers: Sequence[int], command: str, heard: Told) -> None:
    """Who proposed the experiments of a turn, and what that cost: shared evenly where there are several."""
    if not numbers:
        return
    with lab.reading() as (bench, campaign, _):
        for number in numbers:
            before = bench.ledger.experiment(campaign.tag, number).proposer
            told = before.model_copy(
                update={
                    "client": before.client or "ralph",
                    "command": clean_line(command, COMMAND_CHARACTERS),
                    "model": heard.model or before.model,
                    # what the agent's output does not say, the agent itself may have told
                    "tokens": before.tokens if heard.tokens is None else round(heard.tokens / len(numbers)),
                    "cost_usd": before.cost_usd if heard.cost_usd is None else heard.cost_usd / len(numbers),
                }
            )
            bench.ledger.note_proposer(campaign.tag, number, told)


def cancel_what_runs(lab: Lab) -> None:
    """Leave no run of this work tree behind, and its files as they were; what is in the field stays, it is paid for."""
    ends, stopped = time.monotonic() + STOPPING_SECONDS, set[int]()
    while time.monotonic() < ends:
        with lab.reading() as (bench, campaign, arena):
            mine = [run for run in bench.ledger.open_runs() if run.campaign == campaign.tag]
            tree = str(bench.paths.tree)  # other loops of the campaign go on
            mine = [run for run in mine if bench.ledger.experiment(run.campaign, run.experiment).tree == tree]
            local = [run for run in mine if not (arena.handover and bench.folder(run).sealed.exists())]
            for run in local:
                bench.engine.cancel(bench.folder(run))
                stopped.add(run.experiment)
        if not local:
            break
        time.sleep(POLL_SECONDS)
    for number in stopped:
        with contextlib.suppress(AutoresearchError):  # the next loop settles it
            if lab.read_score(number).status == Status.CANCELLED:
                lab.commit_or_revert(number, "revert")
