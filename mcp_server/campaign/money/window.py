"""A subscription's window, from the user's own file: when the next proposal is eligible."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from mcp_server.campaign.bench import Books
from mcp_server.campaign.money.accounts import Use, eligible, uses_of
from mcp_server.nouns.rows import Spent
from mcp_server.personal.money import Quota, quotas_of

UNITS = {"cost": "USD", "tokens": "tokens", "experiments": "experiments"}
NAMES = {"cost": "cost_usd", "tokens": "tokens"}  # of what is told


def quotas(bench: Books) -> list[Quota]:
    """Raises ArenaError with what to mend."""
    return quotas_of(bench.paths.state.parent, bench.paths.tree)


def used_up(bench: Books) -> tuple[str, datetime] | None:
    """Which quota is used up, in words, and when the next proposal is eligible; None while none is.

    All campaigns of the lab count. Raises ArenaError for a quota that cannot be read.
    """
    rules, now = quotas(bench), bench.now()
    if not rules:
        return None
    begun, read = _told(bench, rules, now), _read(bench, rules)
    shut = [
        (moment, f"{value:g} {UNITS[name]} in {rule.hours:g} h")
        for rule in rules
        for name, value in rule.limits().items()
        for moment in [latest([begun[name], read.get(name, [])], value, rule.hours, now)]
        if moment is not None
    ]
    if not shut:
        return None
    moment, words = max(shut)
    return words, moment


def latest(accounts: Sequence[Sequence[Use]], limit: float, hours: float, now: datetime) -> datetime | None:
    """When every account of the same money is below the limit. Pure."""
    found = [moment for uses in accounts if (moment := eligible(uses, limit, hours, now)) is not None]
    return max(found, default=None)


def standing(bench: Books) -> list[str]:
    """How much of each quota is used, in words. Raises ArenaError."""
    rules, now = quotas(bench), bench.now()
    if not rules:
        return []
    begun, read, said = _told(bench, rules, now), _read(bench, rules), []
    for rule in rules:
        since = now - timedelta(hours=rule.hours)
        for name, limit in rule.limits().items():
            used = max(sum(use.amount for use in uses if use.at > since) for uses in (begun[name], read.get(name, [])))
            said.append(f"{_amount(used, name)} of {_amount(limit, name)} {UNITS[name]} in {rule.hours:g} h")
    return said


def _amount(value: float, name: str) -> str:
    return f"{value:,.2f}" if name == "cost" else f"{value:,.0f}"


def _told(bench: Books, rules: Sequence[Quota], now: datetime) -> dict[str, list[Use]]:
    """What was used by attempts, as their proposers told."""
    since = now - timedelta(hours=max(rule.hours for rule in rules))
    begun = bench.ledger.proposals_since(since.isoformat(timespec="milliseconds"))
    return {
        "experiments": [Use(datetime.fromisoformat(at), 1.0) for at, _ in begun],
        **{name: [use for at, spent in begun for use in _use(at, spent, NAMES[name])] for name in NAMES},
    }


def _use(at: str, spent: Spent, what: str) -> list[Use]:
    value = getattr(spent, what)
    return [] if value is None else [Use(datetime.fromisoformat(at), value)]


def _read(bench: Books, rules: Sequence[Quota]) -> dict[str, list[Use]]:
    """What the user's command has seen, whichever campaign it was asked for."""
    wanted = {name for rule in rules for name in rule.limits() if name in NAMES}
    if not wanted:
        return {}
    rows = [bench.ledger.readings(campaign.tag) for campaign in bench.ledger.campaigns()]
    return {name: [use for row in rows for use in uses_of(row, NAMES[name])] for name in wanted}
