"""Suggestions as other replies carry them: worked out once for each state of a campaign, silent where it is early."""

from __future__ import annotations

from mcp_server.arena.program import Arena
from mcp_server.campaign.bench import Bench
from mcp_server.community.elsewhere import Elsewhere
from mcp_server.nouns.replies import SuggestReply
from mcp_server.nouns.rows import Campaign
from mcp_server.suggesting.suggest import suggested

CARRIED, LEAST_OBSERVED = 2, 4  # suggestions beside other replies, and what must be known before there are any


class Advice:
    """The last answer of the optimiser; a status is asked for often."""

    def __init__(self, elsewhere: Elsewhere) -> None:
        self._elsewhere = elsewhere
        self._known: tuple[object, SuggestReply] | None = None

    def of(self, bench: Bench, campaign: Campaign, arena: Arena, count: int, least: int = 0) -> SuggestReply:
        """least: with fewer observations than that the optimiser is not asked."""
        state = bench.ledger.views_stamp(campaign.tag), bench.ledger.next_number(campaign.tag)
        told = *state, campaign.program, count, least
        if self._known is None or self._known[0] != told:
            elsewhere = self._elsewhere.single_moves(campaign, arena)
            self._known = told, suggested(bench, campaign, arena, elsewhere, count, least)
        return self._known[1]

    def carried(self, bench: Bench, campaign: Campaign, arena: Arena) -> tuple[list[str], str]:
        """(suggestions, state of the constants): only where there is something to go by."""
        found = self.of(bench, campaign, arena, CARRIED, LEAST_OBSERVED)
        if found.observations < LEAST_OBSERVED:
            return [], ""
        return [one.changes for one in found.suggestions], found.landscape
