"""A lab's own past under other rules: what they would have kept, what of it is refuted, and the hours lost.

Every attempt is judged as it was measured, over the incumbent that there was then. Under another rule the incumbents
would have been others, and so would the ideas: what is told is what each rule would have made of these very looks.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import fmean

from pydantic import Field

from mcp_server.arena.program import Arena
from mcp_server.campaign import progress
from mcp_server.campaign.attempt import Attempt, read
from mcp_server.campaign.bench import Readable
from mcp_server.campaign.exam import totals_of
from mcp_server.judging.further.rules import Answer, Rule
from mcp_server.ledger import Ledger
from mcp_server.nouns.records import Kind, Purpose
from mcp_server.nouns.replies import Reply
from mcp_server.nouns.rows import Experiment, Run
from mcp_server.nouns.text import clean_line

REFEREE = "referee"
JUDGED = (Kind.ATTEMPT, Kind.RETEST, Kind.REPLICATION)


class OtherKeep(Reply):
    """An attempt that a rule would have kept."""

    experiment: int
    description: str = ""
    gain: float | None = Field(default=None, description="as the rule saw it; positive is better")
    all_looks: float | None = Field(default=None, description="mean gain over all looks that were taken")
    looks: int = Field(default=0, description="that were taken; the rule used the first of them")
    was: str = Field(default="", description="what became of it here")
    refuted: str = Field(default="", description="by what: repeats or exam")


class RuleReply(Reply):
    """What one rule would have made of the campaign."""

    rule: str
    kept: list[OtherKeep] = Field(default_factory=list)
    refuted: int = 0
    unrepeated: int = Field(default=0, description="keeps that nobody looked at again")
    unknown: int = Field(default=0, description="attempts on which it would have needed looks that were never taken")
    missed: list[int] = Field(default_factory=list, description="kept here and not refuted, but not by it")
    claimed_gain: float | None = Field(default=None, description="what its keeps claim, added up")
    run_hours: float = Field(default=0.0, description="of the runs that it would have paid for")
    lost_hours: float = Field(default=0.0, description="of those, on what it built on a keep that is refuted")


class CounterfactualReply(Reply):
    """A campaign under other rules."""

    campaign: str
    metric: str = ""
    attempts: int = Field(default=0, description="that were measured and decided")
    rules: list[RuleReply] = Field(default_factory=list)
    exam_gain: float | None = None
    exam_interval: list[float] = Field(default_factory=list)
    notes: list[str] = Field(default_factory=list)
    next: str = ""


@dataclass(frozen=True)
class Past:
    """One decided attempt: its looks in their order (gain, hours), the noise of one difference as it was known then."""

    experiment: Experiment
    status: str
    looks: tuple[tuple[float, float], ...]
    noise: float | None

    @property
    def gains(self) -> list[float]:
        return [gain for gain, _ in self.looks]

    @property
    def kept(self) -> bool:
        return self.experiment.decision == "keep"


def counterfactual(lab: Readable, rules: dict[str, Rule]) -> CounterfactualReply:
    """The campaign of a lab under each of `rules`, and under the referee for comparison."""
    with lab.reading() as (bench, campaign, arena):
        ledger, tag = bench.ledger, campaign.tag
        some = [one for _, one in ledger.decided(tag) if one.kind in JUDGED]
        past = [one for one in (_past(ledger, arena, read(ledger, experiment)) for experiment in some) if one.looks]
        totals = totals_of(ledger, arena, campaign)
    by_exam = _refuted_by_exam(past, totals.exam_interval)
    told = {REFEREE: _as_decided, **{name: _first_looks(rule) for name, rule in rules.items()}}
    found = [_under(name, [answer(one) for one in past], past, by_exam) for name, answer in told.items()]
    notes = ["Judged is what was measured here: under another rule later attempts would have begun from other code."]
    if any(one.unrepeated for one in found):
        notes.append("A keep that nobody looked at again is not refuted, and not borne out either.")
    return CounterfactualReply(
        campaign=tag,
        metric=arena.metric.name,
        attempts=len(past),
        rules=found,
        exam_gain=totals.exam_gain,
        exam_interval=totals.exam_interval,
        notes=notes,
        next="" if totals.exam_gain is not None else "`autoresearch exam` measures what the kept ones are worth.",
    )


def _past(ledger: Ledger, arena: Arena, attempt: Attempt) -> Past:
    verdict = attempt.experiment.verdict
    against = verdict.against
    theirs = ledger.runs(attempt.campaign, against) if against is not None else []
    looks = [(_gain(run, theirs, against, arena), _hours(run)) for run in _counting(attempt.runs)]
    noise = verdict.width / verdict.share**0.5 if verdict.width and verdict.share else None
    return Past(
        attempt.experiment, attempt.came, tuple((gain, hours) for gain, hours in looks if gain is not None), noise
    )


def _counting(runs: Sequence[Run]) -> list[Run]:
    return [run for run in runs if run.counts and run.purpose not in (Purpose.EXAM, Purpose.ANCHOR)]


def _gain(run: Run, theirs: Sequence[Run], against: int | None, arena: Arena) -> float | None:
    """What a run gained over the incumbent of its time: in its own slot, else over that one's runs on its seed."""
    result = run.result
    if run.score is None or against is None:
        return None
    if result is not None and result.incumbent == against and result.incumbent_score is not None:
        return arena.loss(result.incumbent_score) - arena.loss(run.score)
    held = [one for one in _counting(theirs) if one.ticket < run.ticket] or _counting(theirs)
    same = [one for one in held if one.seed == run.seed] or held
    losses = [arena.loss(one.score) for one in same if one.score is not None]
    return fmean(losses) - arena.loss(run.score) if losses else None


def _hours(run: Run) -> float:
    result = run.result
    if result is None:
        return 0.0
    spent = (result.wall_seconds or result.train_seconds or 0.0) + (result.startup_seconds or 0.0)
    return (spent + (result.score_seconds or 0.0)) / 3600.0


def _refuted_by_exam(past: Sequence[Past], interval: Sequence[float]) -> set[int]:
    """The keeps, where the exam is sure that together they gain nothing; it tells none of them apart."""
    if len(interval) < 2 or interval[1] > 0.0:
        return set()
    return {one.experiment.number for one in past if one.kept}


def _as_decided(one: Past) -> Answer:
    """What the lab itself did."""
    return Answer(one.kept, len(one.looks), one.experiment.verdict.change)


def _first_looks(rule: Rule) -> Callable[[Past], Answer]:
    return lambda one: rule(one.gains, one.noise)


def _under(name: str, answers: Sequence[Answer], past: Sequence[Past], by_exam: set[int]) -> RuleReply:
    reply, lost, building_on_nothing = RuleReply(rule=name), 0.0, False
    missed, claimed = [], 0.0
    for answer, one in zip(answers, past, strict=True):
        spent = sum(hours for _, hours in one.looks[: answer.used])
        reply.run_hours += spent
        lost += spent if building_on_nothing else 0.0
        reply.unknown += answer.keeps is None
        refuted = _refuted(one, len(one.looks) if name == REFEREE else answer.used, by_exam)
        if answer.keeps:
            claimed += answer.gain or 0.0
            reply.kept.append(_keep(one, answer, refuted))
            reply.refuted += bool(refuted)
            reply.unrepeated += not refuted and len(one.looks) <= 1
            lost += spent if refuted and not building_on_nothing else 0.0
            building_on_nothing = bool(refuted)
        elif one.kept and not refuted:
            missed.append(one.experiment.number)
    reply.missed, reply.claimed_gain = missed, progress.rounded(claimed)
    reply.run_hours, reply.lost_hours = round(reply.run_hours, 4), round(lost, 4)
    return reply


def _keep(one: Past, answer: Answer, refuted: str) -> OtherKeep:
    return OtherKeep(
        experiment=one.experiment.number,
        description=clean_line(one.experiment.description, 80),
        gain=progress.rounded(answer.gain),
        all_looks=progress.rounded(fmean(one.gains)),
        looks=len(one.looks),
        was="kept" if one.kept else one.status,
        refuted=refuted,
    )


def _refuted(one: Past, used: int, by_exam: set[int]) -> str:
    """By what a keep is refuted: looks that its rule had not seen, all looks together, or the exam."""
    edges, later = one.experiment.verdict.interval, one.gains[used:]
    surely_none = edges is not None and edges[1] < 0.0
    if surely_none or fmean(one.gains) <= 0.0 or (later and fmean(later) <= 0.0):
        return "repeats"
    return "exam" if one.experiment.number in by_exam else ""
