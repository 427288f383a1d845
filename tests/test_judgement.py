"""Which runs a verdict stands on: a real ledger, made-up results, no processes."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mcp_server.arena.program import Arena, parse_program
from mcp_server.campaign.evidence import (
    Judgement,
    judge_experiment,
    policy_of,
    slot_squares,
    typical_effect,
)
from mcp_server.campaign.exam import totals_of
from mcp_server.campaign.gathered.record import record_of
from mcp_server.campaign.status import dry_spell
from mcp_server.judging.verdict import PROVEN, Decision, Record
from mcp_server.ledger import Ledger
from mcp_server.nouns.decided import Decided
from mcp_server.nouns.records import DeviceReading, Purpose, RunResult, RunState
from mcp_server.nouns.rows import Campaign
from tests.test_ledger import AT, experiment

PROGRAM = """\
---
goal: lower
metric: {{name: loss, direction: {direction}, unit: ""}}
editable: [train.py]
run: python train.py
score: python score.py
budget: {{seconds: 20, clock: wall, startup_seconds: 5, grace_seconds: 1}}
devices: {devices}
{more}---
"""
CARD = DeviceReading(name="cuda:0", identity="H200 (GPU-00000000-0000)", driver="550")
pytestmark = pytest.mark.quick  # a ledger in a file, and nothing runs


def arena_of(direction: str = "minimize", more: str = "", devices: str = "auto") -> Arena:
    return parse_program(PROGRAM.format(direction=direction, more=more, devices=devices)).arena


class Bench:
    """A campaign whose runs are closed with whatever a test says."""

    def __init__(self, path: Path, arena: Arena | None = None, more: str = "") -> None:
        self.arena = arena or arena_of(more=more)
        self.ledger = Ledger(path)
        self.ledger.note_program("digest", PROGRAM.format(direction="minimize", devices="auto", more=more), AT)
        self.campaign = Campaign("first", "0" * 40, AT, 0, 0, None, None, "secret", "digest", False)
        self.ledger.intend_campaign(self.campaign, "/tree")

    def run(self, number: int, score: float | None, seed: int = 0, purpose: str = "confirm", **result: Any) -> None:
        """A run that has ended."""
        known = {one.number for one in self.ledger.experiments("first")}
        if number not in known:
            base, kind = (1, "attempt") if number > 1 else (None, "baseline")
            self.ledger.open_experiment(experiment(number, base=base, kind=kind), [(seed, "first")])
        else:
            self.ledger.open_run("first", number, seed, purpose, AT)
        said: dict[str, Any] = {"device": CARD, "steps": 10_000, **result}
        state = RunState.CRASHED if score is None else RunState.SCORED
        run = self.ledger.runs("first", number)[-1]
        self.ledger.close_run(run, RunResult(state=state, score=score, **said), AT)

    def keep(self, number: int) -> None:
        self.ledger.intend("first", number, "keep", "provisional", Decided(score=1.0, outcome="kept"), AT)
        self.ledger.settle("first", number, "keep", "1" * 40)

    def baseline(self, *scores: float) -> None:
        """Experiment 1, kept: its first run, a repeat of it, then other seeds."""
        for seed, score in zip((0, 0, 1, 2, 3, 4), scores, strict=False):
            self.run(1, score, seed=seed, purpose="repeat")
        self.keep(1)

    def prove(self) -> None:
        """A night in which something was proven already, by an attempt that was not kept in the end."""
        self.run(99, 1.2)
        self.ledger.intend("first", 99, "revert", None, Decided(score=1.2, evidence=1e3, outcome="discarded"), AT)
        self.ledger.settle("first", 99, "revert", None)

    def judge(self, number: int = 2, earlier: tuple[str, ...] = ()) -> Judgement:
        candidate = self.ledger.experiment("first", number)
        found = judge_experiment(self.ledger, self.arena, self.campaign, candidate, earlier)
        assert found is not None
        return found


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path / "lab.db")


def code_of(found: Judgement) -> tuple[Decision, str]:
    return found.verdict.decision, found.verdict.code


def test_a_run_beside_a_foreign_load_decides_nothing_and_is_repeated_three_times_at_most(bench: Bench) -> None:
    bench.baseline(1.0, 1.0001, 1.001)
    for turn in range(4):
        bench.run(2, 0.5, purpose="retry", tainted="another process used 3 cores")
        found = bench.judge()
        assert found.change is None
        again = (Decision.CONFIRM, ((2, 0, "retry"),))
        assert (found.verdict.decision, found.wanted) == (again if turn < 3 else (Decision.DISCARD, ()))
    assert "another process used 3 cores" in found.verdict.reason


@pytest.mark.parametrize(
    ("moved", "code"),
    [
        ({"device": CARD.model_copy(update={"identity": "H100 (GPU-00000000-0000)"})}, "device_changed"),
        ({"device": CARD.model_copy(update={"driver": "560"})}, "driver_changed"),
        ({"steps": 10_267}, "steps_changed"),
        ({"steps": 9_733}, "steps_changed"),
    ],
)
def test_a_machine_that_moved_has_the_incumbent_measured_again_before_the_verdict(
    bench: Bench, moved: dict[str, Any], code: str
) -> None:
    bench.baseline(1.0, 1.0001, 1.0002)
    bench.run(2, 0.9984, **moved)  # what an unchanged job once gained overnight
    assert code_of(bench.judge()) == (Decision.CONFIRM, code)
    assert bench.judge().wanted == ((1, 0, "anchor"),)
    bench.run(1, 0.9984, purpose="anchor", **moved)
    found = bench.judge()
    assert code_of(found) == (Decision.DISCARD, "no_gain")  # the older runs of the incumbent no longer count
    assert found.change == pytest.approx(0.0)


ELSEWHERE = CARD.model_copy(update={"identity": "H100 (GPU-00000000-0000)"})


@pytest.mark.parametrize(
    ("score", "how"),
    [(None, {}), (0.9999, {"device": CARD}), (0.97, {"device": ELSEWHERE, "tainted": "a load"}), (0.0, {"lost": True})],
)
def test_an_incumbent_that_was_not_measured_where_the_candidate_ran_is_no_anchor(
    bench: Bench, score: float | None, how: dict[str, Any]
) -> None:
    bench.baseline(1.0, 1.0001, 1.0002)
    bench.prove()
    bench.run(2, 0.98, device=ELSEWHERE)  # twice as fast there, for all that anybody knows
    for _ in range(3):
        assert (code_of(bench.judge()), bench.judge().wanted) == (
            (Decision.CONFIRM, "device_changed"),
            ((1, 0, "anchor"),),
        )
        if "lost" in how:
            bench.ledger.open_run("first", 1, 0, "anchor", AT)
            bench.ledger.close_run(bench.ledger.runs("first", 1)[-1], RunResult(state=RunState.LOST), AT)
        else:
            bench.run(1, score, purpose="anchor", **how)
    assert code_of(bench.judge()) == (Decision.DISCARD, "not_repeated")
    bench.run(3, 0.98)
    assert code_of(bench.judge(3)) == (Decision.KEEP, "gain")  # what came to nothing for one hinders no other


def test_of_runs_on_several_machines_only_those_of_one_are_compared(bench: Bench) -> None:
    bench.baseline(1.0, 1.0001, 1.0002)
    bench.prove()
    bench.run(2, 0.9999)
    bench.run(2, 0.95, seed=1, device=ELSEWHERE)  # its repeat came to a faster card
    found = bench.judge()
    assert (code_of(found), found.wanted) == ((Decision.CONFIRM, "device_changed"), ((1, 1, "anchor"),))
    bench.run(1, 0.9501, seed=1, purpose="anchor", device=ELSEWHERE)
    found = bench.judge()
    assert (found.verdict.decision, found.change) == (Decision.DISCARD, pytest.approx(0.0001))


def test_another_card_of_the_same_model_is_the_same_machine(bench: Bench) -> None:
    bench.baseline(1.0, 1.0001, 1.0002)
    bench.prove()
    bench.run(2, 0.98, device=CARD.model_copy(update={"name": "cuda:1", "identity": "H200 (GPU-11111111-1111)"}))
    assert code_of(bench.judge()) == (Decision.KEEP, "gain")


def test_an_incumbent_whose_own_repeat_disagrees_is_measured_again(bench: Bench) -> None:
    bench.baseline(1.0, 1.0001, 1.0002)
    for seed in (5, 6, 7):
        for score in (1.01, 1.0101):
            bench.run(3, score, seed=seed, purpose="repeat")
    bench.run(2, 0.999)
    before = bench.judge().verdict
    bench.run(1, 0.9984, seed=0, purpose="repeat")
    found = bench.judge()
    assert before.code != "repeat_disagrees"
    assert (code_of(found), found.wanted) == ((Decision.CONFIRM, "repeat_disagrees"), ((1, 0, "anchor"),))


@pytest.mark.parametrize("purpose", ["confirm", "anchor"])
def test_no_verdict_falls_while_the_incumbent_is_still_being_measured_beside(bench: Bench, purpose: str) -> None:
    bench.baseline(1.0, 1.0001, 1.003)
    bench.prove()
    bench.run(2, 0.5)
    bench.run(2, 0.5, seed=1)
    seed = 0 if purpose == "anchor" else 1
    bench.ledger.open_run("first", 1, seed, purpose, AT)
    found = bench.judge()
    assert (code_of(found), found.wanted) == ((Decision.CONFIRM, "awaits_incumbent"), ())
    run = bench.ledger.runs("first", 1)[-1]
    bench.ledger.close_run(run, RunResult(state=RunState.SCORED, score=1.0, device=CARD, steps=10_000), AT)
    assert code_of(bench.judge()) == (Decision.KEEP, "gain")


def test_a_repeat_that_ends_without_a_score_counts_as_a_bad_look_and_is_not_asked_for_for_ever(bench: Bench) -> None:
    bench.baseline(1.0, 1.002, 1.004)
    bench.run(2, 0.99)
    assert bench.judge().wanted == ((2, 1, "confirm"),)
    tries = 0
    while bench.judge().verdict.decision is Decision.CONFIRM:
        bench.run(2, None, seed=1)
        tries += 1
    assert tries <= 3
    assert bench.judge().verdict.decision is Decision.DISCARD


@pytest.mark.parametrize("touch", ["seeding", "data order", "budget"])
def test_an_edit_of_luck_is_never_kept_however_low_its_score(bench: Bench, touch: str) -> None:
    bench.baseline(1.0, 1.0001, 1.0002)
    bench.ledger.open_experiment(experiment(2, base=1, protocol=(touch,)), [(0, "first")])
    run = bench.ledger.runs("first", 2)[-1]
    bench.ledger.close_run(run, RunResult(state=RunState.SCORED, score=0.5, device=CARD, steps=10_000), AT)
    found = bench.judge()
    assert code_of(found) == (Decision.DISCARD, "touches_luck")
    assert touch in found.verdict.reason


def test_a_suite_that_came_later_is_measured_of_the_incumbent_before_a_keep(tmp_path: Path) -> None:
    bench = Bench(tmp_path / "lab.db", arena_of(more="suite: {old: python old.py}\n"))
    bench.baseline(1.0, 1.0001, 1.0002)
    bench.prove()
    bench.run(2, 0.9, suite={"old": 5.0})
    found = bench.judge()
    assert (code_of(found), found.wanted) == ((Decision.CONFIRM, "guard_unsure"), ((2, 1, "confirm"),))
    bench.run(2, 0.9, seed=1, suite={"old": 5.0})
    assert bench.judge().wanted == ((2, 2, "confirm"), (1, 2, "confirm"))
    bench.run(2, 0.9, seed=2, suite={"old": 5.0})
    bench.run(1, 1.0, seed=2, suite={"old": 5.0})
    assert code_of(bench.judge()) == (Decision.KEEP, "gain")


def test_an_arenas_own_rule_reaches_the_referee(tmp_path: Path) -> None:
    for name, more, code in (
        ("a", "keep: {min_delta: 0.6}\n", (Decision.DISCARD, "below_min_delta")),
        ("b", "keep: {confirm: always}\n", (Decision.CONFIRM, "needs_repeat")),
        ("c", "", (Decision.KEEP, "gain")),
    ):
        bench = Bench(tmp_path / name, arena_of(more=more))
        bench.baseline(1.0, 1.0001, 1.0002)
        bench.prove()
        bench.run(2, 0.5)
        assert code_of(bench.judge()) == code


# --- taking an earlier change back ------------------------------------------------------------------------------------


@pytest.mark.parametrize(("without", "decision"), [(1.05, Decision.DISCARD), (1.0, Decision.KEEP)])
def test_a_change_is_pruned_unless_it_proves_its_worth_on_a_seed_it_was_not_chosen_by(
    bench: Bench, without: float, decision: Decision
) -> None:
    bench.baseline(1.0, 1.0001, 1.0002)
    bench.run(2, 0.999)
    bench.keep(2)
    bench.ledger.open_experiment(experiment(3, base=2, kind="prune"), [(7, "first")])
    run = bench.ledger.runs("first", 3)[-1]
    bench.ledger.close_run(run, RunResult(state=RunState.SCORED, score=without, device=CARD, steps=10_000), AT)
    found = bench.judge(3)
    assert (found.verdict.decision, found.wanted) == (Decision.CONFIRM, ((2, 7, "confirm"),))
    bench.run(2, 1.0, seed=7)  # on the seed it was kept for it had 0.999
    found = bench.judge(3)
    assert found.verdict.decision is decision
    assert found.change == pytest.approx(1.0 - without)


def test_a_typical_gain_is_a_share_of_the_baseline_unless_the_arena_says(tmp_path: Path) -> None:
    bench = Bench(tmp_path / "lab.db")
    bench.baseline(2.0, 2.0, 2.0)
    assert policy_of(bench.ledger, bench.arena, "first").effects.typical == pytest.approx(0.003)
    told = arena_of(more="keep: {min_delta: 0.25}\n")
    assert policy_of(bench.ledger, told, "first").effects.typical == 0.5


# --- what a run of discards brings ------------------------------------------------------------------------------------


def test_after_a_run_of_discards_what_to_do_next_names_the_least_tried_themes(bench: Bench) -> None:
    bench.baseline(1.0, 1.0001, 1.0002)
    for number in range(2, 8):
        assert (dry_spell(bench.ledger, "first") != "") == (number > 6)
        bench.run(number, 1.1)
        bench.ledger.intend("first", number, "revert", None, Decided(score=1.1, outcome="discarded"), AT)
        bench.ledger.settle("first", number, "revert", None)
    said = dry_spell(bench.ledger, "first")
    assert said.startswith("The last 6 experiments were not kept; least tried so far: ")
    assert "optimizer" not in said  # the theme of all six


def test_a_change_that_goes_on_as_another_attempt_is_no_attempt_without_a_gain(bench: Bench) -> None:
    bench.baseline(1.0, 1.0001, 1.0002)
    for number, code in ((2, "rebased"), (3, "worse"), (4, "rebased")):
        bench.run(number, 1.1)
        bench.ledger.intend("first", number, "revert", None, Decided(code=code, outcome="discarded"), AT)
    assert bench.ledger.since_keep("first") == 1


def test_the_scale_of_a_campaign_that_gains_much_is_learnt_from_its_verdicts(tmp_path: Path) -> None:
    bench = Bench(tmp_path / "lab.db")
    bench.baseline(1.0, 1.0, 1.0)
    for number in range(2, 14):
        bench.run(number, 0.9)
        evidence = Decided(change=0.02 * (number % 3), width=0.001, outcome="kept")
        bench.ledger.intend("first", number, "revert", None, evidence, AT)
        bench.ledger.settle("first", number, "revert", None)
    assert 0.01 < policy_of(bench.ledger, bench.arena, "first").effects.typical < 0.04
    told = arena_of(more="keep: {min_delta: 0.25}\n")  # who says the scale is believed
    assert policy_of(bench.ledger, told, "first").effects.typical == 0.5


# --- before anything is proven ----------------------------------------------------------------------------------------


def test_the_first_keep_of_a_campaign_has_to_repeat_itself_and_later_ones_need_not(bench: Bench) -> None:
    bench.baseline(1.0, 1.0001, 1.0002)
    bench.run(2, 0.9)
    assert code_of(bench.judge()) == (Decision.CONFIRM, "unproven")
    bench.prove()
    assert code_of(bench.judge()) == (Decision.KEEP, "gain")


def test_whoever_passes_over_the_unlucky_ones_does_not_prove_anything_by_the_lucky(bench: Bench) -> None:
    def judged(number: int, score: float) -> Judgement:
        bench.run(number, score, incumbent=1, incumbent_score=1.0, pairing="side_by_side")
        return bench.judge(number)

    for beside in (1.001, 0.999):
        bench.run(1, 1.0, purpose="repeat", incumbent=1, incumbent_score=beside, pairing="side_by_side")
    bench.keep(1)
    for number in range(2, 12):
        passed_over = judged(number, 1.0001)
    assert (passed_over.verdict.evidence or 1.0) < 1.0
    luck = judged(12, 0.9975)
    alone = Record().after(luck.verdict.evidence).evidence
    assert 0.1 < luck.lying < 0.95
    bench.ledger._db.execute("INSERT INTO records VALUES ('first', 0, ?, 0, 0)", (math.log(PROVEN) - alone,))
    assert bench.judge(12).verdict.code == "unproven"  # by itself it were just enough
    bench.ledger.intend("first", 12, "revert", None, bench.judge(12).decided("tried", "discarded"), AT)
    bench.ledger.intend("first", 2, "revert", None, Decided(outcome="crashed"), AT)
    assert not record_of(bench.ledger, "first").proven
    decided = bench.judge(3).decided("worse", "discarded")
    assert decided.lying > luck.lying  # one fewer lies there
    assert Decided.read(decided.text()).lying == decided.lying


def test_a_campaign_that_an_older_version_was_sure_of_is_proven(bench: Bench) -> None:
    bench.baseline(1.0, 1.0001, 1.0002)
    bench.run(5, 0.95)
    bench.ledger.intend("first", 5, "keep", "confirmed", Decided(score=0.95, change=0.05, probability=0.99), AT)
    bench.ledger._db.execute("UPDATE experiments SET verdict = json_set(verdict, '$.version', 1) WHERE number = 5")
    bench.ledger.settle("first", 5, "keep", "2" * 40)
    assert record_of(bench.ledger, "first").proven


def test_without_a_repeat_of_the_baseline_one_is_asked_for_before_anything_is_kept(bench: Bench) -> None:
    bench.baseline(1.0)
    bench.run(2, 0.5)
    found = bench.judge()
    assert (code_of(found), found.wanted) == ((Decision.CONFIRM, "noise_unmeasured"), ((1, 0, "repeat"),))
    bench.run(3, 1.5)
    assert code_of(bench.judge(3)) == (Decision.DISCARD, "worse")


@pytest.mark.parametrize("score", [0.0, -0.0, -2.0])
def test_a_score_of_zero_or_below_is_a_score(bench: Bench, score: float) -> None:
    bench.baseline(score, score + 0.001, score + 0.002)
    assert typical_effect(bench.ledger, bench.arena, "first") >= 1e-4
    bench.run(2, score - 1.0)
    bench.run(2, score - 1.0, seed=1)
    assert code_of(bench.judge())[0] is not Decision.DISCARD
    bench.run(3, score)
    assert bench.judge(3).change is not None


def test_a_scale_near_zero_is_not_believed_against_the_noise(bench: Bench) -> None:
    bench.baseline(1e-9, 20.0, -15.0)
    assert typical_effect(bench.ledger, bench.arena, "first") > 1.0


# --- in one slot ------------------------------------------------------------------------------------------------------


def test_slots_are_compared_with_what_the_incumbent_got_in_them_and_nothing_older(bench: Bench) -> None:
    for score, beside in ((1.0, 1.0001), (1.02, 1.0201)):  # the machine moved by a hundred noises in between
        bench.run(1, score, purpose="repeat", incumbent=1, incumbent_score=beside, pairing="side_by_side")
    bench.keep(1)
    bench.prove()
    bench.run(2, 1.3, incumbent=1, incumbent_score=1.31, pairing="side_by_side", device=CARD.model_copy())
    found = bench.judge()
    assert code_of(found) == (Decision.KEEP, "gain")
    assert found.change == pytest.approx(0.01)
    assert found.verdict.comparison == "slot"
    assert found.decided("because", "kept").degrees is not None


def test_a_candidate_whose_slots_are_all_broken_is_compared_in_the_end_as_one_that_ran_alone(bench: Bench) -> None:
    for beside in (1.0003, 0.9997):
        bench.run(1, 1.0, purpose="repeat", incumbent=1, incumbent_score=beside, pairing="side_by_side")
    bench.keep(1)
    bench.prove()
    for seed in range(3):
        bench.run(2, 0.9, seed=seed, incumbent=1, pairing="side_by_side", flags=("pair_broken",))
        assert bench.judge().wanted == (((2, seed + 1, "confirm"),) if seed < 2 else ())
    found = bench.judge()
    assert (code_of(found), found.verdict.comparison) == ((Decision.KEEP, "gain"), "apart")


def test_the_last_attempt_that_a_campaign_asks_for_may_be_repeated_but_not_carried_on(tmp_path: Path) -> None:
    bench = Bench(tmp_path / "lab.db", arena_of(more="stop: {experiments: 3}\n"))
    bench.baseline(1.0, 1.0001, 1.0002)
    bench.run(2, 0.9)
    bench.run(3, 0.95)
    assert (code_of(bench.judge(3)), len(bench.judge(3).wanted)) == ((Decision.CONFIRM, "unproven"), 1)
    bench.keep(2)
    assert code_of(bench.judge(3)) == (Decision.DISCARD, "superseded")


def test_a_confirmation_in_a_slot_costs_one_run_of_the_candidate(bench: Bench) -> None:
    for beside in (1.003, 0.996):
        bench.run(1, 1.0, purpose="repeat", incumbent=1, incumbent_score=beside, pairing="side_by_side")
    bench.keep(1)
    bench.run(2, 0.99, incumbent=1, incumbent_score=1.0, pairing="side_by_side")
    assert bench.judge().wanted == ((2, 1, "confirm"),)


def test_after_another_keep_one_slot_beside_the_new_incumbent_is_asked_for(bench: Bench) -> None:
    for beside in (1.0001, 0.9999):
        bench.run(1, 1.0, purpose="repeat", incumbent=1, incumbent_score=beside, pairing="side_by_side")
    bench.keep(1)
    bench.run(2, 0.9, incumbent=1, incumbent_score=1.0, pairing="side_by_side")
    bench.run(3, 0.95, incumbent=1, incumbent_score=1.0, pairing="side_by_side")
    bench.keep(3)
    found = bench.judge()
    assert (code_of(found), found.incumbent) == ((Decision.REBASE, "rebased"), 1)
    bench.ledger.stands_on("first", 2, 3)  # where it has what was kept in it already
    found = bench.judge()
    assert (code_of(found), found.wanted) == ((Decision.CONFIRM, "no_incumbent"), ((2, 1, "confirm"),))


def test_a_run_that_was_called_off_is_a_look_at_its_code_under_whatever_number(bench: Bench) -> None:
    bench.baseline(1.0, 1.0001, 1.0002)
    bench.prove()
    bench.run(2, 0.999)
    before = bench.judge().verdict.probability
    bench.ledger.open_run("first", 2, 1, "confirm", AT)
    run = bench.ledger.runs("first", 2)[-1]
    bench.ledger.close_run(run, RunResult(state=RunState.CANCELLED), AT)
    found = bench.judge()
    assert before is not None
    assert found.verdict.probability is not None
    assert found.verdict.probability < before
    assert found.decided("", "kept").looks == 2


def test_what_the_supervisor_saw_from_outside_is_no_look(bench: Bench) -> None:
    bench.baseline(1.0, 1.0001, 1.0002)
    bench.run(2, 0.999)
    before = bench.judge().verdict.probability
    bench.ledger.open_run("first", 2, 1, "confirm", AT)
    bench.ledger.close_run(bench.ledger.runs("first", 2)[-1], RunResult(state=RunState.LOST), AT)
    assert bench.judge().verdict.probability == before


@pytest.mark.parametrize(("spread", "counts"), [(0.002, True), (0.0001, False)])
def test_what_an_earlier_campaign_measured_on_this_machine_counts_unless_today_is_louder(
    bench: Bench, spread: float, counts: bool
) -> None:
    bench.ledger.intend_campaign(replace(bench.campaign, tag="before"), "/tree")
    bench.ledger.open_experiment(replace(experiment(1, base=None, kind="baseline"), campaign="before"), [(0, "first")])
    for turn in range(12):
        if turn:
            bench.ledger.open_run("before", 1, turn, Purpose.SEED, AT)
        run = bench.ledger.runs("before", 1)[-1]
        beside = 1.0 + spread * (-1) ** turn
        result = RunResult(state=RunState.SCORED, score=1.0, device=CARD, steps=9, incumbent=1, incumbent_score=beside)
        bench.ledger.close_run(run, result, AT)
    for beside in (1.002, 0.998):
        bench.run(1, 1.0, purpose="repeat", incumbent=1, incumbent_score=beside, pairing="side_by_side")
    bench.keep(1)
    bench.run(2, 0.99, incumbent=1, incumbent_score=1.0, pairing="side_by_side")
    alone, together = bench.judge(), bench.judge(earlier=("before",))
    assert alone.verdict.degrees is not None
    assert together.verdict.degrees is not None
    assert (together.verdict.degrees > alone.verdict.degrees + 2) is counts
    assert (together.verdict.evidence or 0.0) >= (alone.verdict.evidence or 0.0)


def test_a_candidates_own_pairs_tell_the_noise_once(bench: Bench) -> None:
    for beside in (1.002, 0.998):
        bench.run(1, 1.0, purpose="repeat", incumbent=1, incumbent_score=beside, pairing="side_by_side")
    bench.keep(1)
    for seed, score in enumerate((0.99, 0.992, 0.988)):
        bench.run(2, score, seed=seed, incumbent=1, incumbent_score=1.0, pairing="side_by_side")
    assert slot_squares(bench.ledger, bench.arena, "first") == (pytest.approx(2 * 0.002**2 + 2 * 0.002**2), 4)
    assert slot_squares(bench.ledger, bench.arena, "first", without=2) == (pytest.approx(2 * 0.002**2), 2)


# --- the exam ---------------------------------------------------------------------------------------------------------


def test_an_exam_speaks_of_the_code_that_it_examined_alone(tmp_path: Path) -> None:
    bench = Bench(tmp_path / "lab.db", more="claim: {gain: 0.01}\n")
    bench.baseline(1.0)
    bench.run(2, 0.9)
    bench.keep(2)
    bench.ledger.open_exam("first", 1, 2, [1000, 1001], AT, True)
    exam = bench.ledger.exam("first")
    assert exam is not None
    bench.ledger.close_exam(exam, '{"gain": 0.1, "interval": [0.05, 0.15]}')
    examined = totals_of(bench.ledger, bench.arena, bench.campaign)
    assert (examined.exam_gain, examined.exam_interval) == (0.1, [0.05, 0.15])
    assert "supported" in examined.claim
    bench.run(3, 0.8)
    bench.keep(3)
    later = totals_of(bench.ledger, bench.arena, bench.campaign)
    assert (later.exam_gain, later.exam_interval) == (None, [])
    assert "inconclusive" in later.claim
