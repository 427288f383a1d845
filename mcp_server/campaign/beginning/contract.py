"""A campaign among the others of its lab: those that measure the same, and what its baseline is compared with them.

Whoever begins from worse code has an easy gain. So a gain is also shown from where the lab itself began, and a
beginning that is worse than the lab's best is named.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from mcp_server.arena.program import Arena
from mcp_server.campaign import progress
from mcp_server.campaign.attempt import read
from mcp_server.campaign.bench import Bench
from mcp_server.edits.fingerprint import fingerprint
from mcp_server.nouns.replies import TotalsReply
from mcp_server.nouns.rows import Campaign

_FROZEN: dict[tuple[str, str, tuple[str, ...]], str] = {}  # a commit's files never change


def _measure(bench: Bench, campaign: Campaign, arena: Arena) -> tuple[object, ...]:
    """What must be equal for the scores of two campaigns to mean the same."""
    key = (str(bench.paths.common), campaign.pinned, arena.frozen)
    if key not in _FROZEN:
        files = bench.workspace.committed(arena.frozen, campaign.pinned) if arena.frozen else {}
        told = hashlib.sha256(b"\0".join(part for path in sorted(files) for part in (path.encode(), files[path])))
        _FROZEN[key] = told.hexdigest()
    budget = arena.budget
    same = (arena.metric.name, arena.metric.direction, arena.run, arena.score, budget.seconds, budget.clock)
    return (*same, arena.metrics, campaign.fingerprint, _FROZEN[key])


def others(bench: Bench, campaign: Campaign) -> list[Campaign]:
    """The lab's other campaigns that measure the same, oldest first."""
    found = [one for one in bench.ledger.campaigns() if one.ready and one.tag != campaign.tag]
    if not found:
        return []
    mine = _measure(bench, campaign, bench.arena(campaign))
    return [one for one in found if _measure(bench, one, bench.arena(one)) == mine]


def earlier(bench: Bench, campaign: Campaign) -> list[str]:
    """Tags of the lab's campaigns before this one that measured the same, newest first."""
    return [one.tag for one in reversed(others(bench, campaign)) if one.began_at < campaign.began_at]


def since_first(bench: Bench, campaign: Campaign, arena: Arena, totals: TotalsReply) -> TotalsReply:
    """The totals with the gain over the baseline of the lab's first campaign that measures the same, if an older."""
    before = [one for one in others(bench, campaign) if one.began_at <= campaign.began_at]
    for first in before:
        kept = bench.ledger.kept(first.tag)
        score = read(bench.ledger, kept[0]).score if kept else None
        if score is not None and totals.best is not None:
            gain = progress.rounded(arena.loss(score) - arena.loss(totals.best))
            return totals.model_copy(update={"first_campaign": first.tag, "gain_since_first": gain})
    return totals


def worse_beginning(bench: Bench, campaign: Campaign, arena: Arena, sources: Mapping[str, bytes]) -> str:
    """What to know about the code a campaign begins from when the lab has better; "" when it has none."""
    known = others(bench, campaign)
    tips = [
        (tip, read(bench.ledger, tip).score) for one in known if (tip := bench.ledger.incumbent(one.tag)) is not None
    ]
    scored = [(arena.loss(score), tip) for tip, score in tips if score is not None]
    if not scored:
        return ""
    best_loss, best = min(scored, key=lambda one: one[0])
    marks = fingerprint(sources)
    if marks == best.fingerprint:
        return ""
    measured = [
        (arena.loss(score), twin)
        for one in known
        for twin in bench.ledger.twins(marks, one.tag)
        if (score := read(bench.ledger, twin).score) is not None
    ]
    unit = f" {arena.metric.unit}" if arena.metric.unit else ""
    have = f"the lab's best is experiment {best.number} of {best.campaign} ({arena.loss(best_loss):.6g}{unit})"
    if measured:
        loss, twin = min(measured, key=lambda one: one[0])
        if loss <= best_loss:
            return ""
        said = f"This code was measured as experiment {twin.number} of {twin.campaign}: {arena.loss(loss):.6g}{unit}"
        said += f", which is worse than what the lab has; {have}."
    else:
        said = f"This code was never measured here, and {have}."
    return (
        f"{said} Gains are also shown against the lab's first campaign; start_campaign(tag, from_ref="
        f"'autoresearch/{best.campaign}') begins from the best."
    )
