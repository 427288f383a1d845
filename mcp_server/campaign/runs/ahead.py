"""How many attempts to propose before any is decided, so that no device waits for an agent; and how that is said."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass

from mcp_server.arena.program import Arena
from mcp_server.campaign.bench import Bench, incumbent_commit
from mcp_server.campaign.runs import room
from mcp_server.campaign.runs.dispatch import resolve_devices
from mcp_server.campaign.runs.pairing import choice_of
from mcp_server.engines.ray.engine import places as on_nodes
from mcp_server.nouns.records import RunState
from mcp_server.nouns.rows import Campaign


@dataclass(frozen=True)
class Ahead:
    """places: attempts that run at once; open_runs: those that run or wait; more: to propose now, 0 where enough is."""

    places: int
    open_runs: int
    more: int


def ahead(bench: Bench, campaign: Campaign, arena: Arena) -> Ahead:
    """What the devices of an arena have to do, and what they lack."""
    paired = bool(choice_of(bench.ledger, arena, campaign).pairing)
    usable, now = resolve_devices(arena), bench.now().timestamp()
    places = room.places(usable, paired)
    if arena.engine.name == "ray":
        places = on_nodes(bench.paths.state, arena.engine.address, arena.engine.resources, len(usable))
    # what waits for the world, or for a quiet hour, needs no device now
    open_runs = sum(
        run.state is not RunState.PENDING and (run.ask_again_at or 0.0) <= now for run in bench.ledger.open_runs()
    )
    more = room.wanted(places, open_runs)
    if arena.stop.experiments is not None:
        more = min(more, max(0, arena.stop.experiments - bench.ledger.count(campaign.tag)["all"]))
    return Ahead(places, open_runs, more)


def words(found: Ahead) -> str:
    """`5 of 8 places have work`"""
    return f"{min(found.open_runs, found.places)} of {found.places} places have work"


def afresh(bench: Bench, campaign: Campaign, before: Mapping[str, bytes], sources: Mapping[str, bytes]) -> str:
    """A command that puts the incumbent's files back after `sources` were taken in, for the next idea to begin from."""
    tip = incumbent_commit(bench.ledger, campaign)[:12]
    changed = sorted(path for path in before if sources.get(path) != before[path])
    added = sorted(sources.keys() - before.keys())
    parts = [f"git restore --source {tip} -- {shlex.join(changed)}"] if changed else []
    return " && ".join([*parts, *([f"rm {shlex.join(added)}"] if added else [])])
