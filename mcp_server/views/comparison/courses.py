"""The course of one campaign: how far it got, by experiments, hours, device-hours and money; and how it got there."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise

from mcp_server.arena.program import Arena
from mcp_server.campaign.bench import Bench, Readable
from mcp_server.campaign.exam import totals_of
from mcp_server.campaign.money.accounts import Use, read_in_all, uses_of
from mcp_server.community.contract import contract_of
from mcp_server.judging.totals import Line
from mcp_server.nouns.attempt import Attempt
from mcp_server.nouns.records import Kind, Purpose
from mcp_server.nouns.rows import Campaign, Experiment, Run

AXES = ("experiments", "hours", "device_hours", "cost_usd")
FAILED = ("crashed", "timeout", "rejected")


@dataclass(frozen=True)
class Point:
    """After one more attempt: what was spent so far, and the best gain over the campaign's baseline."""

    experiments: int
    hours: float
    device_hours: float
    cost_usd: float | None  # None where an attempt so far told none, and no command said it
    gain: float


@dataclass(frozen=True)
class Course:
    """One campaign of one lab. Gains are positive when better, in the metric's unit."""

    lab: str
    tag: str
    contract: str
    metric: str
    unit: str
    program: str
    style: str
    agent: str
    engine: str
    machine: str
    began_at: str
    hours: float
    points: tuple[Point, ...]
    kept: int
    false_keeps: float | None  # expected
    duplicates: int
    crashes: int
    exam_gain: float | None
    tokens: int | None
    block: str = ""  # campaigns of one block stood beside each other in a tournament

    @property
    def attempts(self) -> int:
        return len(self.points)

    @property
    def gain(self) -> float:
        """Best gain at the end."""
        return self.points[-1].gain if self.points else 0.0

    def gain_at(self, axis: str, spent: float) -> float:
        """Best gain once so much was spent; of an axis that nobody told, of all of it."""
        best = 0.0
        for point in self.points:
            value = getattr(point, axis)
            if value is None or value > spent:
                break
            best = point.gain
        return best

    def area(self, axis: str, spent: float) -> float:
        """Mean best gain over the stretch from nothing to `spent`: who gets there early has more of it."""
        if spent <= 0:
            return 0.0
        begins = [(0.0, 0.0), *((float(getattr(p, axis)), p.gain) for p in self.points if getattr(p, axis) is not None)]
        inside = [(min(at, spent), gain) for at, gain in begins] + [(spent, 0.0)]
        return sum(gain * (after - before) for (before, gain), (after, _) in pairwise(inside)) / spent

    def time_to(self, gain: float, axis: str) -> float | None:
        """What was spent when the gain was reached first; None where it never was."""
        return next((getattr(point, axis) for point in self.points if point.gain >= gain), None)


def course_of(bench: Bench, campaign: Campaign, arena: Arena, lab: str = "", block: str = "") -> Course:
    """Read a campaign's course from its ledger."""
    ledger = bench.ledger
    experiments = ledger.experiments(campaign.tag)
    baseline = ledger.baseline(campaign.tag)
    begun = Attempt.of(baseline.experiment, baseline.runs).score if baseline else None
    line = Line(arena.metric.direction == "maximize", begun, ledger.kept(campaign.tag))
    points: list[Point] = []
    spent, cost, best = 0.0, 0.0 if experiments else None, 0.0
    outcomes: Counter[str] = Counter()
    agents: Counter[str] = Counter()
    styles: Counter[str] = Counter()
    tokens, machines = 0, Counter[str]()
    told_so_far, read = 0.0, ledger.readings(campaign.tag)
    money = uses_of(read, "cost_usd")
    for one in sorted(experiments, key=_moment):
        runs = ledger.runs(campaign.tag, one.number)
        spent += sum(_seconds(run) for run in runs if run.purpose != Purpose.EXAM)
        machines.update(run.machine for run in runs if run.machine)
        if one.kind == Kind.BASELINE:
            continue
        found = Attempt.of(one, runs)
        outcomes[found.outcome] += 1
        outcomes["again"] += one.kind == Kind.RETEST
        agents[one.proposer.agent] += 1
        styles[(one.style or "").partition(" ")[0]] += 1
        told = one.proposer.cost_usd
        cost = None if cost is None or told is None else cost + told
        told_so_far += told or 0.0
        tokens += one.proposer.tokens or 0
        if one.decision == "keep" and begun is not None and (level := line.of(found)) is not None:
            gain = arena.loss(begun) - arena.loss(level)
            best = max(best, gain) if one.takes_back is None else gain  # what was taken back brings nothing any more
        at = _hours(campaign.began_at, _moment(one))
        seen = read_until(money, _moment(one))
        points.append(Point(len(points) + 1, at, spent / 3600, cost if seen is None else max(seen, told_so_far), best))
    totals = totals_of(ledger, arena, campaign)
    return Course(
        lab=lab,
        tag=campaign.tag,
        contract=contract_of(bench.workspace, campaign, arena),
        metric=arena.metric.name,
        unit=arena.metric.unit,
        program=campaign.program[:12],
        style=_most(styles),
        agent=_most(agents) or "unknown",
        engine=arena.engine.name,
        machine=_most(machines),
        began_at=campaign.began_at,
        hours=points[-1].hours if points else 0.0,
        points=tuple(points),
        kept=outcomes["kept"],
        false_keeps=totals.expected_false_keeps,
        duplicates=outcomes["again"],
        crashes=sum(outcomes[name] for name in FAILED),
        # where nothing was kept there is nothing to examine, and leaving such campaigns out would choose the lucky ones
        exam_gain=totals.exam_gain if outcomes["kept"] else 0.0,
        tokens=max(tokens, read_in_all(read).tokens or 0) or None,
        block=block,
    )


def _moment(one: Experiment) -> str:
    """When what an attempt came to was known: with several at once, in another order than they were begun in."""
    return one.decided_at or one.opened_at


def read_until(uses: Sequence[Use], moment: str) -> float | None:
    """What the user's command had seen by then; None where it was never asked in this campaign."""
    return sum(use.amount for use in uses if use.at <= datetime.fromisoformat(moment)) if uses else None


def _seconds(run: Run) -> float:
    """What a run took of its device: start-up, training and scoring."""
    if run.result is None:
        return 0.0
    found = run.result
    parts = (found.startup_seconds, found.wall_seconds or found.train_seconds, found.score_seconds)
    return sum(part or 0.0 for part in parts)


def _hours(begin: str, end: str) -> float:
    return max(0.0, (datetime.fromisoformat(end) - datetime.fromisoformat(begin)).total_seconds() / 3600)


def _most(counted: Counter[str]) -> str:
    return counted.most_common(1)[0][0] if counted else ""


def common_budget(courses: Sequence[Course], axis: str) -> float:
    """How much of an axis every campaign has spent: only so far they can be compared."""
    return min((float(getattr(one.points[-1], axis) or 0.0) if one.points else 0.0 for one in courses), default=0.0)


def all_courses(lab: Readable, name: str = "", block: str = "") -> list[Course]:
    """The courses of every campaign of a lab that has a baseline, oldest first."""
    with lab.reading_all() as bench:
        return [
            course_of(bench, one, bench.arena(one), name, block)
            for one in bench.ledger.campaigns()
            if one.ready and bench.ledger.baseline(one.tag) is not None
        ]
