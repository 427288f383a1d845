"""Brings the referee what it needs from the ledger: scores by seed, the measured noise, the facts that forbid a keep.

Which numbers may be compared (untainted, same machine, since the last anchor) and which runs an answer takes is said
here; what they mean is the referee's.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass, replace

from mcp_server import anchoring, tally
from mcp_server.arena import Arena
from mcp_server.belief import LEARNT_FROM, Effects, learn
from mcp_server.entries import Campaign, Experiment, Run
from mcp_server.ledger import Ledger
from mcp_server.noise import Measured, Noise, estimate
from mcp_server.nouns.decided import Decided
from mcp_server.records import RunState
from mcp_server.referee import Bound, Decision, KeepPolicy, Verdict, broken_bounds, guarded, judge, simplification

MOST_RETRIES = 3
# A typical improvement, as a share of the baseline's score: 0.0015 of about 1 bit per byte is what agents find at the
# reference's arena. An arena with its own scale says so by `keep.min_delta`.
TYPICAL_SHARE = 0.0015


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

    @property
    def label(self) -> str | None:
        return "simplification" if self.verdict.code == "simpler" else self.verdict.label

    @property
    def widths(self) -> float | None:
        """The gain in noise widths; positive is better, as `change` is."""
        return None if self.verdict.noise_widths is None else finite(-self.verdict.noise_widths)

    def evidence(self) -> Decided:
        """The numbers behind a decision, as the ledger stores them."""
        verdict = self.verdict
        return Decided(
            score=self.score,
            change=self.change,
            noise_widths=self.widths,
            probability=finite(verdict.probability),
            width=finite(verdict.width),
            believed=None if verdict.expected is None else finite(-verdict.expected),
            decision=str(verdict.decision),
            code=verdict.code,
            seeds=self.seeds,
            against=self.incumbent,
            machine=self.runs[0].machine if self.runs else "",
        )


def finite(value: float | None) -> float | None:
    """JSON knows no infinity."""
    return value if value is not None and math.isfinite(value) else None


def policy_of(ledger: Ledger, arena: Arena, tag: str) -> KeepPolicy:
    """The arena's keep rule, on the arena's scale; where nobody set it, on the larger one that the campaign shows."""
    rule = arena.keep
    effects = Effects(typical=typical_effect(ledger, arena, tag))
    if rule.min_delta != "auto":
        return KeepPolicy(min_delta=rule.min_delta, confirm=rule.confirm, effects=effects)
    tried = [
        one.verdict
        for one in ledger.experiments(tag, last=LEARNT_FROM)
        if one.kind in ("attempt", "retest") and not one.protocol
    ]
    looks = [(one.change, one.width) for one in tried if one.change is not None and one.width is not None]
    return KeepPolicy(confirm=rule.confirm, effects=learn(effects, [g for g, _ in looks], [w for _, w in looks]))


def typical_effect(ledger: Ledger, arena: Arena, tag: str) -> float:
    """The size of a typical true improvement in the arena's unit, before the campaign has shown one."""
    if arena.keep.min_delta != "auto" and arena.keep.min_delta > 0:
        return 2.0 * arena.keep.min_delta  # who sets a least gain expects gains somewhat larger
    baseline = ledger.baseline(tag)
    scores = [abs(run.score) for run in baseline.runs if run.counts and run.score] if baseline else []
    return TYPICAL_SHARE * (scores[0] if scores else 1.0)


def measured_noise(ledger: Ledger, arena: Arena, tag: str) -> Noise:
    """What chance does to a score of this campaign, from every code that was run more than once."""
    runs = ledger.scored_runs(tag, only_repeated=True)
    measured = _measured(runs, arena)
    against: list[tuple[Hashable, Hashable]] = list(ledger.compared(tag))
    # candidate and incumbent of one slot are a pair of their own, and a closer one than any two slots
    for number, seed, machine, incumbent, score in ledger.measured_beside(tag):
        measured.append(Measured((number, incumbent), seed, arena.loss(score), machine))
        against.append((number, (number, incumbent)))
    return estimate(measured, against, typical_effect(ledger, arena, tag))


def repeats_without(ledger: Ledger, arena: Arena, tag: str, left_out: Run) -> Noise:
    """The noise that all runs but one show."""
    others = [run for run in ledger.scored_runs(tag, only_repeated=True) if run.ticket != left_out.ticket]
    return estimate(_measured(others, arena), (), typical_effect(ledger, arena, tag))


def _measured(runs: Iterable[Run], arena: Arena) -> list[Measured]:
    return [
        Measured(run.experiment, run.seed, arena.loss(run.score), run.machine) for run in runs if run.score is not None
    ]


def judge_experiment(ledger: Ledger, arena: Arena, campaign: Campaign, experiment: Experiment) -> Judgement | None:
    """The verdict on what has been measured so far; None when there is no incumbent or the candidate failed."""
    tag = campaign.tag
    incumbent = ledger.incumbent(tag)
    runs = ledger.runs(tag, experiment.number)
    if incumbent is None or tally.failure_of(runs) is not None or not any(run.state.terminal for run in runs):
        return None
    theirs = ledger.runs(tag, incumbent.number)
    ours = [run for run in runs if run.counts]
    score = tally.mean_score(runs, arena)
    if not ours:
        verdict, wanted = _of_tainted(experiment, runs)
        return Judgement(verdict, score, None, (), tuple(runs), wanted, incumbent.number)
    policy, noise = policy_of(ledger, arena, tag), measured_noise(ledger, arena, tag)
    standing_runs = anchoring.since_anchor(theirs)
    held = tally.losses(standing_runs, arena, machine=ours[-1].machine) or tally.losses(standing_runs, arena)
    candidate = tally.losses(runs, arena)
    beside = tally.losses_beside(runs, arena, incumbent.number)
    if beside:
        # measured in one slot: whatever moved in the meantime has moved both
        held = beside if beside.keys() >= candidate.keys() else {**held, **beside}
    left = None if arena.stop.experiments is None else max(0, arena.stop.experiments - ledger.count(tag)["all"])
    if experiment.kind == "prune":
        # the runs the change was kept for were lucky ones: it proves its worth on seeds that it was not chosen by
        held = {seed: held[seed] for seed in held.keys() & candidate.keys()}
        verdict = _worth_keeping(judge(held, candidate, noise, policy, left)) if held else _alone(candidate)
    else:
        verdict = judge(candidate, held, noise, policy, left, touched=experiment.protocol)
        if arena.keep.simplicity:
            verdict = simplification(verdict, incumbent.nodes, experiment.nodes, policy)
    verdict = guarded(verdict, _broken(arena, ours))
    wanted = _wanted(verdict, experiment.number, incumbent.number, candidate, held)
    anchor = anchoring.due(
        ours, theirs, standing_runs, verdict, policy.effects.typical,
        lambda last: repeats_without(ledger, arena, tag, last),
    )  # fmt: skip
    if anchor and not beside:
        said = f"Confirm: {anchoring.REASONS[anchor]}, so the incumbent is measured again before this is judged."
        verdict = replace(
            verdict, decision=Decision.CONFIRM, label=None, seeds=(ours[0].seed,), reason=said, code=anchor
        )
        wanted = ((incumbent.number, ours[0].seed, "anchor"),)
    if awaited(runs, theirs) and not beside:
        said = "Confirm: the incumbent is being measured again, and this is judged beside it."
        verdict = replace(
            verdict, decision=Decision.CONFIRM, label=None, seeds=(), reason=said, code="awaits_incumbent"
        )
        wanted = ()
    elif _spent(wanted, (*runs, *theirs)):
        said = f"Discard: a repeat that the verdict needs ended {MOST_RETRIES} times without a score."
        verdict = replace(verdict, decision=Decision.DISCARD, label=None, seeds=(), reason=said, code="not_repeated")
        wanted = ()
    change = None if verdict.delta is None else -verdict.delta
    return Judgement(verdict, score, change, tuple(sorted(candidate)), tuple(runs), wanted, incumbent.number)


def awaited(runs: Sequence[Run], theirs: Sequence[Run]) -> list[Run]:
    """The incumbent's runs that are still open and on whose seeds this candidate ran: no verdict before they are in."""
    seeds = {run.seed for run in runs}
    return [
        run for run in theirs if not run.state.terminal and run.purpose in ("confirm", "anchor") and run.seed in seeds
    ]


def _spent(wanted: Sequence[tuple[int, int, str]], runs: Iterable[Run]) -> bool:
    """Whether a run that is asked for was tried often enough without a score."""
    failed = Counter(
        (run.experiment, run.seed)
        for run in runs
        if run.state.terminal and not run.counts and run.state not in (RunState.LOST, RunState.CANCELLED)
    )
    return any(failed[number, seed] >= MOST_RETRIES for number, seed, purpose in wanted if purpose == "confirm")


def _alone(candidate: dict[int, float]) -> Verdict:
    """Nothing to compare with yet on the candidate's seeds."""
    said = "Confirm: the present code has not run on this seed yet."
    return Verdict(Decision.CONFIRM, None, None, None, None, tuple(candidate), said, "no_incumbent")


def _worth_keeping(turned: Verdict) -> Verdict:
    """The verdict on a candidate that takes an earlier change back: kept unless the change proves its worth.

    `turned` has the roles exchanged: the present code as candidate, the code without the change as incumbent.
    """
    decision = {Decision.KEEP: Decision.DISCARD, Decision.DISCARD: Decision.KEEP}.get(turned.decision, turned.decision)
    said = {
        Decision.KEEP: "Keep: the earlier change did not prove its worth when it was taken back.",
        Decision.DISCARD: "Discard: without the earlier change the score is worse, so it stays.",
        Decision.CONFIRM: "Confirm: noise could explain the difference that the earlier change makes.",
    }[decision]
    return replace(
        turned,
        decision=decision,
        label="provisional" if decision is Decision.KEEP else None,
        delta=None if turned.delta is None else -turned.delta,
        noise_widths=None if turned.noise_widths is None else -turned.noise_widths,
        probability=None if turned.probability is None else 1.0 - turned.probability,
        expected=None if turned.expected is None else -turned.expected,
        reason=said,
        code="simpler" if decision is Decision.KEEP else turned.code,
    )


def _of_tainted(experiment: Experiment, runs: Sequence[Run]) -> tuple[Verdict, tuple[tuple[int, int, str], ...]]:
    """A score taken beside a foreign load decides nothing; it is taken again, a bounded number of times."""
    tainted = [run for run in runs if run.tainted]
    why = tainted[-1].tainted if tainted else "no run of it counts"
    if len(tainted) <= MOST_RETRIES:
        said = f"Confirm: its run decides nothing ({why}), so it is run again."
        wanted = ((experiment.number, runs[0].seed, "retry"),)
        return Verdict(Decision.CONFIRM, None, None, None, None, (runs[0].seed,), said, "tainted"), wanted
    said = f"Discard: none of {len(tainted)} runs decides anything ({why}). Run the same code again on a quiet machine."
    return Verdict(Decision.DISCARD, None, None, None, None, (), said, "tainted"), ()


def _broken(arena: Arena, runs: Iterable[Run]) -> tuple[str, ...]:
    """What forbids a keep whatever the score: failed checks, secondary metrics out of bounds, an audit's doubt."""
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


def _wanted(
    verdict: Verdict, candidate: int, incumbent: int, ours: dict[int, float], theirs: dict[int, float]
) -> tuple[tuple[int, int, str], ...]:
    if verdict.decision is not Decision.CONFIRM:
        return ()
    asked = [(candidate, seed, "confirm") for seed in verdict.seeds if seed not in ours]
    asked += [(incumbent, seed, "confirm") for seed in verdict.seeds if seed not in theirs]
    return tuple(asked)
