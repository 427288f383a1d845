"""The referee judged by its own promises: properties first, then each way a verdict can go."""

from __future__ import annotations

import math

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mcp_server.belief import Effects
from mcp_server.noise import Measured, estimate
from mcp_server.referee import (
    Bound,
    Decision,
    KeepPolicy,
    Noise,
    Verdict,
    broken_bounds,
    guarded,
    judge,
    lower_is_better,
    simplification,
)

scores = st.dictionaries(st.integers(0, 6), st.floats(0.9, 1.1), min_size=1, max_size=5)
noises = st.builds(
    Noise,
    sd=st.sampled_from([0.0, 1e-5, 1e-4, 2e-4, 7e-4, 1e-3, 2e-3, 3e-3, 1e-2, 0.1]),
    runs=st.integers(0, 20),
    paired_sd=st.sampled_from([None, 1e-5, 3e-4, 2e-3]),
)
policies = st.builds(
    KeepPolicy,
    min_delta=st.sampled_from([0.0, 1e-4, 1e-2]),
    confirm=st.sampled_from(["auto", "always", "never"]),
    effects=st.builds(Effects, typical=st.sampled_from([1e-4, 1.5e-3, 0.05])),
)
left = st.one_of(st.none(), st.integers(0, 130))
# a busy machine makes no property false
untimed = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
RANK = {Decision.DISCARD: 0, Decision.CONFIRM: 1, Decision.KEEP: 2}
QUIET = Noise(sd=1e-4, runs=8)
LOUD = Noise(sd=2e-3, runs=8)
AUTO = KeepPolicy()


@untimed
@given(scores, scores, noises, policies, left)
def test_the_direction_of_the_metric_changes_nothing(ours, theirs, noise, policy, runs) -> None:
    verdict = judge(lower_is_better(ours, "minimize"), lower_is_better(theirs, "minimize"), noise, policy, runs)
    ours, theirs = {s: -v for s, v in ours.items()}, {s: -v for s, v in theirs.items()}
    mirrored = judge(lower_is_better(ours, "maximize"), lower_is_better(theirs, "maximize"), noise, policy, runs)
    assert mirrored == verdict


@untimed
@given(scores, scores, noises, policies, left, st.data())
def test_a_better_score_never_makes_a_worse_verdict(ours, theirs, noise, policy, runs, data) -> None:
    seed = data.draw(st.sampled_from(sorted(ours)))
    better = ours | {seed: ours[seed] - data.draw(st.floats(0, 0.1))}
    before, after = (judge(scores, theirs, noise, policy, runs) for scores in (ours, better))
    assert RANK[after.decision] >= RANK[before.decision]
    assert after.probability >= before.probability - 1e-9


@untimed
@given(
    scores,
    scores,
    noises,
    policies,
    left,
    st.sampled_from([math.nan, math.inf, -math.inf, None]),
    st.booleans(),
    st.data(),
)
def test_what_is_no_number_is_never_kept(ours, theirs, noise, policy, runs, nothing, candidate, data) -> None:
    broken = ours if candidate else theirs
    broken[data.draw(st.sampled_from(sorted(broken)))] = nothing
    verdict = judge(ours, theirs, noise, policy, runs)
    assert (verdict.decision, verdict.label, verdict.code) == (Decision.DISCARD, None, "not_a_number")


@untimed
@given(scores, noises, policies, left)
def test_nothing_is_kept_without_scores_on_both_sides(some, noise, policy, runs) -> None:
    assert judge({}, some, noise, policy, runs).decision is Decision.DISCARD
    assert judge({}, {}, noise, policy, runs).decision is Decision.DISCARD
    assert judge(some, {}, noise, policy, runs).decision is not Decision.KEEP


wide = st.dictionaries(st.integers(0, 4), st.floats(-1e99, 1e99), min_size=1, max_size=4)
widths = st.one_of(st.none(), st.floats(0, 1e99))


@untimed
@given(wide, wide, widths, widths, left)
def test_the_numbers_of_a_verdict_are_finite_however_wild_the_scores(ours, theirs, sd, paired, runs) -> None:
    verdict = judge(ours, theirs, Noise(sd=sd, runs=3, paired_sd=paired, pairs=2), KeepPolicy(), runs)
    for number in (verdict.delta, verdict.noise_widths, verdict.probability, verdict.width, verdict.expected):
        assert number is not None
        assert math.isfinite(number)


def test_a_score_that_diverged_beyond_reckoning_is_no_number() -> None:
    assert judge({0: -1e200}, {0: 1.0}, QUIET, KeepPolicy()).code == "not_a_number"


@untimed
@given(scores, noises, policies, left)
def test_an_equal_score_is_never_kept(same, noise, policy, runs) -> None:
    assert judge(same, dict(same), noise, policy, runs).decision is not Decision.KEEP


@untimed
@given(
    st.dictionaries(st.integers(0, 6), st.floats(0.9, 1.1), min_size=1, max_size=4),
    st.floats(1e-6, 0.1),
    noises,
    policies,
    left,
    st.lists(st.floats(0.9, 1.1), max_size=4),
)
def test_more_of_the_same_never_turns_a_sure_keep_into_a_confirm(theirs, gain, noise, policy, runs, more) -> None:
    ours = {seed: score - gain for seed, score in theirs.items()}
    if judge(ours, theirs, noise, policy, runs).decision is not Decision.KEEP:
        return
    for seed, score in enumerate(more, start=10):
        theirs[seed], ours[seed] = score, score - gain
        assert judge(ours, theirs, noise, policy, runs).decision is Decision.KEEP


@untimed
@given(scores, scores, noises, policies, left)
def test_a_confirmation_always_asks_for_something_and_for_no_more_than_is_left(
    ours, theirs, noise, policy, runs
) -> None:
    verdict = judge(ours, theirs, noise, policy, runs)
    missing = sum((seed not in ours) + (seed not in theirs) for seed in verdict.seeds)
    if verdict.decision is Decision.CONFIRM:
        assert missing > 0
        assert runs is None or missing <= runs
    else:
        assert verdict.seeds == ()


@untimed
@given(scores, scores, noises, policies, left)
def test_every_verdict_can_be_said_and_stored(ours, theirs, noise, policy, runs) -> None:
    verdict = judge(ours, theirs, noise, policy, runs)
    numbers = (verdict.delta, verdict.noise_widths, verdict.probability, verdict.expected, verdict.width)
    assert all(math.isfinite(number) for number in numbers)
    assert 0.0 <= verdict.probability <= 1.0
    assert verdict.reason.endswith(".")
    assert verdict.code.isidentifier()
    assert (verdict.label is None) == (verdict.decision is not Decision.KEEP)


@untimed
@given(scores, scores, noises, policies, left, st.floats(1e-3, 1e3))
def test_a_score_in_other_units_gets_the_same_verdict(ours, theirs, noise, policy, runs, unit) -> None:
    scaled_noise = Noise(
        None if noise.sd is None else noise.sd * unit, noise.runs, noise.paired_sd and noise.paired_sd * unit
    )
    scaled = KeepPolicy(policy.min_delta * unit, policy.confirm, Effects(policy.effects.typical * unit))
    verdict = judge(ours, theirs, noise, policy, runs)
    other = judge(
        {s: v * unit for s, v in ours.items()}, {s: v * unit for s, v in theirs.items()}, scaled_noise, scaled, runs
    )
    close = abs(verdict.delta) < 1e-9 or abs(abs(verdict.delta) - policy.min_delta) < 1e-9
    assert close or other.decision is verdict.decision


@untimed
@given(
    scores, scores, noises, policies, left, st.sets(st.sampled_from(["seeding", "data order", "budget"]), min_size=1)
)
def test_an_edit_of_luck_itself_is_never_kept_for_its_score(ours, theirs, noise, policy, runs, touched) -> None:
    verdict = judge(ours, theirs, noise, policy, runs, touched=touched)
    assert (verdict.decision, verdict.code) == (Decision.DISCARD, "touches_luck")


# ---- each way it can go ----


def test_where_noise_is_small_one_run_decides() -> None:
    assert judge({0: 0.997}, {0: 1.0}, QUIET, AUTO).decision is Decision.KEEP
    assert judge({0: 0.9998}, {0: 1.0}, QUIET, AUTO).code == "within_noise"
    assert judge({0: 1.001}, {0: 1.0}, QUIET, AUTO).code == "worse"


def test_one_run_is_never_called_confirmed() -> None:
    verdict = judge({0: 0.9}, {0: 1.0}, QUIET, AUTO)
    assert (verdict.decision, verdict.label) == (Decision.KEEP, "provisional")


def test_a_repeated_gain_is_confirmed() -> None:
    verdict = judge({0: 0.99, 1: 0.991}, {0: 1.0, 1: 1.0}, LOUD, AUTO, runs_left=90)
    judged_with_three = judge({0: 0.99, 1: 0.991, 2: 0.99}, {0: 1.0, 1: 1.0, 2: 1.0}, LOUD, AUTO, runs_left=90)
    assert (judged_with_three.decision, judged_with_three.label) == (Decision.KEEP, "confirmed")
    assert verdict.decision is Decision.CONFIRM


def test_a_gain_that_noise_rivals_is_asked_to_repeat_itself_on_a_new_seed_beside_the_incumbent() -> None:
    verdict = judge({0: 0.998}, {0: 1.0}, LOUD, AUTO, runs_left=90)
    assert (verdict.decision, verdict.code, verdict.seeds) == (Decision.CONFIRM, "needs_repeat", (1,))


def test_a_seed_the_incumbent_already_ran_is_asked_for_first() -> None:
    assert judge({0: 0.998}, {0: 1.0, 4: 1.0, 2: 1.0}, LOUD, AUTO, runs_left=90).seeds == (2,)


def test_where_noise_hides_everything_an_unrepeated_gain_is_refused_with_the_sentence_that_says_so() -> None:
    verdict = judge({0: 0.998}, {0: 1.0}, Noise(sd=0.01, runs=5), AUTO, runs_left=90)
    assert (verdict.decision, verdict.code) == (Decision.DISCARD, "hidden_by_noise")
    assert "noise hides effects of the usual size" in verdict.reason


def test_near_the_end_the_incumbent_is_measured_again_where_its_score_is_mostly_luck() -> None:
    verdict = judge({0: 1.004}, {0: 1.0}, LOUD, AUTO, runs_left=10)
    assert (verdict.decision, verdict.code, len(verdict.seeds)) == (Decision.CONFIRM, "remeasure_incumbent", 5)
    assert judge({0: 1.004}, {0: 1.0}, QUIET, AUTO, runs_left=10).decision is Decision.DISCARD


def test_without_a_run_to_spare_a_doubt_is_a_no_and_a_likely_gain_a_provisional_yes() -> None:
    assert judge({0: 0.9985}, {0: 1.0}, LOUD, AUTO, runs_left=0).decision is Decision.DISCARD
    verdict = judge({0: 0.992}, {0: 1.0}, LOUD, AUTO, runs_left=0)
    assert (verdict.decision, verdict.label, verdict.code) == (Decision.KEEP, "provisional", "unrepeated_gain")


@pytest.mark.parametrize("unknown", [Noise(), Noise(sd=0.0), Noise(sd=0.0, runs=1), Noise(sd=math.nan)])
def test_while_noise_is_unknown_a_small_gain_must_repeat_itself(unknown: Noise) -> None:
    verdict = judge({0: 0.999}, {0: 1.0}, unknown, AUTO)
    assert (verdict.decision, verdict.code) == (Decision.CONFIRM, "needs_repeat")
    assert "never measured" in verdict.reason
    kept = judge({0: 0.98, 1: 0.98}, {0: 1.0, 1: 1.0}, unknown, AUTO)
    assert (kept.decision, kept.label) == (Decision.KEEP, "provisional")


def test_an_arena_without_noise_keeps_what_is_lower() -> None:
    exact = Noise(sd=0.0, runs=3)
    assert judge({0: 0.99999}, {0: 1.0}, exact, AUTO).decision is Decision.KEEP
    assert judge({0: 1.0}, {0: 1.0}, exact, AUTO).decision is Decision.DISCARD


def test_gains_that_shrink_to_the_guess_of_the_noise_are_repeated_and_kept_where_there_is_none() -> None:
    policy, loss = KeepPolicy(effects=Effects(typical=1500.0)), 1e6
    runs = [Measured("start", seed, loss) for seed in (1, 2)]  # two equal scores do not prove that there is no noise
    kept = repeats = 0
    for number in range(700):
        better = loss * 0.97
        ours, theirs = {1: better}, {1: loss}
        verdict = judge(ours, theirs, estimate(runs, (), 1500.0), policy)
        if verdict.decision is Decision.CONFIRM:
            repeats += 1
            for seed in verdict.seeds:
                ours[seed], theirs[seed] = better, loss
                runs += [
                    Measured(f"{name} {number}", s, x) for name, x in (("was", loss), ("is", better)) for s in (1, seed)
                ]
            verdict = judge(ours, theirs, estimate(runs, (), 1500.0), policy)
        if verdict.decision is Decision.KEEP:
            kept, loss = kept + 1, better
    assert loss < 1e-2
    assert repeats < 0.05 * kept


def test_pairing_decides_what_single_runs_cannot() -> None:
    ours, theirs = {0: 0.998, 1: 1.003}, {0: 1.0, 1: 1.005}
    alone = judge(ours, theirs, Noise(sd=3e-3, runs=6), AUTO, runs_left=90)
    paired = judge(ours, theirs, Noise(sd=3e-3, runs=6, paired_sd=3e-4, pairs=6), AUTO, runs_left=90)
    assert alone.decision is not Decision.KEEP
    assert (paired.decision, paired.label) == (Decision.KEEP, "confirmed")


def test_where_pairing_helps_a_candidate_without_a_shared_seed_is_paired_first() -> None:
    verdict = judge({7: 1.0}, {0: 1.0}, Noise(sd=3e-3, runs=6, paired_sd=3e-4, pairs=6), AUTO)
    assert (verdict.decision, verdict.code, verdict.seeds) == (Decision.CONFIRM, "needs_pairing", (0,))


def test_an_arena_may_set_a_least_gain_or_demand_a_repeat_or_none() -> None:
    assert judge({0: 0.99}, {0: 1.0}, QUIET, KeepPolicy(min_delta=0.02)).code == "below_min_delta"
    assert judge({0: 0.99}, {0: 1.0}, QUIET, KeepPolicy(confirm="always")).decision is Decision.CONFIRM
    assert judge({0: 0.998}, {0: 1.0}, LOUD, KeepPolicy(confirm="never"), runs_left=90).decision is Decision.KEEP


# ---- what else may speak for or against ----


def verdict_of(delta: float) -> Verdict:
    return judge({0: 1.0 + delta}, {0: 1.0}, QUIET, AUTO)


@untimed
@given(st.floats(-0.01, 0.01), st.integers(1, 500), st.integers(0, 500))
def test_equal_or_longer_code_changes_no_verdict(delta: float, nodes: int, more: int) -> None:
    verdict = verdict_of(delta)
    assert simplification(verdict, nodes, nodes + more, AUTO) is verdict


def test_shorter_code_that_is_no_worse_within_noise_may_be_kept() -> None:
    verdict = simplification(verdict_of(0.00005), 120, 90, AUTO)
    assert (verdict.decision, verdict.label, verdict.code) == (Decision.KEEP, "provisional", "simpler")
    assert "30 syntax nodes less" in verdict.reason
    assert simplification(verdict_of(0.001), 120, 90, AUTO).decision is Decision.DISCARD


def test_noise_does_not_buy_a_simplification_that_costs_a_typical_gain() -> None:
    verdict = judge({0: 1.0015}, {0: 1.0}, Noise(sd=0.01, runs=9), AUTO)
    assert simplification(verdict, 120, 20, AUTO) is verdict


def test_shorter_code_does_not_excuse_a_changed_seed_or_a_broken_bound() -> None:
    seeded = judge({0: 0.99}, {0: 1.0}, QUIET, AUTO, touched=["seeding"])
    assert simplification(seeded, 120, 20, AUTO) is seeded
    slow = guarded(verdict_of(-0.01), ("latency_ms is 7, above 5.",))
    assert simplification(slow, 120, 20, AUTO) is slow


def test_a_broken_bound_outweighs_any_gain() -> None:
    bounds = {"latency_ms": Bound(max=5), "recall": Bound(min=0.9)}
    assert broken_bounds({"latency_ms": 5.0, "recall": 0.9}, bounds) == ()
    said = broken_bounds({"latency_ms": 7.0, "recall": math.nan}, bounds)
    assert said == ("latency_ms is 7, above 5.", "recall was not measured.")
    verdict = guarded(verdict_of(-0.01), said)
    assert (verdict.decision, verdict.label, verdict.code) == (Decision.DISCARD, None, "bound_broken")
    assert "latency_ms is 7, above 5." in verdict.reason
    assert guarded(verdict_of(-0.01), ()).decision is Decision.KEEP
