"""Keep, discard or confirm, from numbers alone: no files, no clock, no git.

Scores are by seed and smaller is better (`lower_is_better` turns an arena's direction into that). What decides is the
noise of a comparison as a share of a typical true improvement: where it is small one run settles it and a margin
keeps luck out; where it rivals the effects a promising candidate is run again beside the incumbent on a new seed;
where it hides them nothing is kept that has not repeated itself. The figures in `BARS` were chosen by simulation
(`benchmarks/referee.py` shows the result). What is not promised: that a provisional keep is true; its probability is
said.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Literal

from mcp_server.bars import HIDDEN, LATE, UNKNOWN_TAKE, UNPAIRED_EXCESS, UNPAIRED_PATIENCE, Bar, bar_at
from mcp_server.belief import Effects, Posterior, posterior, usual_luck
from mcp_server.noise import EQUAL_RUNS, Noise, compare

__all__ = [
    "Bound",
    "Decision",
    "Effects",
    "KeepPolicy",
    "Noise",
    "Verdict",
    "broken_bounds",
    "guarded",
    "judge",
    "lower_is_better",
    "simplification",
]

Scores = Mapping[int, float]
MOST_WIDTHS = 999.0  # JSON knows no infinity
LARGEST_SCORE = 1e100  # what diverged so far is no number to reckon with


class Decision(StrEnum):
    KEEP = "keep"
    DISCARD = "discard"
    CONFIRM = "confirm"


Label = Literal["provisional", "confirmed"]


@dataclass(frozen=True, slots=True)
class KeepPolicy:
    """What a keep takes. `effects` says how large true changes are; set `Effects(typical=...)` to the arena's scale.

    min_delta: a gain up to this is no gain. confirm: `always` asks for a second seed before any keep, `never` decides
    on what there is. confirmed_at: probability that earns the label. least_probability: below it no gain is believed.
    """

    min_delta: float = 0.0
    confirm: Literal["auto", "always", "never"] = "auto"
    effects: Effects = field(default_factory=Effects)
    confirmed_at: float = 0.98
    least_probability: float = 0.10
    remeasure: bool = True  # spend the last runs on the incumbent where its score is mostly luck


@dataclass(frozen=True, slots=True)
class Verdict:
    """A decision with the numbers behind it.

    delta: candidate minus incumbent, negative is better; None without scores. noise_widths: delta in standard
    deviations of this comparison, same sign. probability: that the candidate is truly better. expected: the delta one
    should believe, shrunk for luck. seeds: what to run next, on candidate and incumbent wherever either lacks it.
    reason: a sentence for people, which speaks of gains (positive is better); code: the same for machines
    (docs/reasons.md).
    """

    decision: Decision
    label: Label | None
    delta: float | None
    noise_widths: float | None
    probability: float | None
    seeds: tuple[int, ...]
    reason: str
    code: str
    width: float | None = None
    expected: float | None = None
    spare: float | None = None


def lower_is_better(scores: Scores, direction: str) -> dict[int, float]:
    """Scores as `judge` wants them. direction: minimize or maximize."""
    return {seed: -score if direction == "maximize" else score for seed, score in scores.items()}


def gain(delta: float, form: str = ".3g") -> str:
    """A delta as every reply and sentence says it: positive is better, whatever the metric's direction."""
    return format(0.0 - delta, "+" + form)


def next_seed(candidate: Scores, incumbent: Scores) -> int:
    """The incumbent's first seed that the candidate lacks, for that costs one run; else one new to both."""
    missing = incumbent.keys() - candidate.keys()
    return min(missing) if missing else new_seed(candidate, incumbent)


def new_seed(candidate: Scores, incumbent: Scores) -> int:
    return max((*candidate, *incumbent), default=-1) + 1


def judge(
    candidate: Scores,
    incumbent: Scores,
    noise: Noise,
    policy: KeepPolicy,
    runs_left: int | None = None,
    *,
    touched: Collection[str] = (),
) -> Verdict:
    """Keep, discard or confirm one candidate; scores by seed, smaller is better.

    runs_left: what the campaign can still afford; None is plenty. touched: what the diff changes of luck itself
    (seeding, data order, budget); a candidate that does is never kept for its score.
    """
    refusal = _unusable(candidate, incumbent, runs_left)
    if refusal is not None:
        return refusal
    effects = policy.effects
    sd, correlation = noise.one_run(effects.typical), noise.correlation(effects.typical)
    delta, width = compare(candidate, incumbent, sd, correlation)
    pair_sd = sd * math.sqrt(2.0 * (1.0 - correlation))
    # The incumbent's own luck is not seen in its score, but it is known on average: without it a belief is too dark.
    one_run = pair_sd / math.sqrt(2.0)
    luck = usual_luck(one_run, effects) * one_run / math.sqrt(len(incumbent))
    belief = posterior(luck - delta, width, effects)
    case = _Case(candidate, incumbent, delta, width, _widths(delta, width), belief, pair_sd, noise, policy)
    if touched:
        what = " and ".join(sorted(touched))
        return case.rules(Decision.DISCARD, "touches_luck", f"it changes {what}, so its score alone can never keep it")
    return _decide(case, math.inf if runs_left is None else runs_left)


def _decide(case: _Case, runs_left: float) -> Verdict:
    bar, policy = bar_at(case.ratio), case.policy
    looks = len(case.candidate)
    wanted, take = _asked(bar, policy, case.noise, runs_left)
    # A well-measured incumbent earns a first look no thinner margin: the luck of the best of many is the candidates'.
    z = -case.widths if looks > 1 or case.width >= case.pair_sd else -case.delta / case.pair_sd
    enough = looks >= wanted
    good = -case.delta > max(policy.min_delta, 0.0) and case.belief.probability >= policy.least_probability
    least = min(take, max(bar.bar, 0.0)) if enough else take
    if good and z >= least:
        spare = (z - least) * (-case.delta / z) if z > 0.0 else 0.0
        return replace(case.rules(Decision.KEEP, "gain", "it clears the bar"), spare=spare)
    seed = next_seed(case.candidate, case.incumbent)
    affordable = runs_left >= (1 if seed in case.incumbent else 2) and policy.confirm != "never"
    unpaired = case.width > case.pair_sd * UNPAIRED_EXCESS and not case.candidate.keys() & case.incumbent.keys()
    doubtful = z >= bar.drop and (not enough or looks < bar.most) and case.width - case.delta > policy.min_delta
    # no repeat ever differed: before a gain is called noise, a run is well spent on whether there is any
    untold = case.noise.equal and case.noise.runs < EQUAL_RUNS and looks < 2 and -case.delta > policy.min_delta
    remeasured = _remeasure(case, runs_left)
    if remeasured:
        return case.rules(
            Decision.CONFIRM,
            "remeasure_incumbent",
            "the campaign is about to end and the incumbent's score is still mostly luck, so both are run again",
            remeasured,
        )
    if affordable and unpaired and z >= UNPAIRED_PATIENCE:
        return case.rules(Decision.CONFIRM, "needs_pairing", "it shares no seed with the incumbent yet", (seed,))
    if affordable and doubtful:
        if case.ratio >= HIDDEN:
            said = "noise hides effects of the usual size, so only what repeats itself counts"
            return case.rules(Decision.CONFIRM, "hidden_by_noise", said, (seed,))
        return case.rules(Decision.CONFIRM, "needs_repeat", "promising, but noise could explain it", (seed,))
    if affordable and untold:
        said = "every repeat so far was equal; one more tells whether there is any noise"
        return case.rules(Decision.CONFIRM, "needs_repeat", said, (seed,))
    if good and doubtful and case.belief.probability >= 0.5:
        return case.rules(Decision.KEEP, "unrepeated_gain", "a likely gain, with no run left to repeat it")
    if case.delta >= 0.0:
        return case.rules(Decision.DISCARD, "worse" if case.delta > 0.0 else "no_gain", "not better than the incumbent")
    if -case.delta <= policy.min_delta:
        return case.rules(Decision.DISCARD, "below_min_delta", f"gains up to {policy.min_delta:.3g} are no gains here")
    if case.ratio >= HIDDEN:
        said = f"noise hides effects of the usual size; about {case.runs_needed} paired runs would show one"
        return case.rules(Decision.DISCARD, "hidden_by_noise", said)
    if looks > 1:
        return case.rules(Decision.DISCARD, "not_repeated", "the gain did not repeat itself clearly enough")
    return case.rules(Decision.DISCARD, "within_noise", "noise explains a gain of this size")


def _asked(bar: Bar, policy: KeepPolicy, noise: Noise, runs_left: float) -> tuple[float, float]:
    """Looks wanted before a keep, and the gain in widths for which one look is enough."""
    wanted = bar.looks - 1.0 if bar.looks > 2 and runs_left < LATE else bar.looks
    if policy.confirm == "never":
        return 1.0, max(bar.take, bar.drop)
    if policy.confirm == "always":
        return max(wanted, 2.0), math.inf
    return (wanted, bar.take) if noise.known else (max(wanted, 2.0), max(bar.take, UNKNOWN_TAKE))


def _remeasure(case: _Case, runs_left: float) -> tuple[int, ...]:
    """Seeds for the incumbent's last runs, new to both; empty while they are not due."""
    if not case.policy.remeasure or case.policy.confirm == "never":
        return ()
    missing = bar_at(case.ratio).anchor - len(case.incumbent)
    if missing <= 0.0 or not 2 <= runs_left <= 2.0 * missing:
        return ()
    first = new_seed(case.candidate, case.incumbent)
    return tuple(range(first, first + min(math.ceil(missing), int(runs_left) // 2)))


def _unusable(candidate: Scores, incumbent: Scores, runs_left: int | None) -> Verdict | None:
    """A verdict without numbers where there are none to judge."""

    def verdict(decision: Decision, code: str, reason: str, seeds: tuple[int, ...] = ()) -> Verdict:
        return Verdict(decision, None, None, None, None, seeds, reason, code)

    if not candidate:
        return verdict(Decision.DISCARD, "no_score", "The candidate has no score; what has none is never kept.")
    for who, scores in (("candidate", candidate), ("incumbent", incumbent)):
        for score in scores.values():
            if score is None or not abs(score) < LARGEST_SCORE:
                return verdict(Decision.DISCARD, "not_a_number", f"A score of the {who} is not a finite number.")
    if not incumbent:
        seeds = tuple(sorted(candidate))
        if runs_left is None or runs_left >= len(seeds):
            said = "The incumbent has no score to compare with: run it on the candidate's seeds."
            return verdict(Decision.CONFIRM, "no_incumbent", said, seeds)
        return verdict(Decision.DISCARD, "no_incumbent", "The incumbent has no score, and no run is left to get one.")
    return None


def _widths(delta: float, width: float) -> float:
    """Delta in widths, held finite where nothing is noisy."""
    if width > 0.0:
        return min(max(delta / width, -MOST_WIDTHS), MOST_WIDTHS)
    return math.copysign(MOST_WIDTHS, delta) if delta else 0.0


@dataclass(frozen=True, slots=True)
class _Case:
    """Everything that is known about one comparison before a rule is applied."""

    candidate: Scores
    incumbent: Scores
    delta: float
    width: float
    widths: float
    belief: Posterior
    pair_sd: float
    noise: Noise
    policy: KeepPolicy

    @property
    def ratio(self) -> float:
        return self.pair_sd / self.policy.effects.typical

    @property
    def runs_needed(self) -> int:
        """Paired runs that would show a typical improvement at 2.5 widths."""
        return max(2, math.ceil((2.5 * self.ratio) ** 2))

    def rules(self, decision: Decision, code: str, why: str, seeds: tuple[int, ...] = ()) -> Verdict:
        label: Label | None = None
        if decision is Decision.KEEP:
            repeated = min(len(self.candidate), len(self.incumbent)) >= 2 and self.noise.known
            label = "confirmed" if repeated and self.belief.probability >= self.policy.confirmed_at else "provisional"
        reason = (
            f"{decision.value.capitalize()}: {why} (gain {gain(self.delta)}, {gain(self.widths, '.1f')} noise widths, "
            f"{self.belief.probability:.0%} likely better, {len(self.candidate)} against {len(self.incumbent)} runs)."
        )
        if not self.noise.known:
            reason += " The noise was never measured; half a typical improvement is assumed."
        return Verdict(
            decision, label, self.delta, self.widths, self.belief.probability, seeds, reason, code,
            self.width, -self.belief.gain,
        )  # fmt: skip


# ---- what else may speak for or against a candidate ----


def simplification(verdict: Verdict, nodes_before: int, nodes_after: int, policy: KeepPolicy) -> Verdict:
    """The verdict after looking at length: no worse within noise and less code (syntax-tree nodes) may be kept.

    "No worse" is at most half a noise width, and never more than a tenth of a typical improvement, so that ten such
    keeps cannot quietly give one improvement away. Equal or longer code changes nothing, and neither does a broken
    rule.
    """
    if verdict.decision is Decision.KEEP or verdict.delta is None or verdict.width is None:
        return verdict
    if nodes_after >= nodes_before or verdict.code in ("touches_luck", "bound_broken"):
        return verdict
    if verdict.delta > min(0.5 * verdict.width, 0.1 * policy.effects.typical):
        return verdict
    said = (
        f"Keep: no worse within noise (gain {gain(verdict.delta)}) and {nodes_before - nodes_after} syntax nodes less."
    )
    return replace(verdict, decision=Decision.KEEP, label="provisional", seeds=(), reason=said, code="simpler")


@dataclass(frozen=True, slots=True)
class Bound:
    """Limits of one secondary metric, both inclusive; None is open."""

    min: float | None = None
    max: float | None = None


def broken_bounds(secondary: Mapping[str, float], bounds: Mapping[str, Bound]) -> tuple[str, ...]:
    """A sentence for each bound that does not hold. A bounded metric that is missing or not finite breaks its bound."""
    said = []
    for name, bound in sorted(bounds.items()):
        value = secondary.get(name)
        if value is None or not math.isfinite(value):
            said.append(f"{name} was not measured.")
        elif bound.max is not None and value > bound.max:
            said.append(f"{name} is {value:.6g}, above {bound.max:.6g}.")
        elif bound.min is not None and value < bound.min:
            said.append(f"{name} is {value:.6g}, below {bound.min:.6g}.")
    return tuple(said)


def guarded(verdict: Verdict, broken: tuple[str, ...]) -> Verdict:
    """The verdict under the arena's bounds: whatever breaks one is discarded, and nothing is spent on confirming it."""
    if not broken:
        return verdict
    said = "Discard: " + " ".join(broken)
    return replace(verdict, decision=Decision.DISCARD, label=None, seeds=(), reason=said, code="bound_broken")
