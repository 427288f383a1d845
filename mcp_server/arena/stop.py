"""When a campaign is over by the `stop` rule of its arena: one set of rules for verbs, status and loops. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from mcp_server.arena.program import Arena
from mcp_server.nouns.rows import Campaign, Spent

UNKNOWN = Spent()


def stop_reason(
    arena: Arena,
    campaign: Campaign,
    counts: Mapping[str, int],
    since_keep: int,
    best: float | None,
    now: datetime,
    spent: Spent = UNKNOWN,
) -> str:
    """Why the campaign is over by its own stop rule; "" while it is not. What nobody told ends nothing."""
    stop = arena.stop
    if stop.experiments is not None and counts["all"] >= stop.experiments:
        return f"{stop.experiments} experiments were asked for and {counts['all']} are made"
    if stop.hours is not None:
        hours = (now - datetime.fromisoformat(campaign.began_at)).total_seconds() / 3600
        if hours >= stop.hours:
            return f"{stop.hours:g} hours are over"
    if stop.cost is not None and spent.cost_usd is not None and spent.cost_usd >= stop.cost:
        return f"{spent.cost_usd:,.2f} of {stop.cost:,.2f} USD are spent"
    if stop.tokens is not None and spent.tokens is not None and spent.tokens >= stop.tokens:
        return f"{spent.tokens:,} of {stop.tokens:,} tokens are used up"
    if target_reached(arena, best):
        return f"the target {stop.target:g} is reached"
    if stop.stale is not None and since_keep >= stop.stale:
        return f"{since_keep} experiments in a row brought no gain"
    return ""


def target_reached(arena: Arena, best: float | None) -> bool:
    """Whether a score is as good as the arena's target; never without one."""
    target = arena.stop.target
    return target is not None and best is not None and arena.loss(best) <= arena.loss(target)
