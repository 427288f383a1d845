"""What a campaign knows of its constants, as observations: own attempts, those of other labs, and what is running.

Losses are told over the campaign's baseline, smaller is better: an attempt's is its base's minus its measured gain, so
that what was compared at one moment is compared here. A gain is shrunk by how little it is told apart from noise.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean

from mcp_server.campaign.bench import Bench, incumbent_commit
from mcp_server.edits.movable import constants, evaluated
from mcp_server.ledger import Ledger
from mcp_server.nouns.attempt import status_of
from mcp_server.nouns.records import Kind, Status
from mcp_server.nouns.rows import Campaign, Experiment
from mcp_server.suggesting.landscape import Step
from mcp_server.suggesting.optimiser import Observation

FAILED = (Status.CRASHED, Status.TIMEOUT, Status.REJECTED)
REMEMBERED = 200  # of the newest experiments: a status is to answer at once
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
    path, source, current = here
    first = _file({path: bench.workspace.committed(editable, campaign.pinned).get(path, b"")}, device)
    beginning = {**current, **(first[2] if first else {})}
    found = Known(path, source, current)
    reached = _own(bench.ledger, campaign, beginning, device, found)
    _others(elsewhere, current, reached, found)
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


def _own(
    ledger: Ledger, campaign: Campaign, beginning: Mapping[str, float], device: str, found: Known
) -> tuple[float, float]:
    """Add what the campaign's own attempts say; (loss of the incumbent, usual size of a gain)."""
    values: dict[int, dict[str, float]] = {}
    losses: dict[int, float] = {}
    last = 0.0
    for one in ledger.kept(campaign.tag):  # all of them: what others were made on
        base, base_loss = values.get(one.base or 0, dict(beginning)), losses.get(one.base or 0, 0.0)
        values[one.number] = {**base, **{name: after for name, _, after in _moves(one, base, device)}}
        last = losses[one.number] = base_loss - (one.verdict.change or 0.0)
    experiments = ledger.experiments(campaign.tag, last=REMEMBERED)
    gains = [one.verdict.change for one in experiments if one.verdict.change is not None]
    size = math.sqrt(fmean(gain * gain for gain in gains)) if gains else 1.0
    found.observations.append(Observation(dict(beginning), 0.0))
    for one in experiments:
        if one.kind == Kind.BASELINE:
            continue
        base, base_loss = values.get(one.base or 0, dict(beginning)), losses.get(one.base or 0, 0.0)
        moves = _moves(one, base, device)
        mine = {**base, **{name: after for name, _, after in moves}}
        gain, sd = one.verdict.change, one.verdict.width
        if one.decision is None:
            found.observations.append(Observation(mine, None))
        elif gain is not None:
            found.observations.append(Observation(mine, base_loss - shrunk(gain, sd, size), sd or 0.0))
            _note(found.tried, moves)
            if len(moves) == 1:
                found.steps.append(Step(*moves[0], gain, sd))
        elif status_of(one, ledger.runs(campaign.tag, one.number)) in FAILED:
            found.observations.append(Observation(mine, math.inf))
            if len(moves) == 1:
                _note(found.failed, moves)
    return last, size


def shrunk(gain: float, sd: float | None, size: float) -> float:
    """A gain as one may believe it, where gains are usually of this size."""
    return gain if not sd else gain * size**2 / (size**2 + sd**2)


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


def _others(
    elsewhere: Sequence[Moved], current: Mapping[str, float], reached: tuple[float, float], found: Known
) -> None:
    """Add what other labs measured. Only a step from where we stand is an observation; any is part of the picture."""
    loss, size = reached
    for name, before, after, gain, sd in elsewhere:
        values = numbers(before, after)
        if name not in current or values is None:
            continue
        found.steps.append(Step(name, *values, gain, sd))
        _note(found.tried, [(name, *values)])
        if math.isclose(values[0], current[name], rel_tol=1e-9):
            mine = {**current, name: values[1]}
            found.observations.append(Observation(mine, loss - shrunk(gain, sd, size), sd or 0.0, "elsewhere"))
