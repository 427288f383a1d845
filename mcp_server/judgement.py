"""Brings the referee what it needs from the ledger: scores by seed, the measured noise, the facts that forbid a keep.

Decides nothing itself: which numbers may be compared (same machine, untainted) and which runs an answer needs is here;
what they mean is the referee's.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mcp_server import standing
from mcp_server.arena import Arena
from mcp_server.entries import Campaign, Experiment, Run
from mcp_server.ledger import Ledger
from mcp_server.records import RunState
from mcp_server.replies import TotalsReply
from mcp_server.referee import Decision, KeepPolicy, Noise, Verdict, judge

TAINTED_RETRIES = 3


@dataclass(frozen=True)
class Judgement:
    """The referee's verdict with what it was based on, and the runs it asks for: (experiment, seed, purpose)."""

    verdict: Verdict
    score: float | None
    change: float | None  # gain in the arena's unit; positive is better
    seeds: tuple[int, ...]
    runs: tuple[Run, ...]  # of the candidate
    wanted: tuple[tuple[int, int, str], ...]
    incumbent: int

    def evidence(self) -> dict[str, Any]:
        """The numbers behind a decision, as the ledger stores them."""
        verdict = self.verdict
        return {
            "score": self.score,
            "change": self.change,
            "noise_widths": verdict.noise_widths,
            "probability": verdict.probability,
            "decision": str(verdict.decision),
            "code": verdict.code,
            "seeds": list(self.seeds),
            "against": self.incumbent,
            "outcome": "kept" if verdict.decision is Decision.KEEP else "discarded",
        }


def measured_noise(ledger: Ledger, arena: Arena, tag: str) -> Noise:
    """What chance does to a score of this campaign, from every code that was run more than once."""
    return Noise(sd=0.0, runs=0)


def totals_of(ledger: Ledger, arena: Arena, campaign: Campaign) -> TotalsReply:
    return TotalsReply()


def judge_experiment(ledger: Ledger, arena: Arena, campaign: Campaign, experiment: Experiment) -> Judgement | None:
    """The verdict on what has been measured so far; None when the candidate or the incumbent has no score."""
    incumbent = ledger.incumbent(campaign.tag)
    runs = ledger.runs(campaign.tag, experiment.number)
    if incumbent is None or standing.failure_of(runs) is not None:
        return None
    theirs = ledger.runs(campaign.tag, incumbent.number)
    candidate, held = standing.losses(runs, arena), standing.losses(theirs, arena)
    if not candidate:
        return None
    verdict = judge(candidate, held, measured_noise(ledger, arena, campaign.tag), KeepPolicy())
    wanted = []
    score = standing.mean_score(runs, arena)
    change = None if verdict.delta is None else -verdict.delta
    return Judgement(verdict, score, change, tuple(candidate), tuple(runs), tuple(wanted), incumbent.number)
