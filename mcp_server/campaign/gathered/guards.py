"""Brings `judging.further.guards` what was measured beside the score: of candidate, incumbent and equal code."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from mcp_server.arena.program import Arena
from mcp_server.judging.further.guards import Fall, Guards, fall, not_fallen, together, within_margin
from mcp_server.ledger import Ledger
from mcp_server.nouns.records import RunResult
from mcp_server.nouns.rows import Experiment, Run


def guards_of(
    ledger: Ledger, arena: Arena, ours: Sequence[Run], theirs: Sequence[Run], incumbent: Experiment
) -> Guards:
    """What the guards of an arena that look at the incumbent say of a candidate."""
    first = ledger.baseline(incumbent.campaign)
    baseline, number, found = first.runs if first is not None else (), incumbent.number, []
    for name, guard in arena.secondary.items():
        if guard.margin is not None:
            sign = 1.0 if guard.direction == "minimize" else -1.0
            changed = change_of(name, sign, ours, theirs, baseline, number)
            found.append(within_margin(name, changed, guard.margin_value, guard.margin_is_share))
    for name, one in arena.suite.items():
        sign = 1.0 if one.direction == "minimize" else -1.0
        changed = change_of(name, sign, ours, theirs, baseline, number, suite=True)
        if changed is None and values(name, ours, suite=True):  # the incumbent was scored before the arena had it
            found.append(Guards(unsure=(f"{name} of the suite was never measured of the incumbent.",)))
        else:
            found.append(not_fallen(name, changed))
    return together(found)


def change_of(
    name: str,
    sign: float,
    ours: Sequence[Run],
    theirs: Sequence[Run],
    baseline: Sequence[Run],
    incumbent: int,
    *,
    suite: bool = False,
) -> Fall | None:
    """How much worse one metric became: in the candidate's own slots where both halves have it, else over all runs."""
    own, held, again = (values(name, runs, suite=suite) for runs in (ours, theirs, baseline))
    pairs = _pairs(name, ours, incumbent, suite=suite)
    if pairs and len(pairs) == len(own):
        same = [[one - other] for run in _pairs_of_equal(name, baseline, suite=suite) for one, other in [run]]
        return fall([one for one, _ in pairs], [other for _, other in pairs], same, sign, paired=True)
    repeats = [] if baseline and theirs and baseline[0].experiment == theirs[0].experiment else [again]
    return fall(own, held or [other for _, other in pairs], repeats, sign, paired=False)


def values(name: str, runs: Sequence[Run], *, suite: bool = False) -> list[float]:
    """What runs that count measured of a metric."""
    found = [_of(run.result, suite).get(name) for run in runs if run.judged and run.result is not None]
    return [one for one in found if one is not None]


def _of(result: RunResult, suite: bool) -> Mapping[str, float]:
    return result.suite if suite else result.secondary


def _pairs(name: str, runs: Sequence[Run], incumbent: int, *, suite: bool) -> list[tuple[float, float]]:
    """(own, the incumbent's) in one slot."""
    found = []
    for run in runs:
        result = run.result
        if not run.judged or result is None or result.beside is None or result.incumbent != incumbent:
            continue
        other = result.beside.suite if suite else result.beside.secondary
        if name in _of(result, suite) and name in other:
            found.append((_of(result, suite)[name], other[name]))
    return found


def _pairs_of_equal(name: str, baseline: Sequence[Run], *, suite: bool) -> list[tuple[float, float]]:
    return _pairs(name, baseline, baseline[0].experiment, suite=suite) if baseline else []
