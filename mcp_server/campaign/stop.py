"""Brings the `stop` rule what the ledger knows, and refuses what comes after the end."""

from __future__ import annotations

from mcp_server.arena.program import Arena
from mcp_server.arena.stop import UNKNOWN, stop_reason
from mcp_server.campaign.attempt import read
from mcp_server.campaign.bench import Bench, Books
from mcp_server.campaign.find import open_here
from mcp_server.campaign.money.spending import spent_in
from mcp_server.nouns.errors import NotNow
from mcp_server.nouns.records import Kind
from mcp_server.nouns.rows import Campaign


def over_by_rule(bench: Books, campaign: Campaign, arena: Arena) -> str:
    """Why a campaign is over; "" while it is not."""
    incumbent = bench.ledger.incumbent(campaign.tag)
    best = read(bench.ledger, incumbent).score if incumbent else None
    counts, stale = bench.ledger.count(campaign.tag), bench.ledger.since_keep(campaign.tag)
    counted = arena.stop.cost is not None or arena.stop.tokens is not None
    spent = spent_in(bench, campaign.tag) if counted else UNKNOWN
    return stop_reason(arena, campaign, counts, stale, best, bench.now(), spent)


def ending(bench: Bench, campaign: Campaign, over: str) -> str:
    """What is left to do for who works in this work tree, once the campaign is over."""
    left = [one.number for one in open_here(bench, campaign) if one.kind != Kind.BASELINE]
    if not left:
        return f"The campaign is over: {over}. Stop."
    numbers = ", ".join(map(str, left))
    return (
        f"The campaign is over: {over}. Open is still {numbers}: read_score({left[0]}) waits for its score, "
        f"commit_or_revert({left[0]}) decides. Stop when nothing is open."
    )


def refuse_when_over(bench: Books, campaign: Campaign, arena: Arena) -> None:
    """Raises NotNow."""
    over = over_by_rule(bench, campaign, arena)
    if over:
        raise NotNow(
            f"The campaign is over: {over}. Decide what is open, write down what was learned, and "
            "stop; the human may change `stop` in program.md."
        )
