"""The built-in researcher driven by a classical optimiser: the same loop, with steps by `suggesting`."""

from __future__ import annotations

import math
from collections.abc import Container, Iterable, Sequence

from mcp_server.edits.movable import Move, constants, edited, evaluated
from mcp_server.researcher.habits import FAILED, KEPT, Proposal, Trial
from mcp_server.researcher.memo import NONE, Hints
from mcp_server.suggesting.optimiser import REMEMBERED, Observation, advise
from mcp_server.suggesting.space import space
from mcp_server.suggesting.suggest import moved


def propose(
    source: str, trials: Sequence[Trial], seed: int, device: str = "cpu", hints: Hints = NONE
) -> Proposal | None:
    """The next experiment; None when nothing may be moved. The same inputs, the same answer.

    hints: what a memo says of the constants; those to move first are the only ones until each was moved.
    """
    seen = observations(source, trials, device)
    tried, failed = _scored(trials), _failed(trials)
    every = space(source, device, tried, failed)
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
                hypothesis=_why(moves, {*tried, *failed}, len(seen)),
                expected=None,
            )
    return None


def observations(source: str, trials: Sequence[Trial], device: str) -> list[Observation]:
    """What the newest trials say, each beside what it was made on: what was kept since is undone for those before."""
    values = {one.name: float(one.value) for one in constants(source, device)}
    for trial in reversed(trials):
        if trial.outcome == KEPT:
            values.update({move.name: float(evaluated(move.before)) for move in trial.moves if move.after})
    found = []
    for trial in trials:
        mine = {**values, **{move.name: float(evaluated(move.after)) for move in trial.moves if move.after}}
        if trial.outcome == FAILED:
            found.append(Observation(mine, values, math.inf))
        elif trial.gain is not None:
            found.append(Observation(mine, values, -trial.gain, trial.sd))
        if trial.outcome == KEPT:
            values = mine
    return found[-REMEMBERED:]


def _scored(trials: Sequence[Trial]) -> dict[str, list[float]]:
    """By constant the values that have a score."""
    return _values(move for trial in trials if trial.gain is not None for move in trial.moves)


def _failed(trials: Sequence[Trial]) -> dict[str, list[float]]:
    """By constant the values that failed alone."""
    return _values(trial.moves[0] for trial in trials if trial.outcome == FAILED and len(trial.moves) == 1)


def _values(moves: Iterable[Move]) -> dict[str, list[float]]:
    found: dict[str, list[float]] = {}
    for move in moves:
        if move.after:
            found.setdefault(move.name, []).append(float(evaluated(move.after)))
    return found


def _why(moves: Sequence[Move], known: Container[str], count: int) -> str:
    untried = " and ".join(move.name for move in moves if move.name not in known)
    said = f"Nobody has moved {untried} yet, so this tells which way it is worth moving. " if untried else ""
    expected = f"Of some hundred steps a Gaussian process over {count} attempts expects the most of this one."
    return said + expected if count else said.strip()
