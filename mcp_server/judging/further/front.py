"""Several primary metrics without weights: what one verdict is made of theirs. Pure.

Each metric is judged by itself, by the same rule. A keep is a step on the Pareto front of the incumbent: surely better
in one metric at least, and surely worse in none. What trades one for another is no step, for nobody said what one is
worth in the other; it stays on the front that the report draws.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

from mcp_server.judging.verdict import Decision, Evidence, Label, Verdict

OVERRULE = (
    *("bound_broken", "guard_unsure", "touches_luck", "tainted", "no_score", "not_a_number", "no_incumbent"),
    "awaits_incumbent",
)
BACK = (Decision.DISCARD, Decision.CONFIRM, Decision.KEEP)  # what takes a change back may do so in every metric


def step(name: str, given: Evidence, main: Verdict, others: Mapping[str, Verdict]) -> Verdict:
    """One verdict of several. name: of the metric that `main` is about; what overrules there does so here."""
    if main.gain is None:
        return main
    all_of = {name: main, **others}
    # The average of bets is a bet, but only if it is the same average whatever came out: who took one bet where a bound
    # was broken and another where it held would choose among them by the result. A metric without a number wins none.
    evidence = math.fsum(_won(verdict) for verdict in all_of.values()) / len(all_of)
    if main.code in OVERRULE:
        return replace(main, evidence=evidence)
    plain = replace(main, evidence=evidence, label=None, orders=())
    unmeasured = [one for one, verdict in others.items() if verdict.gain is None]
    if unmeasured:
        first = others[unmeasured[0]]
        words = f"Discard: {_and(unmeasured)} has no number on both sides, so nobody can say that it is no worse."
        code = first.code if first.decision is Decision.DISCARD else "no_incumbent"
        return replace(plain, decision=Decision.DISCARD, code=code, reason=words)
    if given.takes_back:
        least = min(all_of.values(), key=lambda one: BACK.index(one.decision))
        taken = replace(main, decision=least.decision, code=least.code, reason=least.reason, evidence=evidence)
        return replace(taken, label=least.label, orders=least.orders)
    simpler = main.label is Label.SIMPLIFICATION  # no better, and kept unless another metric speaks against it
    kept = [one for one, verdict in all_of.items() if verdict.decision is Decision.KEEP]
    better = [one for one in kept if one != name or not simpler]
    worse = [one for one, verdict in all_of.items() if _surely_worse(verdict)]
    asked = {(order.who, order.seed): order for verdict in all_of.values() for order in verdict.orders}
    said = ", ".join(f"{one} {verdict.gain or 0.0:+.3g}" for one, verdict in all_of.items())
    gaining = better or [one for one, verdict in all_of.items() if verdict.decision is Decision.CONFIRM]
    if gaining and worse:
        words = f"Discard: better in {_and(gaining)} and worse in {_and(worse)} ({said}): a trade, and no step for all."
        return replace(plain, decision=Decision.DISCARD, code="trade_off", reason=words)
    if worse:
        words = f"Discard: worse in {_and(worse)} ({said})."
        return replace(plain, decision=Decision.DISCARD, code="worse", reason=words)
    if better and not _proven(given, evidence, [all_of[one] for one in better]):
        words = f"Discard: {_and(better)} may be better, but over all metrics nothing is proven yet ({said})."
        return replace(plain, decision=Decision.DISCARD, code="unproven", reason=words)
    if better:
        words = f"Keep: a step on the Pareto front, better in {_and(better)} and surely worse in none ({said})."
        sure = all(all_of[one].label is Label.CONFIRMED for one in better)
        label = Label.CONFIRMED if sure else Label.PROVISIONAL
        return replace(plain, decision=Decision.KEEP, code="gain", reason=words, label=label)
    if asked:
        words = f"Confirm: promising in {_and([one for one, verdict in all_of.items() if verdict.orders])} ({said})."
        return replace(
            plain, decision=Decision.CONFIRM, code="needs_repeat", reason=words, orders=tuple(asked.values())
        )
    if simpler:
        return replace(main, evidence=evidence)
    words = f"Discard: surely better in none of {_and(list(all_of))} ({said})."
    code = main.code if main.decision is Decision.DISCARD else "within_noise"
    return replace(plain, decision=Decision.DISCARD, code=code, reason=words)


def _won(verdict: Verdict) -> float:
    """What the bet on one metric came to."""
    return 0.0 if verdict.gain is None else 1.0 if verdict.evidence is None else verdict.evidence


def _proven(given: Evidence, evidence: float, better: list[Verdict]) -> bool:
    """Whether the night has shown that anything helps, by the average of the bets on all metrics.

    Nothing has to be shown where there is no luck, or where the arena wants no repeats and nothing is promised.
    """
    exact = any(verdict.probability == 1.0 for verdict in better)
    return exact or given.policy.confirm == "never" or given.record.after(evidence).proven


def _surely_worse(verdict: Verdict) -> bool:
    """Whether the whole interval lies below nothing, and not by what the machine moved."""
    edges = verdict.interval
    return edges is not None and edges[1] < 0.0 and not verdict.within_machine


def _and(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
