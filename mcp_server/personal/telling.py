"""Amounts as somebody tells them: a client in a call, a command in what it prints. Pure."""

from __future__ import annotations

import json
import math

from mcp_server.nouns.rows import Spent

LARGEST_USD, LARGEST_TOKENS = 1e9, 1e15  # what is beyond is no account of anything


def cost_of(value: object) -> float:
    """Raises ValueError."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError("a cost is a number of US dollars")
    if not 0 <= value <= LARGEST_USD:
        raise ValueError("a cost is 0 or more, and no more than a billion US dollars")
    return float(value)


def tokens_of(value: object) -> int:
    """Raises ValueError."""
    if isinstance(value, bool) or not isinstance(value, int | float) or value != value or value % 1:
        raise ValueError("tokens are a whole number")
    if not 0 <= value <= LARGEST_TOKENS:
        raise ValueError("tokens are 0 or more")
    return int(value)


def spent_of(found: object) -> Spent:
    """A number of dollars, or an object with `cost` (or `cost_usd`) and `tokens`. Raises ValueError."""
    if not isinstance(found, dict):
        return Spent(cost_of(found))
    cost, tokens = found.get("cost", found.get("cost_usd")), found.get("tokens")
    if cost is None and tokens is None:
        raise ValueError("it has neither `cost` nor `tokens`")
    return Spent(None if cost is None else cost_of(cost), None if tokens is None else tokens_of(tokens))


def printed(text: str) -> Spent:
    """What a command printed: all of it, else its last line. Raises ValueError."""
    lines = [line for line in text.splitlines() if line.strip()]
    for said in (text, lines[-1] if lines else ""):
        try:
            found = json.loads(said.strip().removeprefix("$"))
        except (ValueError, RecursionError):
            continue
        return spent_of(found)
    raise ValueError('it printed neither a number nor JSON such as {"cost": 1.25, "tokens": 40000}')
