"""Brings `decide` the evidence of further primary metrics: the same runs, read by another number of theirs."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from statistics import fmean

from mcp_server.arena.program import Arena
from mcp_server.judging.belief import Widths
from mcp_server.judging.effects import Effects, usual_size
from mcp_server.judging.verdict import Evidence
from mcp_server.ledger import Ledger
from mcp_server.nouns.rows import Experiment, Run


def with_front(
    evidence: Evidence, ledger: Ledger, arena: Arena, experiment: Experiment, incumbent: Experiment
) -> Evidence:
    """The evidence with that of the other primary metrics of a Pareto front, where the arena has one."""
    if not arena.front:
        return evidence
    runs, theirs = (ledger.runs(one.campaign, one.number) for one in (experiment, incumbent))
    first = ledger.baseline(experiment.campaign)
    baseline = first.runs if first is not None else ()
    others = {}
    for name, part in arena.front.items():
        sign = 1.0 if part.direction == "maximize" else -1.0
        others[name] = _of(evidence, name, sign, runs, theirs, baseline, incumbent.number)
    return replace(evidence, front=(arena.metric.name, others))


def _of(
    evidence: Evidence,
    name: str,
    sign: float,
    runs: Sequence[Run],
    theirs: Sequence[Run],
    baseline: Sequence[Run],
    incumbent: int,
) -> Evidence:
    """The same comparison, of one other metric. A run that did not measure it has no value, so nothing is judged."""
    own, held, first = (_by_seed(name, some, sign) for some in (runs, theirs, baseline))
    beside = {}
    equal = [value for values in first.values() for value in values]
    squares, degrees = 0.0, 0
    for run in (*runs, *baseline):
        result = run.result
        if not run.judged or result is None or result.beside is None or result.incumbent is None:
            continue
        if name not in result.secondary or name not in result.beside.secondary:
            continue
        if result.incumbent == run.experiment:
            difference = result.secondary[name] - result.beside.secondary[name]
            squares, degrees = squares + difference * difference, degrees + 1
            equal.append(sign * result.beside.secondary[name])
        elif result.incumbent == incumbent and run in runs:
            beside[run.seed] = sign * result.beside.secondary[name]
    if not beside:
        groups = [[value for values in some.values() for value in values] for some in (first, own, held)]
        groups = groups[:2] if baseline and theirs and baseline[0].experiment == theirs[0].experiment else groups
        squares = 2.0 * sum((one - fmean(some)) ** 2 for some in groups if some for one in some)
        degrees = sum(max(0, len(some) - 1) for some in groups)
    effects = Effects(typical=usual_size(equal))
    return replace(
        evidence,
        candidate={seed: fmean(values) for seed, values in own.items()},
        incumbent={seed: fmean(values) for seed, values in held.items()},
        beside=beside,
        widths=Widths.unknown(effects).measured(squares, degrees),
        correlation=0.0,
        policy=replace(evidence.policy, effects=effects, min_delta=0.0),
        broken=(),
        unsure=(),
        simplicity=False,
        units=None,
        grain=0.0,
        equal=len(equal) if len(equal) > 1 and len(set(equal)) == 1 else 0,
        front=None,
    )


def _by_seed(name: str, runs: Sequence[Run], sign: float) -> dict[int, list[float]]:
    found: defaultdict[int, list[float]] = defaultdict(list)
    for run in runs:
        if run.judged and run.result is not None and name in run.result.secondary:
            found[run.seed].append(sign * run.result.secondary[name])
    return dict(found)
