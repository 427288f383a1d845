"""The built-in researcher driven by a classical optimiser: the same loop, with steps by `suggesting`."""

from __future__ import annotations

import math
from collections.abc import Sequence

from mcp_server.edits.movable import constants, edited, evaluated
from mcp_server.researcher.habits import FAILED, KEPT, Proposal, Trial
from mcp_server.researcher.memo import NONE, Hints
from mcp_server.suggesting.optimiser import Observation, advise
from mcp_server.suggesting.space import Dimension, space
from mcp_server.suggesting.suggest import moved


def propose(
    source: str, trials: Sequence[Trial], seed: int, device: str = "cpu", hints: Hints = NONE
) -> Proposal | None:
    """The next experiment; None when nothing may be moved. The same inputs, the same answer. Raises NotNow.

    hints: what a memo says of the constants; those to move first are the only ones until each was moved.
    """
    seen = observations(source, trials, device)
    tried = _values(trials, failed=False)
    every = space(source, device, tried, _values(trials, failed=True))
    dimensions = [one for one in every if one.name not in hints.alone]
    first = [one for one in dimensions if one.name in hints.first and one.name not in tried]
    dimensions = first or dimensions
    for values in advise(dimensions, seen, seed * 1000 + len(trials), 3):
        moves = tuple(moved(dimensions, values))
        if moves and frozenset(moves) not in {frozenset(trial.moves) for trial in trials}:
            return Proposal(
                moves=moves,
                source=edited(source, moves, device),
                description=", ".join(map(str, moves)),
                hypothesis=_why(dimensions, len(seen)),
                expected=None,
            )
    return None


def observations(source: str, trials: Sequence[Trial], device: str) -> list[Observation]:
    """What the trials say, each at the values that it had: what was kept since is undone for those before."""
    values = {one.name: float(one.value) for one in constants(source, device)}
    for trial in reversed(trials):
        if trial.outcome == KEPT:
            values.update({move.name: float(evaluated(move.before)) for move in trial.moves if move.after})
    found, reached = [Observation(dict(values), 0.0)], 0.0
    for trial in trials:
        mine = {**values, **{move.name: float(evaluated(move.after)) for move in trial.moves if move.after}}
        if trial.outcome == FAILED:
            found.append(Observation(mine, math.inf))
        elif trial.gain is not None:
            found.append(Observation(mine, reached - trial.gain))
        if trial.outcome == KEPT:
            values, reached = mine, reached - (trial.gain or 0.0)
    return found


def _values(trials: Sequence[Trial], *, failed: bool) -> dict[str, list[float]]:
    """By constant the values that were scored, or those that failed alone."""
    found: dict[str, list[float]] = {}
    for trial in trials:
        if (trial.outcome == FAILED) is failed and not (failed and len(trial.moves) > 1):
            for move in trial.moves:
                if move.after:
                    found.setdefault(move.name, []).append(float(evaluated(move.after)))
    return found


def _why(dimensions: Sequence[Dimension], known: int) -> str:
    return f"By a Parzen estimator over {len(dimensions)} constants, from {known} observations."
