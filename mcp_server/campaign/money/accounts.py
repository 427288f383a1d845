"""What readings and attempts come to, and when a window over them opens again. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from mcp_server.ledger.live.spending import Reading
from mcp_server.nouns.rows import Spent


@dataclass(frozen=True)
class Use:
    """So much was used at a moment: of dollars, of tokens, or of experiments."""

    at: datetime
    amount: float


def larger(one: Spent, other: Spent) -> Spent:
    """Two accounts of the same money: neither can hide what the other saw."""
    costs = [spent.cost_usd for spent in (one, other) if spent.cost_usd is not None]
    tokens = [spent.tokens for spent in (one, other) if spent.tokens is not None]
    return Spent(max(costs, default=None), max(tokens, default=None))


def amounts(values: Sequence[float], counter: bool) -> list[float]:
    """How much more each reading saw. What a counter showed first was spent before; one that fell began anew."""
    found, last = [], values[0] if counter and values else 0.0
    for value in values:
        fell = value < last
        found.append((value if counter else 0.0) if fell else value - last)
        last = value if counter else max(last, value)
    return found


def read_in_all(readings: Sequence[Reading]) -> Spent:
    """What the readings of one campaign come to."""
    cost, tokens = uses_of(readings, "cost_usd"), uses_of(readings, "tokens")
    return Spent(
        sum(use.amount for use in cost) if cost else None, round(sum(use.amount for use in tokens)) if tokens else None
    )


def uses_of(readings: Sequence[Reading], what: str) -> list[Use]:
    """what: `cost_usd` or `tokens`, of the readings of one campaign in their order."""
    known = [(one, value) for one in readings if (value := getattr(one.spent, what)) is not None]
    counter = bool(known) and known[-1][0].counter
    new = amounts([value for _, value in known], counter)
    return [Use(datetime.fromisoformat(one.at), amount) for (one, _), amount in zip(known, new, strict=True)]


def eligible(uses: Sequence[Use], limit: float, hours: float, now: datetime) -> datetime | None:
    """When less than the limit was used in the last `hours`; None where that is so already.

    The window slides, so no window of that length ever begins with more, whenever a service lets its own begin.
    """
    width = timedelta(hours=hours)
    inside = sorted((use for use in uses if use.at > now - width), key=lambda use: use.at)
    left = math.fsum(use.amount for use in inside)
    if left < limit:
        return None
    for place, use in enumerate(inside):
        left = math.fsum(later.amount for later in inside[place + 1 :])
        if left < limit:
            return use.at + width
    return now + width  # not reached: an empty window is below any limit
