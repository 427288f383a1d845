"""Brings `decide` its evidence from the ledger, and says what it decided as a record. Gathers; decides nothing.

Which runs are compared (untainted, of one machine, since the last anchor), what is known of the noise, how the machine
ran, how often a seed was looked at and what the night has proven so far is read here; what it means is `decide`'s.
"""

from __future__ import annotations

import dataclasses
import math
from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from mcp_server.arena.program import Arena
from mcp_server.campaign.attempt import losses, losses_beside
from mcp_server.campaign.gathered import guards, units
from mcp_server.campaign.gathered.front import with_front
from mcp_server.campaign.gathered.record import record_of, with_undecided
from mcp_server.judging.belief import LEARNT_FROM, Widths, learn
from mcp_server.judging.decide import decide
from mcp_server.judging.drift import Conditions, Scatter, elsewhere, repeat_disagrees, scatter
from mcp_server.judging.effects import Effects, Look, usual_size
from mcp_server.judging.looks import MOST_EXCUSED, NO_LOOK, excused, looks
from mcp_server.judging.noise import Measured, Noise, apart_squares, estimate, grain, pooled
from mcp_server.judging.verdict import (
    LEAST_ADOPTED,
    Bound,
    Comparison,
    Decision,
    Evidence,
    Policy,
    Verdict,
    Who,
    broken_bounds,
)
from mcp_server.judging.weighing import rounded
from mcp_server.ledger import Ledger
from mcp_server.nouns.attempt import awaited, failure_of, mean_score
from mcp_server.nouns.decided import Decided
from mcp_server.nouns.records import Kind, Purpose, RunResult
from mcp_server.nouns.rows import Campaign, Experiment, Run, Scored

LEAST_REPEATS = 3  # fewer do not say how far repeats usually lie apart


@dataclass(frozen=True)
class Judgement:
    """The verdict with what it was based on, and the runs it asks for: (experiment, seed, purpose)."""

    verdict: Verdict
    score: float | None
    seeds: tuple[int, ...]
    runs: tuple[Run, ...]  # of the candidate
    wanted: tuple[tuple[int, int, Purpose], ...]
    incumbent: int
    lying: float
    examples: dict[str, Any]  # what may be said of them

    @property
    def change(self) -> float | None:
        return self.verdict.gain

    @property
    def shown(self) -> Decided:
        """What may be said of single examples."""
        return Decided(**self.examples)

    @property
    def label(self) -> str | None:
        return None if self.verdict.label is None else str(self.verdict.label)

    @property
    def widths(self) -> float | None:
        return self.verdict.widths

    def decided(self, reason: str, outcome: str) -> Decided:
        """The numbers behind a decision, as the ledger stores them."""
        verdict = self.verdict
        return Decided(
            decision=str(verdict.decision),
            code=verdict.code,
            reason=reason,
            outcome=outcome,
            score=self.score,
            change=verdict.gain,
            low=verdict.interval[0] if verdict.interval else None,
            high=verdict.interval[1] if verdict.interval else None,
            noise_widths=verdict.widths,
            probability=verdict.probability,
            width=verdict.width,
            degrees=verdict.degrees,
            believed=verdict.believed,
            comparison=str(verdict.comparison),
            share=verdict.share,
            squares=verdict.squares,
            first=verdict.first,
            within_machine=verdict.within_machine,
            evidence=verdict.evidence,
            lying=self.lying,
            lost=verdict.lost,
            **self.examples,
            seeds=self.seeds,
            looks=sum(looks(self.runs).values()),
            against=self.incumbent,
            machine=self.runs[0].machine if self.runs else "",
        )


def judge_experiment(
    ledger: Ledger, arena: Arena, campaign: Campaign, experiment: Experiment, earlier: Sequence[str] = ()
) -> Judgement | None:
    """The verdict on what has been measured so far; None when there is no incumbent or the candidate failed.

    earlier: the lab's campaigns before this one that measured the same, newest first.
    """
    incumbent = ledger.incumbent(campaign.tag)
    runs = ledger.runs(campaign.tag, experiment.number)
    if incumbent is None or failure_of(runs) is not None or not any(run.state.terminal for run in runs):
        return None
    began = began_from(ledger, experiment, incumbent)
    compared = began or incumbent
    evidence = gather(ledger, arena, campaign, experiment, compared, earlier)
    evidence = with_undecided(evidence, ledger, arena, experiment)
    evidence = with_front(evidence, ledger, arena, experiment, compared)
    verdict = decide(dataclasses.replace(evidence, superseded=began is not None))
    numbers = {Who.CANDIDATE: experiment.number, Who.INCUMBENT: compared.number}
    wanted = tuple((numbers[one.who], one.seed, one.purpose) for one in verdict.orders)
    seeds = tuple(sorted(evidence.beside or evidence.candidate))
    said = units.told(verdict.units, arena)
    lain = evidence.record.lying
    return Judgement(verdict, mean_score(runs), seeds, tuple(runs), wanted, compared.number, lain, said)


def began_from(ledger: Ledger, experiment: Experiment, incumbent: Experiment) -> Experiment | None:
    """The kept experiment whose files an attempt changed, where another one is the incumbent by now."""
    if experiment.base in (None, incumbent.number, experiment.number):
        return None
    return next((one for one in ledger.kept(experiment.campaign) if one.number == experiment.base), None)


def gather(
    ledger: Ledger,
    arena: Arena,
    campaign: Campaign,
    experiment: Experiment,
    incumbent: Experiment,
    earlier: Sequence[str] = (),
) -> Evidence:
    """All that `decide` is to know about one candidate."""
    tag = campaign.tag
    runs, theirs = ledger.runs(tag, experiment.number), ledger.runs(tag, incumbent.number)
    beside = losses_beside(runs, arena, incumbent.number)
    ours, since, machine = _comparable(runs, theirs, slot=bool(beside))
    held = losses(since, arena, machine=machine) or losses(since, arena)
    candidate = losses(ours, arena)
    takes_back = experiment.kind == Kind.PRUNE
    if takes_back:
        # the runs the change was kept for were lucky ones: it proves its worth on seeds that it was not chosen by
        held = {seed: held[seed] for seed in held.keys() & candidate.keys()}
    policy = _policy_for(ledger, arena, experiment)
    kind = Comparison.SLOT if beside else Comparison.APART
    ongoing = ((experiment.number, incumbent.number),)
    noise = measured_noise(ledger, arena, tag, ongoing)
    # where the arena wants no repeats, nothing could tell a step from luck
    step = 0.0 if arena.keep.confirm == "never" else grain(_scores(ledger, tag))
    guarded = guards.guards_of(ledger, arena, ours, since, incumbent)
    tainted = [run for run in runs if run.tainted]
    anchors, in_vain = _anchors(theirs, ours)
    return Evidence(
        candidate={seed: -loss for seed, loss in candidate.items()},
        incumbent={seed: -loss for seed, loss in held.items()},
        widths=widths_of(ledger, arena, tag, policy.effects, kind, noise, ongoing, earlier, machine, step),
        beside={seed: -loss for seed, loss in beside.items()},
        paired=any(run.result is not None and run.result.pairing for run in ours),
        died=sum(_died(run, incumbent.number) for run in ours),
        correlation=noise.correlation(policy.effects.typical),
        policy=policy,
        record=record_of(ledger, tag),
        attempts_left=_attempts_left(ledger, arena, tag),
        called_off=_called_off(ledger, tag, experiment),
        takes_back=takes_back,
        touched=experiment.protocol,
        broken=(*_broken(arena, ours), *guarded.broken),
        unsure=guarded.unsure,
        saved=incumbent.nodes - experiment.nodes,
        simplicity=arena.keep.simplicity,
        tainted=() if ours else tuple(run.tainted for run in tainted) or ("no run of it counts",),
        retry=runs[0].seed if not ours and 0 < len(tainted) <= MOST_EXCUSED else None,
        awaited=bool(awaited(runs, theirs)),
        failed=_failed(runs, theirs) + Counter((Who.INCUMBENT, run.seed) for run in in_vain),
        anchored=len(in_vain) < len(anchors),
        now=conditions_of(ours[0]) if ours else Conditions(),
        then=conditions_of(since[-1]) if since else Conditions(),
        scatter=_scatter(ledger, tag, incumbent),
        disagrees=_disagrees(ledger, arena, tag, since),
        repeat_seed=theirs[0].seed if theirs else campaign.seed,
        grain=step,
        equal=noise.runs if noise.equal else 0,
        units=units.units_of(ledger, arena, ours, since, incumbent.number, slot=bool(beside)),
    )


def _comparable(
    runs: Sequence[Run], theirs: Sequence[Run], slot: bool
) -> tuple[Sequence[Run], Sequence[Run], str | None]:
    """The runs of both sides that are compared, and where the candidate's last was taken. In one slot all that count;
    else those of that machine, where the incumbent has any there."""
    ours = [run for run in runs if run.judged]
    since = since_anchor(theirs)
    if ours and not slot:
        last = conditions_of(ours[-1])
        ours, here = ([run for run in some if not elsewhere(conditions_of(run), last)] for some in (ours, since))
        since = here or since
    return ours, since, ours[-1].machine if ours else None


def _attempts_left(ledger: Ledger, arena: Arena, tag: str) -> float:
    wanted = arena.stop.experiments
    return math.inf if wanted is None else max(0, wanted - ledger.count(tag)["all"])


def _anchors(theirs: Sequence[Run], ours: Sequence[Run]) -> tuple[list[Run], list[Run]]:
    """The incumbent's runs that were ordered for a candidate and have ended, and those of them that say nothing of it:
    without a score that counts, or from another machine."""
    since, now = (ours[0].ticket, conditions_of(ours[0])) if ours else (math.inf, Conditions())
    ended = [run for run in theirs if run.purpose == Purpose.ANCHOR and run.ticket > since and run.state.terminal]
    return ended, [run for run in ended if not run.counts or elsewhere(conditions_of(run), now)]


def _died(run: Run, incumbent: int) -> bool:
    """Whether the incumbent was to be measured in a run's slot, and has no score there."""
    found = run.result
    paired = found is not None and bool(found.pairing) and found.incumbent == incumbent
    return paired and found is not None and found.incumbent_score is None


def _failed(runs: Sequence[Run], theirs: Sequence[Run]) -> Counter[tuple[Who, int]]:
    """Runs of both sides that ended without a score, by seed."""
    return Counter(
        (who, run.seed)
        for who, some in ((Who.CANDIDATE, runs), (Who.INCUMBENT, theirs))
        for run in some
        if run.state.terminal and not run.counts and not excused(run) and run.purpose not in NO_LOOK
    )


# ---- scale and noise -------------------------------------------------------------------------------------------------


def policy_of(ledger: Ledger, arena: Arena, tag: str) -> Policy:
    """The arena's keep rule, on the arena's scale; where nobody set it, on the larger one that the campaign shows."""
    rule = arena.keep
    effects = Effects(typical=typical_effect(ledger, arena, tag))
    if rule.min_delta != "auto":
        return Policy(effects, rule.min_delta, rule.confirm)
    tried = [one.verdict for one in ledger.experiments(tag, last=LEARNT_FROM) if _tells(one)]
    seen = [(one.change, one.width) for one in tried if one.change is not None and one.width is not None]
    return Policy(learn(effects, seen), confirm=rule.confirm)


def _policy_for(ledger: Ledger, arena: Arena, experiment: Experiment) -> Policy:
    """The same for one candidate: what another lab found has to be likely here as well."""
    policy = policy_of(ledger, arena, experiment.campaign)
    if experiment.kind == Kind.REPLICATION and policy.confirm != "never":  # else no repeat could make it more likely
        return dataclasses.replace(policy, least=LEAST_ADOPTED)
    return policy


def _tells(experiment: Experiment) -> bool:
    """Whether a decided experiment says how large changes are."""
    return (
        experiment.kind in (Kind.ATTEMPT, Kind.RETEST) and not experiment.protocol and experiment.decision is not None
    )


def typical_effect(ledger: Ledger, arena: Arena, tag: str) -> float:
    """The size of a typical true improvement in the arena's unit, before the campaign has shown one."""
    if arena.keep.min_delta != "auto" and arena.keep.min_delta > 0:
        return 2.0 * arena.keep.min_delta  # who sets a least gain expects gains somewhat larger
    baseline = ledger.baseline(tag)
    scores = [run.score for run in baseline.counting if run.score is not None] if baseline else []
    return usual_size(scores)


def measured_noise(ledger: Ledger, arena: Arena, tag: str, also: tuple[tuple[int, int], ...] = ()) -> Noise:
    """What chance does to a score of this campaign, from every code that was run more than once.

    also: (candidate, incumbent) of a comparison that is not decided yet.
    """
    measured = _measured(ledger.scored_runs(tag, only_repeated=True), arena)
    against: list[tuple[Hashable, Hashable]] = [*ledger.compared(tag), *also]
    for number, seed, machine, incumbent, _, beside in ledger.measured_beside(tag):
        # candidate and incumbent of one slot are a pair of their own, and a closer one than any two slots
        if incumbent != number:
            measured.append(Measured((number, incumbent), seed, arena.loss(beside), machine))
            against.append((number, (number, incumbent)))
    return estimate(measured, against, typical_effect(ledger, arena, tag))


def slot_squares(
    ledger: Ledger, arena: Arena, tag: str, without: int | None = None, machine: str | None = None
) -> tuple[float, int]:
    """Squares and degrees of freedom of differences in one slot: a code beside itself, and about each pair's mean.

    without: an experiment whose own differences its look brings along. machine: on which they were taken; None: any.
    """
    squares, degrees = 0.0, 0
    pairs: defaultdict[tuple[int, int], list[float]] = defaultdict(list)
    for number, _, where, incumbent, score, beside in ledger.measured_beside(tag):
        difference = arena.loss(beside) - arena.loss(score)
        if machine not in (None, where):
            continue
        if number == incumbent:
            squares, degrees = squares + difference * difference, degrees + 1
        elif number != without:
            pairs[number, incumbent].append(difference)
    for (number, _), several in pairs.items():
        if len(several) < 2 or _called_off(ledger, tag, ledger.experiment(tag, number)):
            continue  # what is left where looks were called off scatters by less than the noise does
        centre = fmean(several)
        squares += sum((one - centre) ** 2 for one in several)
        degrees += len(several) - 1
    return squares, degrees


def _apart_squares(
    ledger: Ledger, arena: Arena, tag: str, also: Sequence[tuple[int, int]], correlation: float, machine: str | None
) -> tuple[float, int]:
    runs = [run for run in ledger.scored_runs(tag, only_repeated=True) if machine in (None, run.machine)]
    return apart_squares(_measured(runs, arena), [*ledger.compared(tag), *also], correlation)


def widths_of(
    ledger: Ledger,
    arena: Arena,
    tag: str,
    effects: Effects,
    kind: Comparison,
    noise: Noise,
    also: tuple[tuple[int, int], ...] = (),
    earlier: Sequence[str] = (),
    machine: str | None = None,
    step: float = 0.0,
) -> Widths:
    """What is known of one plain comparison of this kind: from repeats of equal code, then from every decided look.

    also: (candidate, incumbent) of the comparison that is not decided yet. earlier: campaigns that measured the same;
    of them counts what was measured on the same machine. step: the smallest between scores, see `grain`.
    """
    before = earlier if machine is not None else ()
    own: tuple[float, float]
    if kind is Comparison.SLOT:
        own = slot_squares(ledger, arena, tag, also[0][0] if also else None)
        past = [slot_squares(ledger, arena, one, machine=machine) for one in before]
    else:
        correlation = noise.correlation(effects.typical)
        own = _apart_squares(ledger, arena, tag, also, correlation, None)
        past = [_apart_squares(ledger, arena, one, (), correlation, machine) for one in before]
    widths = Widths.unknown(effects).measured(*pooled(own, past))
    for one in ledger.experiments(tag, last=LEARNT_FROM):
        said = one.verdict
        whole = said.looks <= len(said.seeds)  # what is left where looks were called off is no fair sample
        if _tells(one) and whole and said.change is not None and said.share and said.comparison == kind:
            look = Look(said.change, said.share, machine=rounded(step) * math.sqrt(said.share))
            first = None if said.first is None else Look(said.first, machine=rounded(step))
            widths = widths.after(look, first)
    return widths


def _scores(ledger: Ledger, tag: str) -> list[list[float]]:
    """The newest scores of each code of a campaign."""
    found: defaultdict[int, list[float]] = defaultdict(list)
    for run in ledger.scored_runs(tag):
        found[run.experiment].append(run.score)
    for _, _, _, incumbent, _, beside in ledger.measured_beside(tag):
        found[incumbent].append(beside)
    return list(found.values())


def repeats_without(ledger: Ledger, arena: Arena, tag: str, left_out: Run) -> Noise:
    """The noise that all runs but one show."""
    others = [run for run in ledger.scored_runs(tag, only_repeated=True) if run.ticket != left_out.ticket]
    return estimate(_measured(others, arena), (), typical_effect(ledger, arena, tag))


def _measured(runs: Iterable[Scored], arena: Arena) -> list[Measured]:
    return [Measured(run.experiment, run.seed, arena.loss(run.score), run.machine) for run in runs]


def _called_off(ledger: Ledger, tag: str, experiment: Experiment) -> int:
    """Looks at this code that came to nothing; the same code under another number is the same code."""
    twins = ledger.twins(experiment.fingerprint, tag) or [experiment]
    runs = [run for twin in twins for run in ledger.runs(tag, twin.number)]
    counted = sum(run.counts and run.purpose not in NO_LOOK for run in runs)
    return max(0, sum(looks(runs).values()) - counted)


# ---- the machine -----------------------------------------------------------------------------------------------------


def since_anchor(runs: Sequence[Run]) -> list[Run]:
    """The runs that speak for today's machine: all that count, or those since the incumbent was last re-anchored."""
    counting = [run for run in runs if run.judged]
    anchors = [run.ticket for run in counting if run.purpose == Purpose.ANCHOR]
    return [run for run in counting if not anchors or run.ticket >= anchors[-1]]


def conditions_of(run: Run) -> Conditions:
    """Under what a run was taken."""
    result = run.result
    if result is None or result.device is None:
        return Conditions()
    device = result.device
    return Conditions(device.model, device.driver, device.speed, _pace(result))


def _pace(result: RunResult) -> float | None:
    """Steps per second of the budget's own clock."""
    if not result.steps or not result.train_seconds or result.train_seconds <= 0.0:
        return float(result.steps) if result.steps else None  # an older record: budgets are equal, so steps will do
    return result.steps / result.train_seconds


def _scatter(ledger: Ledger, tag: str, incumbent: Experiment) -> Scatter:
    """How far readings of unchanged code lie apart: of the baseline and of the incumbent."""
    baseline = ledger.baseline(tag)
    codes = dict.fromkeys((baseline.number if baseline else incumbent.number, incumbent.number))
    groups = [[conditions_of(run) for run in ledger.runs(tag, number) if run.counts] for number in codes]
    return scatter(groups)


def _disagrees(ledger: Ledger, arena: Arena, tag: str, runs: Sequence[Run]) -> bool:
    """Whether the incumbent's last run lies further from the earlier ones on its seed and machine than repeats do.

    How far repeats lie apart is asked of all others: the run in question would excuse itself.
    """
    if len(runs) < 2:
        return False
    *before, last = runs
    same = [run.score for run in before if (run.seed, run.machine) == (last.seed, last.machine)]
    earlier = [score for score in same if score is not None]
    if not earlier or last.score is None:
        return False
    noise = repeats_without(ledger, arena, tag, last)
    if noise.repeat_sd is None or noise.repeats < LEAST_REPEATS:
        return False
    return repeat_disagrees(fmean(earlier), last.score, noise.repeat_sd)


def _broken(arena: Arena, runs: Iterable[Run]) -> tuple[str, ...]:
    """What forbids a keep whatever the score: failed checks, secondary metrics out of bounds."""
    broken: list[str] = []
    bounds = {name: Bound(guard.min, guard.max) for name, guard in arena.secondary.items()}
    for result in (run.result for run in runs):
        if result is None:
            continue
        if "checks_failed" in result.flags:
            broken.append(f"A check failed. {result.detail}".strip())
        if "hosts_unusual" in result.flags:
            broken.append(
                "Its model took far longer to build or to answer than is usual here, or read files; see `hosts`."
            )
        broken += broken_bounds(result.secondary, bounds)
    return tuple(dict.fromkeys(broken))


__all__ = [
    "Decision",
    "Judgement",
    "awaited",
    "began_from",
    "gather",
    "judge_experiment",
    "measured_noise",
    "policy_of",
    "typical_effect",
    "widths_of",
]
