"""Reads attempts from the ledger, in the one shape of `nouns.attempt`, and by seed as a comparison wants them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from statistics import fmean

from mcp_server.arena.program import Arena
from mcp_server.ledger import Ledger
from mcp_server.nouns.attempt import Attempt, told
from mcp_server.nouns.rows import Experiment, Run

__all__ = ["Attempt", "losses", "losses_beside", "read", "read_all"]


def read(ledger: Ledger, experiment: Experiment) -> Attempt:
    """One attempt with its runs and their results."""
    runs = ledger.runs(experiment.campaign, experiment.number)
    return Attempt.of(experiment, runs, incumbent=_incumbents_runs(ledger, [experiment]).get(experiment.campaign, ()))


def read_all(ledger: Ledger, experiments: Sequence[Experiment], *, lessons: bool = False) -> list[Attempt]:
    """Many attempts for a table: without the results of their runs, and without runs where the verdict tells all."""
    keys = [(one.campaign, one.number) for one in experiments]
    asked = [key for key, one in zip(keys, experiments, strict=True) if not told(one) or one.verdict.score is None]
    runs, incumbents = ledger.runs_by_experiment(asked), _incumbents_runs(ledger, experiments)
    learned = ledger.lessons_by_experiment(keys) if lessons else {}
    return [
        Attempt.of(one, runs.get(key, ()), learned.get(key, ()), incumbents.get(one.campaign, ()))
        for key, one in zip(keys, experiments, strict=True)
    ]


def _incumbents_runs(ledger: Ledger, experiments: Sequence[Experiment]) -> dict[str, list[Run]]:
    """Of each campaign in which one of them is not decided."""
    found = {}
    for tag in {one.campaign for one in experiments if one.decision is None}:
        incumbent = ledger.incumbent(tag)
        found[tag] = [] if incumbent is None else ledger.runs(tag, incumbent.number)
    return found


def losses(runs: Sequence[Run], arena: Arena, machine: str | None = None) -> dict[int, float]:
    """Mean score by seed, smaller is better; only runs that count, and of one machine when it is named."""
    by_seed: defaultdict[int, list[float]] = defaultdict(list)
    for run in runs:
        if run.judged and run.score is not None and machine in (None, run.machine):
            by_seed[run.seed].append(arena.loss(run.score))
    return {seed: fmean(values) for seed, values in by_seed.items()}


def losses_beside(runs: Sequence[Run], arena: Arena, incumbent: int) -> dict[int, float]:
    """What the incumbent got in the candidate's own slots, by seed; empty where its scorer measured nothing beside."""
    by_seed: defaultdict[int, list[float]] = defaultdict(list)
    for run in runs:
        found = run.result
        # another experiment may have become the incumbent since
        if not run.judged or found is None or found.incumbent != incumbent:
            continue
        if found.incumbent_score is not None:
            by_seed[run.seed].append(arena.loss(found.incumbent_score))
    return {seed: fmean(values) for seed, values in by_seed.items()}
