"""Brings the abort rule its past from the ledger, and says what it has saved."""

from __future__ import annotations

from mcp_server.arena.program import Arena
from mcp_server.judging import abort
from mcp_server.ledger import Ledger
from mcp_server.nouns.records import AbortRule, Kind, Purpose
from mcp_server.nouns.rows import Experiment, Run

REMEMBERED = 120  # of the newest runs with a curve; the incumbents change, and a verb is to answer at once


def abort_rule(ledger: Ledger, arena: Arena, experiment: Experiment, run: Run) -> AbortRule | None:
    """When to stop this run; None where it is to be trained to its end.

    Only an attempt's first run may be stopped: whatever is to be compared closely needs all its seeds.
    """
    tag, incumbent = run.campaign, ledger.incumbent(run.campaign)
    if arena.budget.early_abort == "never" or incumbent is None or run.purpose != Purpose.FIRST:
        return None
    if experiment.kind != Kind.ATTEMPT or not _comparable(experiment):
        return None
    same = [r for r in ledger.runs(tag, incumbent.number) if r.counts and r.seed == run.seed and r.result is not None]
    if not same or same[-1].result is None or not same[-1].result.curve:
        return None
    return abort.rule(same[-1].result.curve, past(ledger, arena, tag))


def past(ledger: Ledger, arena: Arena, tag: str) -> list[abort.Past]:
    """Every attempt of late that was trained to its end, with its gap at the look and what became of it."""
    runs = ledger.curves(tag, last=REMEMBERED)
    by_code = {(run.experiment, run.seed, run.machine): run for run in runs}
    found = []
    for run in runs:
        experiment = ledger.experiment(tag, run.experiment)
        against = experiment.verdict.against
        beside = by_code.get((against, run.seed, run.machine)) if against is not None else None
        if run.purpose != Purpose.FIRST or beside is None or not _comparable(experiment):
            continue
        behind = abort.gap(run.curve, beside.curve)
        if behind is not None:
            found.append(abort.Past(behind, arena.loss(run.score) - arena.loss(beside.score)))
    return found


def words(ledger: Ledger, arena: Arena, tag: str) -> str:
    """Whether hopeless runs are stopped, and what that has saved; "" where nothing is to be said."""
    if arena.budget.early_abort == "never":
        return ""
    stopped, seconds = ledger.saved(tag)
    limit = abort.earned(past(ledger, arena, tag))
    if limit is None and not stopped:
        return ""
    rule = "resting" if limit is None else f"stops an attempt that is {limit:.3g} nats behind after a third"
    return f"{rule}; {stopped} stopped so far, {seconds / 60:.1f} minutes saved"


def _comparable(experiment: Experiment) -> bool:
    return experiment.theme not in abort.BENDING and not experiment.protocol
