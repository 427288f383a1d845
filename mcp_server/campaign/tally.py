"""What the runs of an experiment add up to: its status, its failure, its scores by seed. Pure; stored nowhere."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from statistics import fmean

from mcp_server.arena.program import Arena
from mcp_server.nouns.records import Kind, Purpose, RunState, Status
from mcp_server.nouns.rows import Experiment, Run


def status_of(experiment: Experiment, runs: Sequence[Run]) -> Status:
    """An experiment's status follows from its decision and its runs; it is stored nowhere."""
    if experiment.decision is not None:
        if experiment.decision == "keep":
            return Status.KEPT
        if experiment.decision == "overtaken":
            return Status.OVERTAKEN
        worst = failure_of(runs)
        return Status(worst.state) if worst else Status.DISCARDED
    mine = [run for run in runs if run.purpose not in (Purpose.ANCHOR, Purpose.EXAM)]
    waiting = [run for run in mine if not run.state.terminal]
    if waiting:
        if any(run.counts for run in mine) and experiment.kind != Kind.BASELINE:
            return Status.CONFIRMING
        return Status(max(waiting, key=lambda run: run.state is not RunState.QUEUED).state)
    worst = failure_of(mine)
    if worst:
        return Status(worst.state)
    return Status.SCORED


def failure_of(runs: Sequence[Run]) -> Run | None:
    """The run that tells why an experiment has no score; None when it has one."""
    finished = [run for run in runs if run.state.terminal and run.purpose not in (Purpose.ANCHOR, Purpose.EXAM)]
    # a rejection outweighs any score of the same code: it says that the score is not what it seems
    rejected = [run for run in finished if run.state is RunState.REJECTED]
    if rejected:
        return rejected[-1]
    if not finished or any(run.state is RunState.SCORED for run in finished):
        return None
    return finished[-1]


def losses(runs: Sequence[Run], arena: Arena, machine: str | None = None) -> dict[int, float]:
    """Mean score by seed, smaller is better; only runs that count, and of one machine when it is named."""
    by_seed: defaultdict[int, list[float]] = defaultdict(list)
    for run in runs:
        if run.counts and run.purpose != Purpose.EXAM and run.score is not None and machine in (None, run.machine):
            by_seed[run.seed].append(arena.loss(run.score))
    return {seed: fmean(values) for seed, values in by_seed.items()}


def losses_beside(runs: Sequence[Run], arena: Arena, incumbent: int) -> dict[int, float]:
    """What the incumbent got in the candidate's own slots, by seed; empty where its scorer measured nothing beside."""
    by_seed: defaultdict[int, list[float]] = defaultdict(list)
    for run in runs:
        found = run.result
        # another experiment may have become the incumbent since
        if not run.counts or run.purpose == Purpose.EXAM or found is None or found.incumbent != incumbent:
            continue
        if found.incumbent_score is not None:
            by_seed[run.seed].append(arena.loss(found.incumbent_score))
    return {seed: fmean(values) for seed, values in by_seed.items()}


def mean_score(runs: Sequence[Run], arena: Arena) -> float | None:
    """An experiment's score: the mean over its seeds, in the arena's direction."""
    found = losses(runs, arena)
    return arena.loss(fmean(found.values())) if found else None
