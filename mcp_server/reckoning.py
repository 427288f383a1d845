"""Honest totals of a campaign: what its keeps claim, what of that one should believe, what the exam measured."""

from __future__ import annotations

import json

from mcp_server import standing, tally
from mcp_server.arena import Arena
from mcp_server.entries import Campaign
from mcp_server.ledger import Ledger
from mcp_server.replies import TotalsReply


def totals_of(ledger: Ledger, arena: Arena, campaign: Campaign) -> TotalsReply:
    """Gains in the arena's unit; positive is better."""
    kept = ledger.kept(campaign.tag)
    if not kept:
        return TotalsReply()
    first, last = (tally.mean_score(ledger.runs(campaign.tag, one.number), arena) for one in (kept[0], kept[-1]))
    reply = TotalsReply(baseline=standing.rounded(first), best=standing.rounded(last))
    if len(kept) > 1 and first is not None and last is not None:
        reply.claimed_gain = standing.rounded(arena.loss(first) - arena.loss(last))
        later = [one.verdict or {} for one in kept[1:]]
        reply.honest_gain = standing.rounded(sum(verdict.get("believed") or 0.0 for verdict in later))
        doubts = [1.0 - verdict["probability"] for verdict in later if verdict.get("probability") is not None]
        reply.expected_false_keeps = standing.rounded(sum(doubts), 2)
    exam = ledger.exam(campaign.tag)
    if exam is not None and exam.result:
        found = json.loads(exam.result)
        reply.exam_gain = standing.rounded(found.get("gain"))
        reply.exam_interval = [round(edge, 6) for edge in found.get("interval") or []]
    return reply
