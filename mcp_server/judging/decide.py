"""Keep, discard or confirm: the whole rule, one pure function of the evidence. No files, no clock, no git.

Two questions, in this order. *Is anything proven yet?* The evidence of all looks of the night multiplies to one
e-value (`Record`, `wealth`); as long as it has not once been over 50, nothing is kept, and a promising candidate is
looked at again. So in at most one of fifty nights in which nothing helps is anything kept (Ville 1939), however often
one looks. *Is it worth keeping?* After
that a candidate is worth what one expects it to gain, less a little for the risk of a keep that is none; one more
look is worth its cost where noise rivals the effects (`SURE`; `benchmarks/referee.py` shows what that gains).
Lab, benchmark and tests call this same function. Gains are positive when better, everywhere.
"""

from __future__ import annotations

import math
from dataclasses import replace

from mcp_server.judging.drift import Anchor, machine_could, must_anchor
from mcp_server.judging.further.front import step
from mcp_server.judging.verdict import PROVEN, Comparison, Decision, Evidence, Label, Order, Verdict, Who
from mcp_server.judging.weighing import STEADY_LOOKS, Case
from mcp_server.nouns.numbers import LARGEST_SCORE
from mcp_server.nouns.records import Purpose

STRIKING, PROMISING_STRIKING = 1.5, 2.0
PROMISING = 3.0  # before that a candidate is looked at again while it is so many times likelier than an untried idea
DROP = 0.4  # widths under which no further look pays (optimal stopping: 0.3 to 0.6 at every noise)
# One more look no longer pays once the gain is so many times (width / typical) widths: then the likeliest gain of
# something that helps is above zero. Optimal stopping has 0.82 to 0.92 for noise of 1.3 to 7 typical improvements.
SURE = 0.88
MOST_LOOKS, MOST_UNPROVEN_LOOKS = 8, 32
HIDDEN = 2.4  # widths of so many typical improvements hide effects of the usual size
LEAST_LOSS = 0.1  # of a typical improvement: what one simplification may lose
ALLOWANCE = 0.5  # of a typical improvement: what all simplifications of a campaign may lose together


FINE = 3.0  # a gain of fewer steps of the score than this must have shown itself in `STEADY_LOOKS`
UNMOVED_RUNS = 3  # so many equal scores at different times show that the machine has no part in them
MOST_FAILURES = 3  # a repeat that ends so often without a score is given up


def decide(evidence: Evidence) -> Verdict:
    """The verdict on one candidate."""
    verdict = _decided(evidence)
    return _superseded(evidence, verdict) if evidence.superseded else verdict


def _superseded(given: Evidence, verdict: Verdict) -> Verdict:
    """The verdict on a candidate whose beginnings are the incumbent no more: at best its change is tried once again.

    Compared with what it began from it shows what its change does there, and a change that is not worth another look
    there is not worth one here. But to keep it as it is would take back what was kept since, and nobody measured the
    two together; so that is what is measured next, beside the present incumbent and on a seed that did not choose it.
    """
    if verdict.decision is Decision.DISCARD:
        return verdict
    if given.attempts_left < 1:
        said = "Discard: another experiment was kept since, and no attempt is left to measure this change on top of it."
        return replace(verdict, decision=Decision.DISCARD, code="superseded", reason=said, label=None, orders=())
    said = "Rebase: another experiment was kept since, so this change is made on top of it and measured there."
    found = "" if verdict.gain is None else f" Where it began it gained {verdict.gain:+.3g}."
    return replace(
        verdict, decision=Decision.REBASE, code="rebased", reason=f"{said}{found}", label=None, lost=0.0, orders=()
    )


def _decided(evidence: Evidence) -> Verdict:
    """The verdict on one candidate against what it is compared with."""
    if evidence.front is not None:
        name, others = evidence.front
        main = _decided(replace(evidence, front=None))
        return step(name, evidence, main, {key: _decided(one) for key, one in others.items()})
    refusal = _unusable(evidence)
    if refusal is not None:
        return refusal
    case = Case.of(evidence)
    verdict = _taken_back(case) if evidence.takes_back else _weighed(case)
    verdict = _simpler(case, verdict)
    if evidence.broken and verdict.code != "touches_luck":
        return case.verdict(Decision.DISCARD, "bound_broken", " ".join(evidence.broken), plain=True)
    if evidence.unsure and verdict.decision is Decision.KEEP:
        verdict = _guarded(case)
    # where equal code scored the very same at several times, the machine does not move the score
    if case.comparison is Comparison.APART and evidence.equal < UNMOVED_RUNS:
        verdict = _moved(case, verdict)
    if evidence.awaited and not evidence.beside:
        said = "the incumbent is being measured again, and this is judged beside it"
        return replace(case.verdict(Decision.CONFIRM, "awaits_incumbent", said), orders=())
    if any(evidence.failed.get((one.who, one.seed), 0) >= MOST_FAILURES for one in verdict.orders):
        said = f"a run that the verdict needs came to nothing {MOST_FAILURES} times"
        # what was compared without it was not to be believed, so the night proves nothing by it
        return replace(case.verdict(Decision.DISCARD, "not_repeated", said), evidence=min(case.evidence, 1.0))
    return verdict


def _guarded(case: Case) -> Verdict:
    """The verdict on what would be kept, did noise not hide whether a guard holds: one more look, or none."""
    said, orders = " ".join(case.given.unsure), _again(case)
    if orders and case.count < MOST_LOOKS:
        return case.verdict(Decision.CONFIRM, "guard_unsure", f"{said} One more look tells.", orders, plain=True)
    return case.verdict(Decision.DISCARD, "guard_unsure", said, plain=True)


def _weighed(case: Case) -> Verdict:
    given, gain = case.given, case.gain
    if given.touched:
        what = " and ".join(sorted(given.touched))
        said = f"it changes {what}, so its score alone can never keep it"
        return case.verdict(Decision.DISCARD, "touches_luck", said)
    enough = case.count > 1 or given.policy.confirm != "always"
    good = gain > max(given.policy.min_delta, 0.0) and case.worth > 0.0 and case.probability >= given.policy.least
    good = good and case.holds
    sure = case.widths * case.belief.width >= SURE * case.belief.width**2 / case.typical
    orders = _again(case)
    wanted = _wants_look(case, good, sure and enough)
    if gain > max(given.policy.min_delta, 0.0) and not case.measured and given.policy.confirm != "never":
        who = "a second slot of this code tells it" if given.paired else "the incumbent is run again"
        said = f"the noise was never measured, and {who} before this is judged"
        again = orders if given.paired else (Order(Who.INCUMBENT, given.repeat_seed, Purpose.REPEAT),)
        if given.runs_left >= 1 and again:
            return case.verdict(Decision.CONFIRM, "noise_unmeasured", said, again)
    if gain > max(given.policy.min_delta, 0.0) and enough and case.exact and not case.spread:
        if gain > FINE * given.grain or case.count >= STEADY_LOOKS or not orders:
            return _exactly_better(case)
        said = "a gain of a few steps of the score may be a run that rounds otherwise, so it is asked to repeat itself"
        return case.verdict(Decision.CONFIRM, "needs_repeat", said, orders)
    # an arena that wants no repeats gets what one look says, a probability, and no promise
    settled = given.policy.confirm == "never" or (enough and case.proven and case.measured)
    if good and settled and (sure or not (orders and wanted)):
        return case.verdict(Decision.KEEP, "gain", "it clears the bar")
    if wanted and orders:
        return case.verdict(Decision.CONFIRM, *_doubt(case), orders)
    unsteady = given.equal and not case.steady and case.holds and not case.exhausted
    if gain > max(given.policy.min_delta, 0.0) and unsteady and orders:
        said = "every repeat so far was equal, so one more tells whether there is any noise"
        return case.verdict(Decision.CONFIRM, "needs_repeat", said, orders)
    return case.verdict(Decision.DISCARD, *_no(case, good))


def _exactly_better(case: Case) -> Verdict:
    """A keep where equal code has always scored the same: there is no luck, so every gain is one, however small.

    Without this rule a campaign whose gains have shrunk to the guess of a noise that is not there would keep nothing
    any more; and a few equal repeats prove nothing, for coarse scores are often equal.
    """
    said = f"in {case.given.equal} runs equal code never scored otherwise, so this is better"
    kept = case.verdict(Decision.KEEP, "gain", said)
    proof = max(case.evidence, PROVEN)
    return replace(kept, label=Label.CONFIRMED, probability=1.0, believed=case.gain, evidence=proof)


def _wants_look(case: Case, good: bool, sure: bool) -> bool:
    """Whether one more look at this candidate is worth a run, if one can be had."""
    if case.widths < DROP or case.gain + case.belief.width <= case.given.policy.min_delta or case.exhausted:
        return False
    if not case.proven or not case.measured:
        least = PROMISING if case.widths < STRIKING else PROMISING_STRIKING
        likely = case.probability >= least * case.given.policy.effects.improving
        return likely and case.count < MOST_UNPROVEN_LOOKS
    return not sure and case.count < MOST_LOOKS and (good or case.probability >= case.given.policy.effects.improving)


def _again(case: Case) -> tuple[Order, ...]:
    """The runs of one more look; none where they cannot be afforded or the arena wants none."""
    given = case.given
    if given.policy.confirm == "never" or (given.paired and given.died >= MOST_FAILURES):
        return ()
    missing = [] if given.paired else sorted(given.incumbent.keys() - given.candidate.keys())
    # a seed on which the incumbent never comes to a score would end every later candidate too
    barren = [seed for (who, seed), times in given.failed.items() if who is Who.INCUMBENT and times >= MOST_FAILURES]
    seed = missing[0] if missing else max((*given.candidate, *given.incumbent, *barren)) + 1
    orders = [Order(Who.CANDIDATE, seed, Purpose.CONFIRM)]
    # where a shared seed says nothing, only the side with fewer runs gains much by one more; but before anything is
    # proven all candidates are compared with one baseline, whose bad luck would look like many good ideas
    helps = given.correlation > 0.0 or not case.proven or len(given.incumbent) <= len(given.candidate)
    if not given.paired and seed not in given.incumbent and helps:
        orders.append(Order(Who.INCUMBENT, seed, Purpose.CONFIRM))
    return tuple(orders) if given.runs_left >= len(orders) else ()


def _doubt(case: Case) -> tuple[str, str]:
    if not case.proven:
        return "unproven", "promising, but nothing is proven yet in this campaign, so it is asked to repeat itself"
    if case.ratio >= HIDDEN:
        return "hidden_by_noise", "noise hides effects of the usual size, so only what repeats itself counts"
    return "needs_repeat", "promising, but noise could explain it"


def _no(case: Case, good: bool) -> tuple[str, str]:
    """Why it is not kept: (code, sentence)."""
    gain, least = case.gain, case.given.policy.min_delta
    if gain <= 0.0:
        return ("worse" if gain < 0.0 else "no_gain"), "not better than the incumbent"
    if gain <= least:
        return "below_min_delta", f"gains up to {least:.3g} are no gains here"
    if not case.holds or case.exhausted:
        return (
            "within_units",
            "the examples agree too little to say that it holds on others; more of them would tell",
        )
    if good and not case.proven:
        return "unproven", "not surely enough better for the first keep of a campaign, and no further look would tell"
    if case.ratio >= HIDDEN:
        needed = max(2, math.ceil((2.5 * case.ratio) ** 2))
        return "hidden_by_noise", f"noise hides effects of the usual size; about {needed} looks would show one"
    if case.count > 1:
        return "not_repeated", "the gain did not repeat itself clearly enough"
    return "within_noise", "noise explains a gain of this size"


def _taken_back(case: Case) -> Verdict:
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


def _simpler(case: Case, verdict: Verdict) -> Verdict:
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


def _moved(case: Case, verdict: Verdict) -> Verdict:
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
            order = Order(Who.INCUMBENT, min(given.candidate), Purpose.ANCHOR)
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
            return Verdict(
                Decision.CONFIRM, "tainted", said, orders=(Order(Who.CANDIDATE, given.retry, Purpose.RETRY),)
            )
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
    if given.paired and given.died < MOST_FAILURES:  # from then on it is compared as a run that was alone
        seed = max((*given.candidate, *given.incumbent)) + 1
        said = "Confirm: it has no slot in which this incumbent has a score, so one more beside it decides."
        order = Order(Who.CANDIDATE, seed, Purpose.CONFIRM)
    elif given.takes_back and not given.candidate.keys() & given.incumbent.keys():
        said = "Confirm: the present code has not run on this seed yet."
        order = Order(Who.INCUMBENT, min(given.candidate), Purpose.CONFIRM)
    elif not given.incumbent:
        said = "Confirm: the incumbent has no score to compare with, so it is run on the candidate's seed."
        order = Order(Who.INCUMBENT, min(given.candidate), Purpose.CONFIRM)
    else:
        return None
    if given.runs_left >= 1 and given.failed.get((order.who, order.seed), 0) < MOST_FAILURES:
        return Verdict(Decision.CONFIRM, "no_incumbent", said, orders=(order,))
    said = "Discard: the incumbent has no score to compare with, and no run is left to get one."
    return Verdict(Decision.DISCARD, "no_incumbent", said)
