"""Whose the folder of a run is: claimed before anything is laid out in it, compared before anything in it is believed.

Folders are named by numbers, and numbers come again: after a ledger was lost, restored from a backup or copied, and
when a tag is used again. So a folder carries the order it was made for. One that carries another, or none, is moved
aside whole, never read and never deleted.
"""

from __future__ import annotations

import os

from mcp_server.campaign.bench import Bench
from mcp_server.engines import Engine
from mcp_server.nouns.errors import NotNow
from mcp_server.nouns.files import LITTER
from mcp_server.nouns.paths import LabPaths, RunPaths
from mcp_server.nouns.records import Order, RunResult
from mcp_server.nouns.rows import Run


def is_ours(folder: RunPaths, order: Order | None) -> bool:
    """Whether a folder was made for this order, or holds nothing yet. None: a run that an older version opened."""
    try:
        found = [name for name in os.listdir(folder.folder) if not name.endswith(LITTER)]
    except FileNotFoundError:
        return True
    claimed = folder.order.name in found
    if order is None:
        return not claimed
    if not claimed:
        return set(found) <= {folder.alive.name}
    try:
        return Order.read(folder.order) == order
    except (OSError, ValueError):
        return False


def claim(folder: RunPaths, order: Order | None) -> None:
    """Make a folder this order's, before anything else is laid in it. Raises OSError."""
    folder.folder.mkdir(parents=True, exist_ok=True)
    if order is not None and not folder.order.exists():
        order.write(folder.order)


def ask_to_stop(engine: Engine, folder: RunPaths, order: Order | None) -> None:
    """Ask a run to stop, or never to begin. Harmless to repeat. Raises OSError."""
    claim(folder, order)
    engine.cancel(folder)


def stop(bench: Bench, campaign: str, number: int) -> bool:
    """Ask the runs of an experiment that have not ended to stop; whether there were any. Raises OSError."""
    waiting = [run for run in bench.ledger.runs(campaign, number) if not run.state.terminal]
    for run in waiting:
        ask_to_stop(bench.engine, bench.folder(run), bench.order_of(run))
    return bool(waiting)


def answers(result: RunResult, order: Order | None) -> bool:
    """Whether a result was measured for this order; one that names none is its folder's, which was claimed empty."""
    return result.order is None or result.order == order


def set_aside(engine: Engine, paths: LabPaths, run: Run) -> str:
    """Move a folder that is not this run's out of its way; a sentence about it. Raises NotNow while it is at work."""
    folder = paths.run(run.campaign, run.experiment, run.run)
    if engine.alive(folder):
        engine.cancel(folder)
        raise NotNow(
            f"A run that this ledger did not order is still at work in {folder.folder}, and was asked to stop. "
            "Call again when it has ended."
        )
    paths.leftovers.mkdir(parents=True, exist_ok=True)
    name = f"{run.campaign}-{run.experiment}-{run.run}"
    place, turn = paths.leftovers / name, 1
    while place.exists():
        turn += 1
        place = paths.leftovers / f"{name}-{turn}"
    os.rename(folder.folder, place)
    return (
        f"The folder of run {run.run} of experiment {run.experiment} held a run that this ledger did not order. "
        f"It was moved to {place} unread, and the run is measured anew."
    )
