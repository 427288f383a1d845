"""What a campaign knows of its constants, as observations: own attempts, those of other labs, and what is running.

An attempt is told as it was measured: beside what it was compared with, by the difference of the two and its noise.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from mcp_server.campaign.bench import Bench, incumbent_commit
from mcp_server.edits.movable import constants, evaluated
from mcp_server.ledger import Ledger
from mcp_server.nouns.attempt import Attempt, told
from mcp_server.nouns.records import Kind, Status
from mcp_server.nouns.rows import Campaign, Experiment
from mcp_server.suggesting.landscape import Step
from mcp_server.suggesting.optimiser import REMEMBERED, Observation

FAILED = (Status.CRASHED, Status.TIMEOUT, Status.REJECTED)
OTHERS = 30  # of their newest attempts at least, beside so many of our own
Moved = tuple[str, str, str, float, float | None]  # (constant, before, after, gain, its sd) of an attempt elsewhere


@dataclass
class Known:
    """What is known: the file that holds the constants, their values now, and what was seen."""

    path: str
    source: str
    current: dict[str, float]
    observations: list[Observation] = field(default_factory=list)
    steps: list[Step] = field(default_factory=list)
    tried: dict[str, list[float]] = field(default_factory=dict)
    failed: dict[str, list[float]] = field(default_factory=dict)


def known(
    bench: Bench, campaign: Campaign, editable: Sequence[str], device: str, elsewhere: Sequence[Moved]
) -> Known | None:
    """None where no editable Python file holds a constant."""
    tip = incumbent_commit(bench.ledger, campaign)
    here = _file(bench.workspace.committed(editable, tip), device)
    if here is None:
        return None
    found = Known(*here)
    _own(bench.ledger, campaign, device, found)
    _others(elsewhere, found)
    return found


def _file(files: Mapping[str, bytes], device: str) -> tuple[str, str, dict[str, float]] | None:
    """The Python file with the most constants: path, source, values by name."""
    best = None
    for path, content in sorted(files.items()):
        if not path.endswith(".py"):
            continue
        source = content.decode("utf-8", "replace")
        try:
            values = {one.name: float(one.value) for one in constants(source, device)}
        except (SyntaxError, ValueError, OverflowError):
            continue
        if values and (best is None or len(values) > len(best[2])):
            best = path, source, values
    return best


def _own(ledger: Ledger, campaign: Campaign, device: str, found: Known) -> None:
    """Add what the newest attempts say, each beside what it was made on: where we stand, with later keeps undone."""
    at, values = found.current, dict[int, dict[str, float]]()
    for one in reversed(ledger.kept(campaign.tag, last=REMEMBERED)):
        values[one.number] = at
        at = {**at, **{name: before for name, before, _ in _moves(one, at, device)}}
    for one in ledger.experiments(campaign.tag, last=REMEMBERED):
        base = values.get(one.base or 0)
        if one.kind == Kind.BASELINE or base is None:
            continue
        moves = _moves(one, base, device)
        mine = {**base, **{name: after for name, _, after in moves}}
        gain, sd = one.verdict.change, one.verdict.width
        if one.decision is None:
            found.observations.append(Observation(mine, base, None))
        elif gain is not None:
            found.observations.append(Observation(mine, base, -gain, sd))
            _note(found.tried, moves)
            if len(moves) == 1:
                found.steps.append(Step(*moves[0], gain, sd))
        elif Attempt.of(one, () if told(one) else ledger.runs(campaign.tag, one.number)).status in FAILED:
            found.observations.append(Observation(mine, base, math.inf))
            if len(moves) == 1:
                _note(found.failed, moves)


def _note(seen: dict[str, list[float]], moves: Sequence[tuple[str, float, float]]) -> None:
    for name, _, after in moves:
        seen.setdefault(name, []).append(after)


def _moves(one: Experiment, base: Mapping[str, float], device: str) -> list[tuple[str, float, float]]:
    """(constant, before, after) of the numbers that an attempt moved, by the names the file has."""
    found = []
    for full, before, after in one.knobs:
        name = full.removesuffix(f".{device.partition(':')[0]}")
        if name in base and (values := numbers(before, after)) is not None:
            found.append((name, *values))
    return found


def numbers(before: str, after: str) -> tuple[float, float] | None:
    """Both values of a move; None where one is no number, or none that a float holds."""
    try:
        return float(evaluated(before)), float(evaluated(after))
    except (ValueError, OverflowError):
        return None


def _others(elsewhere: Sequence[Moved], found: Known) -> None:
    """Add what other labs measured, the newest first, each step as if the other constants had stood where ours do."""
    room = max(OTHERS, REMEMBERED - len(found.observations))
    for name, before, after, gain, sd in elsewhere:
        values = numbers(before, after)
        if name not in found.current or values is None:
            continue
        found.steps.append(Step(name, *values, gain, sd))
        _note(found.tried, [(name, *values)])
        if room > 0:
            tried, base = ({**found.current, name: value} for value in reversed(values))
            found.observations.append(Observation(tried, base, -gain, sd, "elsewhere"))
            room -= 1
