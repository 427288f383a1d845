"""Experiments in the order in which they were decided, from one turn on: what leaves for other labs is read so."""

from __future__ import annotations

from mcp_server.ledger import Ledger
from mcp_server.ledger.experiments import _experiment
from mcp_server.nouns.rows import Experiment

DECIDED = (
    "SELECT * FROM experiments WHERE campaign = ?1 AND turn > ?2 AND turn < coalesce((SELECT min(turn) FROM experiments"
    " WHERE campaign = ?1 AND decision IS NOT NULL AND settled = 0), ?2 + 1000000000) ORDER BY turn LIMIT ?3"
)


def decided_after(ledger: Ledger, campaign: str, turn: int, limit: int) -> list[tuple[int, Experiment]]:
    """(turn, experiment) decided after a turn, in order; it ends before the first that git has not followed yet."""
    return [(row["turn"], _experiment(row)) for row in ledger._rows(DECIDED, campaign, turn, limit)]
