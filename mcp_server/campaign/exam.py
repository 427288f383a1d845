"""Honest totals of a campaign: what its keeps claim, what of that one should believe, what the exam measured."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Sequence
from statistics import fmean

from mcp_server.arena.program import Arena, parse_program
from mcp_server.campaign import progress
from mcp_server.campaign.attempt import losses
from mcp_server.campaign.gathered.record import record_of
from mcp_server.judging.further import claims
from mcp_server.judging.looks import MOST_EXCUSED, excused
from mcp_server.judging.student import examination
from mcp_server.judging.totals import Line, totals
from mcp_server.ledger import Ledger
from mcp_server.nouns.records import Purpose
from mcp_server.nouns.replies import ExamReply, TotalsReply
from mcp_server.nouns.rows import Campaign, Exam, Run


def totals_of(ledger: Ledger, arena: Arena, campaign: Campaign) -> TotalsReply:
    """Gains in the arena's unit; positive is better."""
    kept = ledger.kept(campaign.tag)
    if not kept:
        return TotalsReply()
    ends = [losses(ledger.runs(campaign.tag, one.number), arena) for one in (kept[0], kept[-1])]
    baseline, incumbent = ({seed: -loss for seed, loss in scores.items()} for scores in ends)
    first, last = (arena.loss(fmean(scores.values())) if scores else None for scores in ends)
    reply = TotalsReply(baseline=progress.rounded(first), best=progress.rounded(last))
    if len(kept) > 1 and baseline and incumbent:
        proven = record_of(ledger, campaign.tag).proven
        gained = Line(arena.metric.direction == "maximize", first, kept).gained
        if gained is not None and first is not None:
            reply.best = progress.rounded(arena.loss(arena.loss(first) - gained))
        found = totals(baseline, incumbent, kept[1:], proven, gained)
        reply.proven = proven
        reply.claimed_gain, reply.honest_gain = progress.rounded(found.claimed), progress.rounded(found.believed)
        reply.expected_false_keeps = progress.rounded(found.false_keeps, 2)
    exam = ledger.exam(campaign.tag)
    interval: list[float] = []
    # one of code that is the incumbent no more says nothing of what is kept now
    if exam is not None and exam.result and exam.incumbent == kept[-1].number:
        found = json.loads(exam.result)
        reply.exam_gain = progress.rounded(found.get("gain"))
        interval = found.get("interval") or []
        reply.exam_interval = progress.edges(interval)
    reply.claim = _claim(ledger, arena, campaign, interval)
    return reply


def _claim(ledger: Ledger, arena: Arena, campaign: Campaign, interval: Sequence[float]) -> str:
    """What became of the claim that the campaign began with; a later one is told apart from it."""
    baseline = ledger.first_of(campaign.tag)
    text = ledger.program_text(baseline.program) if baseline is not None else None
    began = parse_program(text, in_force=True).arena if text is not None else arena
    fixed, now = (one.claim.gain if one.claim is not None else None for one in (began, arena))
    unit = f" {arena.metric.unit}" if arena.metric.unit else ""
    return claims.words(fixed, interval, unit, now)


def exam_result(ledger: Ledger, arena: Arena, exam: Exam) -> str | None:
    """The exam's result as JSON once all its runs are in; None until then."""
    pairs = [_exam_losses(ledger, arena, exam, number) for number in (exam.baseline, exam.incumbent)]
    baseline, incumbent = pairs
    if baseline is None or incumbent is None:
        return None
    shared = sorted(baseline.keys() & incumbent.keys())
    if len(shared) < 2:
        return json.dumps({"gain": None, "interval": None, "seeds": shared})
    found = examination([baseline[seed] - incumbent[seed] for seed in shared])
    return json.dumps({"gain": found.gain, "interval": [found.low, found.high], "seeds": shared})


def _exam_losses(ledger: Ledger, arena: Arena, exam: Exam, number: int) -> dict[int, float] | None:
    """By seed; None while a run is open. The last run of a seed speaks; before all, what was measured in one slot."""
    runs = runs_of(ledger, exam, number)
    if any(not run.state.terminal for run in runs):
        return None
    found = {run.seed: arena.loss(run.score) for run in runs if run.counts and run.score is not None}
    return found | (_beside(ledger, arena, exam) if number == exam.baseline else {})


def runs_of(ledger: Ledger, exam: Exam, number: int) -> list[Run]:
    """The runs of one side that this exam ordered; an earlier one, at another time, had the same seeds."""
    ordered, runs = ledger.runs(exam.campaign, exam.incumbent), ledger.runs(exam.campaign, number)
    own = [run.ticket for run in ordered if run.purpose == Purpose.EXAM and run.opened_at == exam.opened_at]
    return [run for run in runs if run.purpose == Purpose.EXAM and run.ticket >= min(own, default=0)]


def _beside(ledger: Ledger, arena: Arena, exam: Exam) -> dict[int, float]:
    """What the baseline got in the incumbent's own slots, by seed."""
    found = {}
    for run in runs_of(ledger, exam, exam.incumbent):
        result = run.result if run.counts else None
        if result is not None and result.incumbent == exam.baseline and result.incumbent_score is not None:
            found[run.seed] = arena.loss(result.incumbent_score)
    return found


def missing(ledger: Ledger, arena: Arena, exam: Exam) -> list[tuple[int, int]]:
    """(experiment, seed) of the runs to order now: what only something outside of the code has ended, some times over,
    and the baseline where the incumbent was examined without it, for the pair of the slot is broken.
    """
    by_seed: defaultdict[tuple[int, int], list[Run]] = defaultdict(list)
    for number in (exam.baseline, exam.incumbent):
        for run in runs_of(ledger, exam, number):
            by_seed[number, run.seed].append(run)
    again = [key for key, runs in by_seed.items() if len(runs) <= MOST_EXCUSED and all(map(excused, runs))]
    own = {run.seed for run in runs_of(ledger, exam, exam.baseline)} | _beside(ledger, arena, exam).keys()
    theirs = {run.seed for run in runs_of(ledger, exam, exam.incumbent) if run.counts}
    return [*again, *((exam.baseline, seed) for seed in sorted(theirs - own))]


def is_due(exam: Exam, incumbent: int, again: bool) -> bool:
    """Whether another exam may begin after this one: for another incumbent, or, asked for, where it came to nothing."""
    if exam.result is None:
        return False
    return exam.incumbent != incumbent or (again and json.loads(exam.result).get("gain") is None)


def examined(ledger: Ledger, arena: Arena, campaign: Campaign, exam: Exam) -> ExamReply:
    """How an exam stands."""
    found = json.loads(exam.result) if exam.result else {}
    status = "running" if exam.result is None else "done" if found.get("gain") is not None else "failed"
    runs = [run for number in (exam.baseline, exam.incumbent) for run in runs_of(ledger, exam, number)]
    return ExamReply(
        campaign=exam.campaign,
        baseline=exam.baseline,
        incumbent=exam.incumbent,
        status=status,
        seeds=list(exam.seeds),
        runs=[progress.run_reply(run) for run in runs],
        gain=progress.rounded(found.get("gain")),
        interval=progress.edges(found.get("interval")),
        claimed_gain=totals_of(ledger, arena, campaign).claimed_gain,
        next={
            "running": "Call exam again to see how far it is; the runs go on by themselves.",
            "done": "This is the gain to report: fresh seeds, and data no decision has seen.",
            "failed": "Fewer than two pairs of runs gave a score; `runs` shows why. `autoresearch exam --again` begins "
            "another.",
        }[status],
    )
