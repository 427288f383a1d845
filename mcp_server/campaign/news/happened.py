"""What has happened since somebody looked last, as events: noticed by catching up, so by whoever calls the next verb.

Each event has a name, and the ledger takes a name once. So nothing is told twice, whatever process notices it and
wherever one was killed; and events.jsonl, which programs follow, is drawn from the ledger.
"""

from __future__ import annotations

from typing import Any

from mcp_server.arena.program import Arena
from mcp_server.campaign import progress
from mcp_server.campaign.attempt import read
from mcp_server.campaign.beginning import contract
from mcp_server.campaign.bench import Bench
from mcp_server.campaign.evidence import judge_experiment
from mcp_server.campaign.news.stream import follow
from mcp_server.campaign.stop import over_by_rule
from mcp_server.campaign.upkeep.caught import CaughtUp, each
from mcp_server.ledger.live.events import EventKind
from mcp_server.nouns.attempt import Attempt, failure_of
from mcp_server.nouns.numbers import fixed
from mcp_server.nouns.records import Kind, Status
from mcp_server.nouns.rows import Experiment
from mcp_server.nouns.text import clean_line

REASON, DESCRIPTION = 300, 200  # characters


def tell(bench: Bench, done: CaughtUp) -> None:
    """Record what is new. The last step of catching up, with the lab's lock held."""
    with each(done, "telling what happened"):
        new = [_decisions(bench), _verdicts(bench), _idle(bench), _stops(bench)]
        follow(bench.ledger, bench.paths.events, any(new))


def _decisions(bench: Bench) -> bool:
    ledger, new = bench.ledger, False
    for tag, number, turn in ledger.untold():
        found = ledger.experiment(tag, number)
        told, name = _told(bench, read(ledger, found)), f"{tag}/{number}"
        if found.decision == "keep" and found.kind != Kind.BASELINE:
            new |= ledger.add_event(f"keep {name}", EventKind.KEEP, tag, bench.stamp(), told)
        new |= ledger.add_event(f"decision {name}", EventKind.DECISION, tag, bench.stamp(), told)
        ledger.told_until(tag, turn)
    return new


def _verdicts(bench: Bench) -> bool:
    """What an undecided experiment's runs came to: a verdict of the referee, or no score at all."""
    ledger, new = bench.ledger, False
    for tag, number, runs in ledger.unjudged():
        name = f"{tag}/{number} after {runs}"
        if ledger.knows_event(f"verdict {name}") or ledger.knows_event(f"crash {name}"):
            continue
        attempt = read(ledger, ledger.experiment(tag, number))
        failed = failure_of(attempt.runs)
        if failed is not None and attempt.status is not Status.CANCELLED:
            told = _told(bench, attempt)
            told["reason"] = clean_line(failed.result.reason if failed.result else "", REASON) or None
            told["words"] = f"{_named(attempt)} has no score: {attempt.status}" + _because(told["reason"])
            new |= ledger.add_event(f"crash {name}", EventKind.CRASH, tag, bench.stamp(), told)
        elif attempt.status is Status.SCORED and attempt.experiment.kind != Kind.BASELINE:
            new |= _verdict(bench, attempt, name)
    return new


def _verdict(bench: Bench, attempt: Attempt, name: str) -> bool:
    campaign = bench.ledger.campaign(attempt.campaign)
    assert campaign is not None
    arena = bench.rules_of(campaign, attempt.experiment)
    judged = judge_experiment(bench.ledger, arena, campaign, attempt.experiment, contract.earlier(bench, campaign))
    if judged is None:
        return False  # no incumbent to compare it with, so far
    verdict = judged.verdict
    told = _told(bench, attempt) | {
        "decision": str(verdict.decision),
        "change": progress.rounded(verdict.gain),
        "noise_widths": progress.rounded(verdict.widths, 2),
        "reason": clean_line(verdict.reason, REASON),
        "label": judged.label,
    }
    told["words"] = f"{_named(attempt)}: {verdict.decision}{_gain(arena, verdict.gain)}. {told['reason']}"
    return bench.ledger.add_event(f"verdict {name}", EventKind.VERDICT, attempt.campaign, bench.stamp(), told)


def _idle(bench: Bench) -> bool:
    """Once for each time that everything had run: what waits only for the world to answer takes no device."""
    ticket = bench.ledger.resting_since()
    if not ticket or bench.ledger.knows_event(f"idle {ticket}"):
        return False
    tag = bench.ledger.campaign_of_run(ticket)
    told = {"words": f"Nothing runs or waits for a device any more (campaign {tag})."}
    return bench.ledger.add_event(f"idle {ticket}", EventKind.IDLE, tag, bench.stamp(), told)


def _stops(bench: Bench) -> bool:
    """Once for each campaign and version of its rules: whoever raises a limit hears of the next end too."""
    new = False
    for tag in bench.ledger.joined():
        campaign = bench.ledger.campaign(tag)
        if campaign is None or not campaign.ready or bench.ledger.knows_event(f"stop {tag} {campaign.program}"):
            continue
        arena = bench.arena(campaign)
        if not any(value is not None for value in arena.stop.model_dump().values()):
            continue
        over = over_by_rule(bench, campaign, arena)
        if over:
            told = {"words": f"Campaign {tag} is over: {over}.", "reason": over}
            new |= bench.ledger.add_event(f"stop {tag} {campaign.program}", EventKind.STOP, tag, bench.stamp(), told)
    return new


def _told(bench: Bench, attempt: Attempt) -> dict[str, Any]:
    """What an event says of an experiment."""
    found, verdict = attempt.experiment, attempt.experiment.verdict
    arena = bench.arena(found)
    reason = clean_line(verdict.reason, REASON)
    return {
        "experiment": found.number,
        "description": clean_line(found.description, DESCRIPTION),
        "status": str(attempt.status),
        "decision": found.decision,
        "label": found.label,
        "score": progress.rounded(attempt.score),
        "change": progress.rounded(verdict.change),
        "noise_widths": progress.rounded(verdict.noise_widths, 2),
        "reason": reason or None,
        "commit": found.commit_sha,
        "words": f"{_named(attempt)} is {_outcome(found)}{_gain(arena, verdict.change)}{_because(reason)}",
    }


def _outcome(found: Experiment) -> str:
    names = {"keep": "kept", "revert": "reverted"}
    said = names.get(found.decision or "", found.decision or "undecided")
    return f"{said} ({found.label})" if found.label and found.label != said else said


def _named(attempt: Attempt) -> str:
    return f"Experiment {attempt.number} ({clean_line(attempt.experiment.description, 80)})"


def _gain(arena: Arena, change: float | None) -> str:
    return "" if change is None else f", gain {fixed(change, 6, sign=True)} {arena.metric.unit}".rstrip()


def _because(reason: str | None) -> str:
    return f": {reason}" if reason else "."
