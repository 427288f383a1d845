"""Keep, discard or confirm: the whole rule, one pure function of the evidence. No files, no clock, no git.

Two questions, in this order. *Is anything proven yet?* The evidence of all looks of the night multiplies to one
e-value (`Record`); as long as it has not once been over 100, nothing is kept, and a promising candidate is looked at
again. So in at most one of a hundred nights in which nothing helps is anything kept (Ville 1939; Ramdas et al. 2023,
"Game-theoretic statistics and safe anytime-valid inference"), however often one looks. *Is it worth keeping?* After
that a candidate is worth what one expects it to gain, less a little for the risk of a keep that is none; one more
look is worth its cost where noise rivals the effects (`SURE`; `benchmarks/referee.py` shows what that gains).
Lab, benchmark and tests call this same function. Gains are positive when better, everywhere.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Literal

from mcp_server.judging.belief import SMALLEST, Belief, Effects, Look, Widths, usual_luck
from mcp_server.judging.drift import Anchor, Conditions, Scatter, machine_could, must_anchor
from mcp_server.judging.noise import EQUAL_RUNS, compare

Scores = Mapping[int, float]
MOST_WIDTHS = 99.0  # JSON knows no infinity, and nobody means more
LARGEST_SCORE = 1e100  # what diverged so far is no number to reckon with

PROVEN = 100.0  # the night's e-value from which on something is proven
PROMISING = 2.0  # before that a candidate is looked at again while it is so many times likelier than an untried idea
REGRET = 0.03  # a keep that is no improvement costs as much as this share of a typical improvement gains
DROP = 0.4  # widths under which no further look pays (optimal stopping: 0.3 to 0.6 at every noise)
# One more look no longer pays once the gain is so many times (width / typical) widths: then the likeliest gain of
# something that helps is above zero. Optimal stopping has 0.82 to 0.92 for noise of 1.3 to 7 typical improvements.
SURE = 0.88
MOST_LOOKS, MOST_UNPROVEN_LOOKS = 8, 32
CONFIRMED_AT = 0.98
BAD_LOOK = 2.0  # widths by which a look is taken to have come out worse that was called off or failed by itself
HIDDEN = 2.4  # widths of so many typical improvements hide effects of the usual size
LEAST_LOSS = 0.1  # of a typical improvement: what one simplification may lose
ALLOWANCE = 0.5  # of a typical improvement: what all simplifications of a campaign may lose together


class Decision(StrEnum):
    KEEP = "keep"
    DISCARD = "discard"
    CONFIRM = "confirm"


class Label(StrEnum):
    PROVISIONAL = "provisional"
    CONFIRMED = "confirmed"
    SIMPLIFICATION = "simplification"


class Comparison(StrEnum):
    """How candidate and incumbent were compared."""

    NONE = ""
    SLOT = "slot"  # in one slot: whatever moved has moved both
    APART = "apart"  # at different times: what the machine moved is part of the width


class Who(StrEnum):
    CANDIDATE = "candidate"
    INCUMBENT = "incumbent"


@dataclass(frozen=True, slots=True)
class Order:
    """A run that a verdict asks for."""

    who: Who
    seed: int
    purpose: str


@dataclass(frozen=True, slots=True)
class Policy:
    """What the arena asks of a keep. min_delta: a gain up to this is none. confirm: `always` asks for a second seed
    before any keep, `never` decides on what one look says: then nothing is promised but the probability that is said.
    """

    effects: Effects = field(default_factory=Effects)
    min_delta: float = 0.0
    confirm: Literal["auto", "always", "never"] = "auto"


@dataclass(frozen=True, slots=True)
class Record:
    """The night so far. evidence: the log of its e-value, all decided looks multiplied; proven: it was once enough.

    spent: what kept simplifications may have lost so far, in the score's unit.
    """

    evidence: float = 0.0
    proven: bool = False
    spent: float = 0.0

    def after(self, evidence: float | None, lost: float = 0.0) -> Record:
        """After one more decided look: its e-value, and what a simplification lost."""
        total = self.evidence + math.log(max(evidence if evidence is not None else 1.0, 1e-12))
        return Record(total, self.proven or total >= math.log(PROVEN), self.spent + max(lost, 0.0))


@dataclass(frozen=True, slots=True)
class Evidence:
    """All that may decide, by seed and turned so that larger is better. Who gathers it decides nothing.

    beside: the incumbent's scores in the candidate's own slots; where there is one, only these are compared.
    widths: of one plain difference of the kind that is compared. correlation: of two codes on a shared seed, apart.
    called_off: runs of this code that ended without a score for a reason that its supervisor did not see from outside.
    """

    candidate: Scores
    incumbent: Scores
    widths: Widths
    beside: Scores = field(default_factory=dict)
    paired: bool = False  # whether a new run of the candidate measures the incumbent in the same slot
    correlation: float = 0.0
    chosen: bool = False  # whether the incumbent was itself chosen by its scores, as a baseline is not
    policy: Policy = field(default_factory=Policy)
    record: Record = field(default_factory=Record)
    runs_left: float = math.inf
    called_off: int = 0
    takes_back: bool = False  # the candidate takes an earlier keep back: that has to prove its worth again
    touched: tuple[str, ...] = ()  # what the diff changes of luck itself
    broken: tuple[str, ...] = ()  # sentences: checks that failed, bounds that do not hold
    saved: int = 0  # syntax-tree nodes that the candidate has less than the incumbent
    simplicity: bool = True
    tainted: tuple[str, ...] = ()  # why runs of the candidate decide nothing, where none does
    retry: int | None = None  # seed on which a tainted run may be repeated; None: often enough
    awaited: bool = False  # the incumbent's run beside this candidate is still open
    failed: Mapping[tuple[Who, int], int] = field(default_factory=dict)  # runs that ended without a score
    anchored: bool = False  # the incumbent was measured again for this candidate
    now: Conditions = field(default_factory=Conditions)
    then: Conditions = field(default_factory=Conditions)
    scatter: Scatter = field(default_factory=Scatter)
    disagrees: bool = False  # the incumbent's last repeat lies further from its earlier ones than repeats do
    repeat_seed: int = 0  # of the incumbent, to measure the noise on
    equal: int = 0  # runs of equal code that all gave the very same score; 0 once two have differed


@dataclass(frozen=True, slots=True)
class Verdict:
    """A decision with the numbers behind it; gains are positive when better, and None without scores.

    reason: a sentence for people; code: the same for machines (docs/reasons.md). within_machine: what the machine
    moved could explain the whole difference, so that nothing was learnt about the change.
    """

    decision: Decision
    code: str
    reason: str
    label: Label | None = None
    gain: float | None = None
    widths: float | None = None
    probability: float | None = None
    believed: float | None = None
    width: float | None = None
    degrees: float | None = None
    reach: float | None = None  # half of the 95 % interval
    evidence: float | None = None
    share: float | None = None
    squares: float = 0.0
    lost: float = 0.0
    comparison: Comparison = Comparison.NONE
    within_machine: bool = False
    orders: tuple[Order, ...] = ()

    @property
    def interval(self) -> tuple[float, float] | None:
        """In which the true gain lies with 95 %, as far as the looks alone say; None without scores."""
        if self.gain is None or self.reach is None:
            return None
        return self.gain - self.reach, self.gain + self.reach


UNMOVED_RUNS = 3  # so many equal scores at different times show that the machine has no part in them
MOST_FAILURES = 3  # a repeat that ends so often without a score is given up


def decide(evidence: Evidence) -> Verdict:
    """The verdict on one candidate."""
    refusal = _unusable(evidence)
    if refusal is not None:
        return refusal
    case = _Case.of(evidence)
    verdict = _taken_back(case) if evidence.takes_back else _weighed(case)
    verdict = _simpler(case, verdict)
    if evidence.broken and verdict.code != "touches_luck":
        return case.verdict(Decision.DISCARD, "bound_broken", " ".join(evidence.broken), plain=True)
    # where equal code scored the very same at several times, the machine does not move the score
    if case.comparison is Comparison.APART and evidence.equal < UNMOVED_RUNS:
        verdict = _moved(case, verdict)
    if evidence.awaited and not evidence.beside:
        said = "the incumbent is being measured again, and this is judged beside it"
        return replace(case.verdict(Decision.CONFIRM, "awaits_incumbent", said), orders=())
    if any(evidence.failed.get((one.who, one.seed), 0) >= MOST_FAILURES for one in verdict.orders):
        said = f"a repeat that the verdict needs ended {MOST_FAILURES} times without a score"
        return case.verdict(Decision.DISCARD, "not_repeated", said)
    return verdict


@dataclass(frozen=True, slots=True)
class _Case:
    """One comparison, weighed: what every rule below is about."""

    given: Evidence
    comparison: Comparison
    count: int  # looks at the candidate that are compared
    look: Look  # as it was measured
    weighed: Look  # with the looks that were called off
    belief: Belief
    evidence: float  # e-value of this candidate's looks
    probability: float

    @classmethod
    def of(cls, given: Evidence) -> _Case:
        typical = given.policy.effects.typical
        if given.beside:
            gains = [given.candidate[seed] - score for seed, score in given.beside.items() if seed in given.candidate]
            count, gain = len(gains), sum(gains) / len(gains)
            squares = sum((one - gain) ** 2 for one in gains)
            look, kind = Look(gain, 1.0 / count, squares, count - 1.0), Comparison.SLOT
        else:
            count, kind = len(given.candidate), Comparison.APART
            gain, width = compare(given.candidate, given.incumbent, 1.0, given.correlation)
            share = width * width / (2.0 * (1.0 - given.correlation))
            look = Look(gain, share, machine=given.scatter.width(typical) / math.sqrt(count))
        # a look that was called off or failed counts as a bad one: whoever drops the unlucky ones must not gain by it
        bad = given.called_off
        if bad:
            plain = given.widths.belief(Look(0.0)).width
            worse = (count * gain - bad * BAD_LOOK * plain) / (count + bad)
            # and what is left of them scatters by less than the noise does
            share = look.share * count / (count + bad) if given.beside else look.share
            weighed = replace(look, gain=worse, share=share, squares=0.0, degrees=0.0)
        else:
            weighed = look
        belief = given.widths.belief(weighed)
        if given.chosen and kind is Comparison.APART:
            luck = usual_luck(belief.width / math.sqrt(look.share), given.policy.effects)
            belief = given.widths.belief(replace(weighed, gain=weighed.gain + luck / math.sqrt(len(given.incumbent))))
        evidence = given.widths.belief(_sober(given, weighed)).evidence
        return cls(given, kind, count, look, weighed, belief, evidence, belief.probability)

    @property
    def gain(self) -> float:
        return self.look.gain

    @property
    def typical(self) -> float:
        return max(self.given.policy.effects.typical, SMALLEST)

    @property
    def widths(self) -> float:
        """The gain in widths, held finite where nothing is noisy."""
        if self.belief.width > 0.0:
            return min(max(self.weighed.gain / self.belief.width, -MOST_WIDTHS), MOST_WIDTHS)
        return math.copysign(MOST_WIDTHS, self.gain) if self.gain else 0.0

    @property
    def ratio(self) -> float:
        """Width of one plain comparison in typical improvements."""
        return self.belief.width / math.sqrt(self.look.share) / self.typical

    @property
    def proven(self) -> bool:
        """Whether the night has shown, this candidate included, that anything helps."""
        return self.given.record.after(self.evidence).proven

    @property
    def worth(self) -> float:
        """What a keep is expected to gain, less the regret of one that is none."""
        return self.belief.gain - REGRET * self.typical * (1.0 - self.probability)

    @property
    def measured(self) -> bool:
        return self.given.widths.degrees + self.weighed.degrees > 0.0

    def verdict(
        self, decision: Decision, code: str, why: str, orders: tuple[Order, ...] = (), *, plain: bool = False
    ) -> Verdict:
        label = None
        if decision is Decision.KEEP:
            sure = self.count > 1 and self.probability >= CONFIRMED_AT and self.measured
            label = Label.CONFIRMED if sure else Label.PROVISIONAL
        said = f"{decision.value.capitalize()}: {why}"
        if not plain:
            said += (
                f" (gain {self.gain:+.3g}, {self.widths:+.1f} noise widths, {self.probability:.0%} likely better, "
                f"{self.count} {'pairs in one slot' if self.comparison is Comparison.SLOT else 'runs'})."
            )
            if self.given.called_off:
                said += f" Runs that ended without a score count as bad looks: {self.given.called_off}."
            if not self.measured:
                said += " The noise was never measured."
        return Verdict(
            decision, code, said, label, self.gain, self.widths, self.probability, self.belief.gain,
            self.belief.width, self.belief.degrees, self.given.widths.reach(self.look), self.evidence,
            self.look.share, self.look.squares, comparison=self.comparison, orders=orders,
        )  # fmt: skip


def _sober(given: Evidence, look: Look) -> Look:
    """The look as the night's evidence takes it. In slots as it is; apart all candidates of a night are compared with
    the same few runs of one incumbent, whose bad luck must not pass for many good ideas: it is granted one sd of that.
    """
    if given.beside or not given.incumbent:
        return look
    share = 0.5 / len(given.incumbent)  # of a plain difference's variance, the part that is the incumbent's
    middle = given.widths.belief(look).width / math.sqrt(look.share)
    return replace(look, gain=look.gain - middle * math.sqrt(share))


def _weighed(case: _Case) -> Verdict:
    given, gain = case.given, case.gain
    if given.touched:
        what = " and ".join(sorted(given.touched))
        said = f"it changes {what}, so its score alone can never keep it"
        return case.verdict(Decision.DISCARD, "touches_luck", said)
    enough = case.count > 1 or given.policy.confirm != "always"
    good = gain > max(given.policy.min_delta, 0.0) and case.worth > 0.0
    sure = case.widths * case.belief.width >= SURE * case.belief.width**2 / case.typical
    orders = _again(case)
    wanted = _wants_look(case, good, sure and enough)
    if gain > max(given.policy.min_delta, 0.0) and not case.measured and given.policy.confirm != "never":
        who = "a second slot of this code tells it" if given.paired else "the incumbent is run again"
        said = f"the noise was never measured, and {who} before this is judged"
        again = orders if given.paired else (Order(Who.INCUMBENT, given.repeat_seed, "repeat"),)
        if given.runs_left >= 1 and again:
            return case.verdict(Decision.CONFIRM, "noise_unmeasured", said, again)
    if gain > max(given.policy.min_delta, 0.0) and enough and given.equal >= EQUAL_RUNS:
        return _exactly_better(case)
    # an arena that wants no repeats gets what one look says, a probability, and no promise
    settled = given.policy.confirm == "never" or (enough and case.proven and case.measured)
    if good and settled and (sure or not (orders and wanted)):
        return case.verdict(Decision.KEEP, "gain", "it clears the bar")
    if wanted and orders:
        return case.verdict(Decision.CONFIRM, *_doubt(case), orders)
    if gain > max(given.policy.min_delta, 0.0) and given.equal and case.count < 2 and orders:
        said = "every repeat so far was equal, so one more tells whether there is any noise"
        return case.verdict(Decision.CONFIRM, "needs_repeat", said, orders)
    return case.verdict(Decision.DISCARD, *_no(case, good))


def _exactly_better(case: _Case) -> Verdict:
    """A keep where equal code has always scored the same: there is no luck, so every gain is one, however small.

    Without this rule a campaign whose gains have shrunk to the guess of a noise that is not there would keep nothing
    any more; and a few equal repeats prove nothing, for coarse scores are often equal.
    """
    said = f"in {case.given.equal} runs equal code never scored otherwise, so this is better"
    kept = case.verdict(Decision.KEEP, "gain", said)
    proof = max(case.evidence, PROVEN)
    return replace(kept, label=Label.CONFIRMED, probability=1.0, believed=case.gain, evidence=proof)


def _wants_look(case: _Case, good: bool, sure: bool) -> bool:
    """Whether one more look at this candidate is worth a run, if one can be had."""
    if case.widths < DROP or case.gain + case.belief.width <= case.given.policy.min_delta:
        return False
    if not case.proven or not case.measured:
        likely = case.probability >= PROMISING * case.given.policy.effects.improving
        return likely and case.count < MOST_UNPROVEN_LOOKS
    return not sure and case.count < MOST_LOOKS and (good or case.probability >= case.given.policy.effects.improving)


def _again(case: _Case) -> tuple[Order, ...]:
    """The runs of one more look; none where they cannot be afforded or the arena wants none."""
    given = case.given
    if given.policy.confirm == "never":
        return ()
    missing = [] if given.paired else sorted(given.incumbent.keys() - given.candidate.keys())
    seed = missing[0] if missing else max((*given.candidate, *given.incumbent)) + 1
    orders = [Order(Who.CANDIDATE, seed, "confirm")]
    # where a shared seed says nothing, only the side with fewer runs gains much by one more; but before anything is
    # proven all candidates are compared with one baseline, whose bad luck would look like many good ideas
    helps = given.correlation > 0.0 or not case.proven or len(given.incumbent) <= len(given.candidate)
    if not given.paired and seed not in given.incumbent and helps:
        orders.append(Order(Who.INCUMBENT, seed, "confirm"))
    return tuple(orders) if given.runs_left >= len(orders) else ()


def _doubt(case: _Case) -> tuple[str, str]:
    if not case.proven:
        return "unproven", "promising, but nothing is proven yet in this campaign, so it is asked to repeat itself"
    if case.ratio >= HIDDEN:
        return "hidden_by_noise", "noise hides effects of the usual size, so only what repeats itself counts"
    return "needs_repeat", "promising, but noise could explain it"


def _no(case: _Case, good: bool) -> tuple[str, str]:
    """Why it is not kept: (code, sentence)."""
    gain, least = case.gain, case.given.policy.min_delta
    if gain <= 0.0:
        return ("worse" if gain < 0.0 else "no_gain"), "not better than the incumbent"
    if gain <= least:
        return "below_min_delta", f"gains up to {least:.3g} are no gains here"
    if good and not case.proven:
        return "unproven", "not surely enough better for the first keep of a campaign, and no further look would tell"
    if case.ratio >= HIDDEN:
        needed = max(2, math.ceil((2.5 * case.ratio) ** 2))
        return "hidden_by_noise", f"noise hides effects of the usual size; about {needed} looks would show one"
    if case.count > 1:
        return "not_repeated", "the gain did not repeat itself clearly enough"
    return "within_noise", "noise explains a gain of this size"


def _taken_back(case: _Case) -> Verdict:
    """The verdict on a candidate without an earlier change: kept unless that change proves its worth again.

    The roles are exchanged: the present code is weighed as if it were the candidate.
    """
    turned = replace(case.look, gain=-case.look.gain)
    belief = case.given.widths.belief(turned)
    here = replace(case, look=turned, weighed=turned, belief=belief, probability=belief.probability)
    if here.worth > 0.0 and here.widths >= DROP and (here.widths >= SURE * here.belief.width / here.typical):
        said = "without the earlier change the score is worse, so it stays"
        return case.verdict(Decision.DISCARD, "worse", said)
    orders = _again(case)
    if orders and here.widths >= DROP and case.count < MOST_LOOKS:
        said = "noise could explain the difference that the earlier change makes"
        return case.verdict(Decision.CONFIRM, "needs_repeat", said, orders)
    said = "the earlier change did not prove its worth when it was taken back"
    return replace(case.verdict(Decision.KEEP, "simpler", said), label=Label.SIMPLIFICATION)


def _simpler(case: _Case, verdict: Verdict) -> Verdict:
    """The verdict after looking at length: no worse within noise and less code (syntax-tree nodes) may be kept.

    "No worse" is at most half a noise width and a tenth of a typical improvement; what such keeps may have lost adds
    up, and together they may not lose more than the campaign's allowance of half a typical improvement.
    """
    given, lost = case.given, max(-case.gain, 0.0)
    if not given.simplicity or given.saved <= 0 or verdict.decision is Decision.KEEP or given.takes_back:
        return verdict
    if verdict.code == "touches_luck" or not case.measured:
        return verdict
    if lost > min(0.5 * case.belief.width, LEAST_LOSS * case.typical):
        return verdict
    if verdict.decision is Decision.CONFIRM and case.gain > 0.0 and case.widths >= 1.0:
        return verdict  # it may be a gain: that is found out first
    # noise hides what is lost: half a width is what a campaign pays for not knowing, a width of nothing costs nothing
    price = max(lost, min(0.5 * case.belief.width, LEAST_LOSS * case.typical) if case.belief.width > 0.0 else 0.0)
    if given.record.spent + price > ALLOWANCE * case.typical:
        if verdict.decision is Decision.CONFIRM:
            return verdict
        said = "shorter and no worse within noise, but the campaign's allowance for such losses is used up"
        return case.verdict(Decision.DISCARD, "allowance_spent", said)
    said = f"Keep: no worse within noise (gain {case.gain:+.3g}) and {given.saved} syntax nodes less."
    kept = replace(case.verdict(Decision.KEEP, "simpler", ""), reason=said, label=Label.SIMPLIFICATION)
    return replace(kept, lost=price)


def _moved(case: _Case, verdict: Verdict) -> Verdict:
    """The verdict on a comparison apart in time after looking at the machine."""
    given = case.given
    if not given.anchored and given.incumbent:
        would = verdict.decision is not Decision.DISCARD
        spare = max(0.0, min(case.worth, case.gain)) if would else None
        anchor = must_anchor(given.now, given.then, given.scatter, case.belief.width, case.typical, spare)
        if not anchor and given.disagrees:
            anchor = Anchor.REPEAT
        if anchor and given.runs_left < 1:
            if not would:
                return verdict
            said = f"{ANCHORS[anchor]}, and no run is left to measure the incumbent again"
            return replace(case.verdict(Decision.DISCARD, "machine_moved", said), within_machine=True)
        if anchor:
            said = f"{ANCHORS[anchor]}, so the incumbent is measured again before this is judged"
            order = Order(Who.INCUMBENT, min(given.candidate), "anchor")
            return case.verdict(Decision.CONFIRM, anchor.value, said, (order,))
    if not machine_could(case.gain, given.now, given.then, given.scatter, case.belief.width, case.typical):
        return verdict
    if verdict.decision is Decision.DISCARD and verdict.code in ("worse", "within_noise", "no_gain", "not_repeated"):
        said = "the difference is within what this machine moved by itself, so it says nothing about the change"
        verdict = case.verdict(Decision.DISCARD, "machine_moved", said)
    return replace(verdict, within_machine=True)


ANCHORS = {
    Anchor.DEVICE: "the candidate ran on another machine than the incumbent",
    Anchor.DRIVER: "the driver changed since the incumbent was measured",
    Anchor.SPEED: "the machine's speed changed since the incumbent was measured",
    Anchor.STEPS: "the number of steps alone could explain the difference",
    Anchor.REPEAT: "the incumbent's own repeat disagrees with its earlier score",
}


def _unusable(given: Evidence) -> Verdict | None:
    """A verdict without numbers where there are none to judge."""
    if given.tainted:
        why = given.tainted[-1]
        if given.retry is not None:
            said = f"Confirm: its run decides nothing ({why}), so it is run again."
            return Verdict(Decision.CONFIRM, "tainted", said, orders=(Order(Who.CANDIDATE, given.retry, "retry"),))
        said = f"Discard: none of {len(given.tainted)} runs decides anything ({why}). "
        return Verdict(Decision.DISCARD, "tainted", said + "Run the same code again on a quiet machine.")
    if not given.candidate:
        said = "Discard: the candidate has no score; what has none is never kept."
        return Verdict(Decision.DISCARD, "no_score", said)
    sides = (("candidate", given.candidate), ("incumbent", given.incumbent), ("incumbent", given.beside))
    for who, scores in sides:
        if not all(abs(score) < LARGEST_SCORE for score in scores.values()):
            return Verdict(Decision.DISCARD, "not_a_number", f"Discard: a score of the {who} is not a finite number.")
    if given.beside.keys() & given.candidate.keys():
        return None
    if given.paired:
        seed = max((*given.candidate, *given.incumbent)) + 1
        said = "Confirm: another experiment was kept meanwhile, so one slot beside that one decides."
        order = Order(Who.CANDIDATE, seed, "confirm")
    elif given.takes_back and not given.candidate.keys() & given.incumbent.keys():
        said = "Confirm: the present code has not run on this seed yet."
        order = Order(Who.INCUMBENT, min(given.candidate), "confirm")
    elif not given.incumbent:
        said = "Confirm: the incumbent has no score to compare with, so it is run on the candidate's seed."
        order = Order(Who.INCUMBENT, min(given.candidate), "confirm")
    else:
        return None
    if given.runs_left >= 1 and given.failed.get((order.who, order.seed), 0) < MOST_FAILURES:
        return Verdict(Decision.CONFIRM, "no_incumbent", said, orders=(order,))
    said = "Discard: the incumbent has no score to compare with, and no run is left to get one."
    return Verdict(Decision.DISCARD, "no_incumbent", said)


# ---- bounds of secondary metrics ----


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
