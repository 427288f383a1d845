"""The rule judged by its own promises: properties first, then a table of each way a verdict can go."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Callable
from dataclasses import asdict, replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mcp_server.judging.belief import Widths
from mcp_server.judging.decide import ALLOWANCE, decide
from mcp_server.judging.drift import Conditions, Scatter
from mcp_server.judging.effects import Effects
from mcp_server.judging.verdict import (
    Bound,
    Comparison,
    Decision,
    Evidence,
    Label,
    Order,
    Policy,
    Record,
    Who,
    broken_bounds,
)

# a busy machine makes no property false
untimed = settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.too_slow])
PROVEN = Record(5.0, True)


def widths(sd: float, degrees: int = 40, typical: float = 0.0015) -> Widths:
    return Widths.unknown(Effects(typical=typical)).measured(degrees * sd * sd, degrees)


def slots(*gains: float, sd: float = 2e-4, **more: Any) -> Evidence:
    """A candidate that gained so much in so many slots of a night in which something was proven already."""
    given: dict[str, Any] = {"widths": widths(sd), "record": PROVEN, "paired": True, "incumbent": {0: -1.0}, **more}
    candidate = {seed: gain - 1.0 for seed, gain in enumerate(gains)}
    return Evidence(candidate=candidate, beside=dict.fromkeys(candidate, -1.0), **given)


def apart(*gains: float, sd: float = 2e-4, **more: Any) -> Evidence:
    candidate = {seed: gain - 1.0 for seed, gain in enumerate(gains)}
    given: dict[str, Any] = {"widths": widths(sd), "record": PROVEN, "candidate": candidate, **more}
    return Evidence(incumbent={0: -1.0}, **given)


# ---- properties ----

gains = st.lists(st.floats(-0.05, 0.05), min_size=1, max_size=4)
sds = st.sampled_from([1e-5, 2e-4, 1e-3, 3e-3, 1e-2])
records = st.sampled_from([Record(), PROVEN, Record(-3.0)])
RANK = {Decision.DISCARD: 0, Decision.CONFIRM: 1, Decision.KEEP: 2}


@untimed
@given(st.floats(-0.05, 0.05), sds, records, st.floats(0, 0.05))
def test_a_better_score_never_makes_a_worse_verdict(gain: float, sd: float, record: Record, more: float) -> None:
    before, after = (decide(slots(one, sd=sd, record=record)) for one in (gain, gain + more))
    assert RANK[after.decision] >= RANK[before.decision]
    assert after.probability is not None
    assert before.probability is not None
    assert after.probability >= before.probability - 1e-9


@untimed
@given(gains, sds, records, st.sampled_from([1e-4, 1.5e-3, 0.05]), st.sampled_from([1e-3, 5000.0, 1e8]))
def test_a_score_in_other_units_gets_the_same_verdict(
    some: list[float], sd: float, record: Record, typical: float, unit: float
) -> None:
    ours = decide(slots(*some, widths=widths(sd, typical=typical), policy=Policy(Effects(typical)), record=record))
    candidate = {seed: (gain - 1.0) * unit for seed, gain in enumerate(some)}
    theirs = decide(
        Evidence(
            candidate=candidate,
            incumbent={0: -unit},
            beside=dict.fromkeys(candidate, -unit),
            widths=widths(sd * unit, typical=typical * unit),
            policy=Policy(Effects(typical * unit)),
            record=record,
            paired=True,
        )
    )
    assert theirs.probability == pytest.approx(ours.probability, abs=1e-3)
    if all(abs(gain) > 1e-9 for gain in some):
        assert (theirs.decision, theirs.label) == (ours.decision, ours.label)


@untimed
@given(
    st.lists(st.floats(-1e99, 1e99), min_size=1, max_size=3),
    st.floats(0, 1e99),
    st.integers(0, 3),
    st.floats(0, 1e99),
    records,
)
def test_the_numbers_of_a_verdict_can_be_said_and_stored_however_wild_they_are(
    some: list[float], squares: float, degrees: int, typical: float, record: Record
) -> None:
    effects = Effects(typical=typical)
    known = Widths.unknown(effects).measured(squares, degrees)
    candidate = dict(enumerate(some))
    evidence = Evidence(
        candidate, {0: 1.0}, known, beside=dict.fromkeys(candidate, 1.0), policy=Policy(effects), record=record
    )
    verdict = decide(evidence)
    json.dumps(
        {name: value for name, value in asdict(verdict).items() if name not in ("orders", "behind")}, allow_nan=False
    )
    json.dumps(verdict.interval, allow_nan=False)
    assert verdict.reason.endswith(".")
    assert 0.0 <= (verdict.probability or 0.0) <= 1.0


@pytest.mark.parametrize("nothing", [math.nan, math.inf, -math.inf, 1e200])
@pytest.mark.parametrize("whose", ["candidate", "incumbent", "beside"])
def test_what_is_no_number_is_never_kept(nothing: float, whose: str) -> None:
    verdict = decide(replace(slots(0.1), **{whose: {0: nothing}}))
    assert (verdict.decision, verdict.label, verdict.code) == (Decision.DISCARD, None, "not_a_number")


@untimed
@given(sds, st.integers(0, 40), records)
def test_an_equal_score_is_never_kept(sd: float, degrees: int, record: Record) -> None:
    assert decide(slots(0.0, widths=widths(sd, degrees), record=record)).decision is Decision.DISCARD


# ---- the table: what is measured, and what comes of it ----

SAID = {
    "one look settles what is far beyond the noise": (slots(0.003), "keep", "gain"),
    "a gain inside the noise is none": (slots(0.00004), "discard", "within_noise"),
    "a loss is a loss": (slots(-0.003), "discard", "worse"),
    "an equal score is no gain": (slots(0.0), "discard", "no_gain"),
    "where noise rivals the effects one look more is asked": (slots(0.003, sd=3e-3), "confirm", "needs_repeat"),
    "where it hides them the reason says so": (slots(0.005, sd=6e-3), "confirm", "hidden_by_noise"),
    "nothing is kept before anything is proven": (slots(0.0006, record=Record()), "confirm", "unproven"),
    "what proves itself is kept": (slots(*[0.003] * 3, record=Record()), "keep", "gain"),
    "noise that was never measured is measured first": (
        slots(0.1, widths=Widths.unknown(Effects())),
        "confirm",
        "noise_unmeasured",
    ),
    "a loss needs no noise": (slots(-0.1, widths=Widths.unknown(Effects())), "discard", "worse"),
    "an edit of luck is never kept": (slots(0.1, touched=("seeding",)), "discard", "touches_luck"),
    "a broken bound outweighs a gain": (slots(0.1, broken=("size is 9, above 5.",)), "discard", "bound_broken"),
    "a gain under the least one is none": (slots(0.01, policy=Policy(min_delta=0.02)), "discard", "below_min_delta"),
    "an arena may always want a repeat": (slots(0.01, policy=Policy(confirm="always")), "confirm", "needs_repeat"),
    "an arena may never want one": (slots(0.0005, sd=3e-3, policy=Policy(confirm="never")), "discard", "within_noise"),
    "without a run left a doubt is a no": (slots(0.0005, sd=3e-3, runs_left=0), "discard", "within_noise"),
    "shorter and no worse is kept": (slots(-0.00005, saved=30), "keep", "simpler"),
    "longer and no better is not": (slots(-0.00005, saved=-30), "discard", "worse"),
    "shorter and worse is not": (slots(-0.001, saved=30), "discard", "worse"),
    "the allowance for such losses ends": (
        slots(-0.00005, saved=30, record=Record(5.0, True, ALLOWANCE * 0.0015)),
        "discard",
        "allowance_spent",
    ),
    "shorter does not mend a broken bound": (
        slots(0.0, saved=9, broken=("A check failed.",)),
        "discard",
        "bound_broken",
    ),
    "an incumbent that is being measured is waited for": (apart(0.01, awaited=True), "confirm", "awaits_incumbent"),
    "in one slot nothing is waited for": (slots(0.01, awaited=True), "keep", "gain"),
    "a load beside it decides nothing": (slots(0.1, tainted=("3 cores",), retry=0), "confirm", "tainted"),
    "and is not repeated for ever": (slots(0.1, tainted=("3 cores",) * 4), "discard", "tainted"),
    "another device has the incumbent run again": (
        apart(0.01, now=Conditions("b"), then=Conditions("a")),
        "confirm",
        "device_changed",
    ),
    "a faster machine that explains a win as well": (
        apart(0.0011, now=Conditions(pace=1.027), then=Conditions(pace=1.0)),
        "confirm",
        "steps_changed",
    ),
    "once it was run again the verdict falls": (
        apart(0.01, now=Conditions("b"), then=Conditions("a"), anchored=True),
        "keep",
        "gain",
    ),
    "in one slot the machine has no say": (slots(0.01, now=Conditions("b"), then=Conditions("a")), "keep", "gain"),
    "a loss that the machine explains is none": (
        apart(-0.004, now=Conditions(pace=0.9), then=Conditions(pace=1.0), scatter=Scatter(pace=0.03)),
        "discard",
        "machine_moved",
    ),
    "a repeat that failed three times is given up": (
        slots(0.003, sd=3e-3, failed={(Who.CANDIDATE, 1): 3}),
        "discard",
        "not_repeated",
    ),
    "without a score nothing is kept": (Evidence({}, {0: 1.0}, widths(1e-3)), "discard", "no_score"),
    "without an incumbent's score it is run": (Evidence({3: 1.0}, {}, widths(1e-3)), "confirm", "no_incumbent"),
    "a slot beside an earlier incumbent is not enough": (
        Evidence({0: 1.0}, {0: 0.5}, widths(1e-3), paired=True, record=PROVEN),
        "confirm",
        "no_incumbent",
    ),
    "nor does an incumbent that dies in every slot hold it for ever": (
        Evidence({0: 1.0, 1: 1.0}, {0: 0.5}, widths(1e-3), paired=True, died=3, record=PROVEN),
        "keep",
        "gain",
    ),
    "a change taken back that was worth something stays": (slots(-0.01, takes_back=True), "discard", "worse"),
    "one that was not goes": (slots(0.0, takes_back=True), "keep", "simpler"),
    "and in doubt it is run again": (slots(-0.001, sd=2e-3, takes_back=True), "confirm", "needs_repeat"),
}


@pytest.mark.parametrize("what", SAID)
def test_what_is_measured_decides(what: str) -> None:
    evidence, decision, code = SAID[what]
    verdict = decide(evidence)
    assert (str(verdict.decision), verdict.code) == (decision, code), verdict.reason


def test_a_pair_costs_one_run_and_a_comparison_apart_a_shared_seed_first() -> None:
    assert decide(slots(0.003, sd=3e-3)).orders == (Order(Who.CANDIDATE, 1, "confirm"),)
    doubt = apart(0.003, sd=3e-3, correlation=0.8)
    assert decide(doubt).orders == (Order(Who.CANDIDATE, 1, "confirm"), Order(Who.INCUMBENT, 1, "confirm"))
    known = replace(doubt, incumbent={0: -1.0, 4: -1.0, 2: -1.0})
    assert decide(known).orders == (Order(Who.CANDIDATE, 2, "confirm"),)


def test_a_seed_on_which_the_incumbent_never_scores_is_passed_over() -> None:
    doubt = apart(0.003, sd=3e-3, correlation=0.8, failed={(Who.INCUMBENT, 1): 3})
    assert {(order.who, order.seed) for order in decide(doubt).orders} == {(Who.CANDIDATE, 2), (Who.INCUMBENT, 2)}


def test_what_could_not_be_compared_as_it_should_proves_nothing_for_the_night() -> None:
    moved = apart(0.1, 0.1, now=Conditions("b"), then=Conditions("a"), record=Record())
    asked = decide(moved)
    given_up = decide(replace(moved, failed={(order.who, order.seed): 3 for order in asked.orders}))
    assert (asked.code, asked.evidence > 50.0 if asked.evidence else None) == ("device_changed", True)
    assert (given_up.decision, given_up.evidence) == (Decision.DISCARD, 1.0)


@pytest.mark.parametrize("look", [slots, apart])
def test_one_run_that_went_astray_proves_nothing_and_two_that_agree_do(look: Callable[..., Evidence]) -> None:
    assert decide(look(0.1, record=Record())).evidence == 1.0
    assert decide(look(0.1, 0.0, record=Record())).evidence == 1.0
    once, twice = decide(look(0.004, record=Record())), decide(look(0.004, 0.005, record=Record()))
    assert (once.decision, once.code) == (Decision.CONFIRM, "unproven")
    assert twice.evidence is not None
    assert twice.evidence > 50.0
    assert twice.decision is Decision.KEEP


def test_what_speaks_against_a_code_counts_whole() -> None:
    assert (decide(slots(-0.004, record=Record())).evidence or 1.0) <= 1.0
    less = decide(slots(0.0, 0.0, 0.0, sd=1e-3, record=Record())).evidence
    assert less is not None
    assert less < 1.0


def test_one_run_is_never_called_confirmed_and_a_repeated_gain_is() -> None:
    assert decide(slots(0.1)).label is Label.PROVISIONAL
    assert decide(slots(0.01, 0.011, 0.0102, record=Record())).label is Label.CONFIRMED


def test_a_verdict_says_how_it_was_compared_and_within_what_the_true_gain_lies() -> None:
    verdict = decide(slots(0.003))
    assert verdict.interval is not None
    low, high = verdict.interval
    assert verdict.comparison is Comparison.SLOT
    assert low < 0.003 < high
    assert 0.0003 < high - low < 0.0012
    assert decide(apart(0.003)).comparison is Comparison.APART


# ---- nonsense on any scale ----


@pytest.mark.parametrize(
    ("score", "sd"), [(1.0, 0.0015), (5000.0, 20.0), (1e-3, 1e-5), (-3.0, 0.1), (0.0, 20.0), (1e-9, 1.0), (0.0, 1e-6)]
)
def test_edits_that_change_nothing_are_not_kept_on_any_scale_while_the_noise_is_hardly_known(
    score: float, sd: float
) -> None:
    """Calibration and first edit as a lab has them: two pairs of the baseline with itself, then one null edit."""
    draw, kept, certain, confirmed = random.Random(4), 0, 0, 0
    typical = 0.0015 * (abs(score) or 1.0)
    for _ in range(400):
        known = Widths.unknown(Effects(typical)).measured(sum(draw.gauss(0, 1.414 * sd) ** 2 for _ in range(2)), 2)
        candidate: dict[int, float] = {}
        beside: dict[int, float] = {}
        while True:
            seed = len(candidate)
            candidate[seed], beside[seed] = score + draw.gauss(0, sd), score + draw.gauss(0, sd)
            verdict = decide(
                Evidence(candidate, {0: score}, known, beside=beside, paired=True, policy=Policy(Effects(typical)))
            )
            certain += (verdict.probability or 0.0) > 0.99 and verdict.decision is Decision.KEEP
            if verdict.decision is not Decision.CONFIRM:
                break
        kept += verdict.decision is Decision.KEEP
        confirmed += verdict.label is Label.CONFIRMED
    assert kept <= 0.05 * 400
    assert confirmed <= 4  # 0.4 % of 400 is 1.6; luck may double it
    assert certain <= 4


# ---- luck has its price ----


def test_a_run_that_was_called_off_counts_as_a_bad_look() -> None:
    once, again = decide(slots(0.0008)), decide(slots(0.0008, called_off=1))
    assert (once.decision, again.decision) == (Decision.KEEP, Decision.DISCARD)
    assert again.gain == once.gain
    assert (again.probability or 1.0) < 0.5 * (once.probability or 0.0)
    assert "count as bad looks: 1" in again.reason


def test_calling_off_whatever_is_unlucky_brings_no_keep_in_a_night_in_which_nothing_helps() -> None:
    draw, sd, kept = random.Random(11), 1e-3, 0
    for _ in range(300):
        known = Widths.unknown(Effects()).measured(sum(draw.gauss(0, 1.414 * sd) ** 2 for _ in range(2)), 2)
        candidate: dict[int, float] = {}
        called_off = 0
        while True:
            for look in range(3):
                gain = draw.gauss(0, 1.414 * sd)
                if gain > 0.0 or look == 2:
                    break
                called_off += 1
            candidate[len(candidate)] = gain
            beside = dict.fromkeys(candidate, 0.0)
            verdict = decide(Evidence(candidate, {0: 0.0}, known, beside=beside, paired=True, called_off=called_off))
            if verdict.decision is not Decision.CONFIRM:
                break
        kept += verdict.decision is Decision.KEEP
    assert kept <= 3


# ---- bounds ----


@pytest.mark.parametrize(
    ("value", "holds"), [(5.0, True), (5.1, False), (1.0, True), (0.9, False), (math.nan, False), (None, False)]
)
def test_a_bound_holds_or_is_named(value: float | None, holds: bool) -> None:
    measured = {} if value is None else {"latency_ms": value}
    said = broken_bounds(measured, {"latency_ms": Bound(min=1.0, max=5.0)})
    assert (said == ()) == holds
    assert all("latency_ms" in one for one in said)


# ---- an arena without noise ----

TINY = 1e-9  # of a gain, where a typical one is a million times larger


def test_where_equal_code_never_scored_otherwise_the_smallest_gain_is_kept() -> None:
    verdict = decide(apart(TINY, sd=1e-3, record=Record(), equal=12))
    assert (verdict.decision, verdict.label, verdict.probability) == (Decision.KEEP, Label.CONFIRMED, 1.0)
    assert verdict.believed == pytest.approx(TINY)
    assert Record().after(verdict.evidence).proven


def test_a_few_equal_runs_prove_nothing_but_one_more_is_asked_for() -> None:
    verdict = decide(apart(TINY, sd=1e-3, equal=3))
    assert (verdict.decision, verdict.code) == (Decision.CONFIRM, "needs_repeat")
    assert [order.who for order in verdict.orders][:1] == [Who.CANDIDATE]


def test_where_two_equal_runs_have_differed_such_a_gain_is_noise() -> None:
    assert decide(apart(TINY, sd=1e-3, equal=0)).decision is Decision.DISCARD


def test_without_noise_a_loss_is_a_loss_and_a_machine_that_moved_changes_nothing() -> None:
    assert decide(apart(-TINY, equal=12)).decision is Decision.DISCARD
    slower = {"now": Conditions("cpu", None, 1.0, 50.0), "then": Conditions("cpu", None, 1.0, 100.0)}
    assert decide(apart(TINY, equal=12, **slower)).decision is Decision.KEEP
    assert decide(apart(0.01, equal=3, **slower)).decision is Decision.KEEP


@pytest.mark.parametrize(
    ("evidence", "decision"),
    [
        (slots(0.002, 0.002), "rebase"),  # it would be kept
        (slots(0.0009, sd=1e-3), "rebase"),  # it would be asked to repeat itself
        (slots(0.0, saved=40), "rebase"),  # shorter and no worse
        (apart(0.002), "rebase"),
        (slots(-0.002), "discard"),
        (slots(0.002, touched=("the seed",)), "discard"),
        (slots(0.002, 0.002, attempts_left=0), "discard"),
        (slots(0.002, 0.002, runs_left=0), "rebase"),
    ],
)
def test_what_began_from_a_former_incumbent_is_never_kept_as_it_is(evidence: Evidence, decision: str) -> None:
    verdict = decide(replace(evidence, superseded=True))
    assert (verdict.decision, verdict.orders, verdict.label) == (decision, (), None)
    assert verdict.evidence == decide(evidence).evidence  # what it showed where it began counts for the night


@untimed
@given(gains, sds, records, st.booleans())
def test_what_is_worth_no_look_where_it_began_is_worth_none_elsewhere(
    found: list[float], sd: float, record: Record, simplicity: bool
) -> None:
    evidence = slots(*found, sd=sd, record=record, simplicity=simplicity)
    here, there = decide(evidence), decide(replace(evidence, superseded=True))
    assert (there.decision is Decision.DISCARD) == (here.decision is Decision.DISCARD)
