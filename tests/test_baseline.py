"""Whatever becomes of a campaign's first run, it ends in a calibrated campaign or in a sentence with a way on."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from mcp_server.campaign.evidence import policy_of
from mcp_server.lab import Lab
from mcp_server.nouns.decided import Decided
from mcp_server.nouns.errors import NotNow
from mcp_server.nouns.records import Status
from tests.labs import SEQUENTIAL, TRAIN, decide, edit, finish, git, make_lab
from tests.played import Clock, Played, result_of

BROKEN = TRAIN.replace("KNOB = 1.0", "KNOB = 1.0\nraise KeyError('no such corpus')")


@pytest.fixture
def lab(tmp_path: Path, clock: Clock, engine: Played) -> Iterator[Lab]:
    made = Lab(make_lab(tmp_path / "lab", more=SEQUENTIAL).paths.tree, clock)
    yield made
    made.close()


def purposes(lab: Lab, number: int) -> list[str]:
    with lab.reading() as (bench, campaign, _):
        return [run.purpose for run in bench.ledger.runs(campaign.tag, number)]


def counting(lab: Lab) -> int:
    """Runs of the baseline that count."""
    with lab.reading() as (bench, campaign, _):
        baseline = bench.ledger.baseline(campaign.tag)
        assert baseline is not None
        return len(baseline.counting)


# --- a first run that fails by itself ---------------------------------------------------------------------------------


def test_code_that_crashes_is_replaced_by_the_next_attempt_which_is_calibrated_like_any_other(tmp_path: Path) -> None:
    lab = make_lab(tmp_path / "lab", more=SEQUENTIAL, train=BROKEN)
    lab.start_campaign("first")
    assert finish(lab, 1).status == "crashed"
    said = lab.lab_status().next
    assert "experiment 1, crashed" in said
    assert "Mend train.py and call run_experiment" in said
    (lab.paths.tree / "train.py").write_text(TRAIN)
    assert lab.run_experiment("mended").experiment == 2
    assert finish(lab, 2).status == "kept"
    assert purposes(lab, 2) == ["first", "repeat", "seed"]
    assert lab.lab_status().waiting_for_decision == []
    edit(lab, KNOB=2.5)
    assert lab.run_experiment("nearer").experiment == 3
    finish(lab, 3)
    assert decide(lab, 3).decision == "kept"
    log = git(lab.paths.tree, "log", "--format=%s", "autoresearch/first", "^main").splitlines()
    assert log == ["Experiment 3: nearer", "Experiment 2: mended"]


@pytest.mark.parametrize(
    ("outcome", "score", "direction"),
    [
        ("crashed", 1.1, "minimize"),
        ("crashed", 5000.0, "maximize"),
        ("timeout", 1e-3, "minimize"),
        ("rejected", 5000.0, "minimize"),
        ("lost", 0.0, "maximize"),
        ("tainted", 1e-3, "maximize"),
        ("tainted", 5000.0, "minimize"),
        ("cancelled", -2.0, "minimize"),
        ("disk_full", 1.1, "maximize"),
    ],
)
def test_after_any_failure_the_scale_is_the_new_baselines(
    tmp_path: Path, clock: Clock, engine: Played, outcome: str, score: float, direction: str
) -> None:
    lab = Lab(make_lab(tmp_path / "lab", more=SEQUENTIAL).paths.tree, clock)
    program = lab.paths.program
    program.write_text(program.read_text().replace("minimize", direction))
    lab.start_campaign("first")
    for _ in range(4):
        engine.end(outcome, 77.0)
        clock.forward(1)
        lab.lab_status()
    if outcome != "tainted":
        edit(lab, KNOB=2.0)
        lab.run_experiment("mended")
    clock.forward(3600)
    lab.lab_status()
    while engine.alive:
        engine.end("scored", score)
        lab.lab_status()
    assert counting(lab) == 3
    with lab.reading() as (bench, campaign, arena):
        scale = policy_of(bench.ledger, arena, campaign.tag).effects.typical
    assert scale == pytest.approx(0.0015 * (abs(score) or 1.0))
    assert lab.lab_status().next.startswith("Propose the next experiment")
    lab.close()


def test_the_same_code_may_be_the_baseline_again_once_the_cause_is_gone(lab: Lab, engine: Played) -> None:
    lab.start_campaign("first", calibrate=1)
    engine.end("no_sandbox")
    assert "call run_experiment: the code that lies here" in lab.lab_status().next
    assert lab.run_experiment("the sandbox is installed").experiment == 2
    engine.end("scored", 1.0)
    assert lab.read_score(2).status == "kept"
    assert purposes(lab, 2) == ["first", "repeat"]


def test_a_scorer_that_fails_asks_for_a_new_campaign_with_a_name_that_is_free(lab: Lab, engine: Played) -> None:
    lab.start_campaign("first")
    engine.end("scorer_failed")
    said = lab.lab_status().next
    assert "start_campaign('first-2')" in said
    assert lab.start_campaign("first-2").campaign == "first-2"
    engine.end("scorer_failed")
    assert "start_campaign('first-3')" in lab.lab_status().next


def test_files_mended_one_after_the_other_are_never_put_back(tmp_path: Path, clock: Clock, engine: Played) -> None:
    made = make_lab(tmp_path / "lab", more=SEQUENTIAL)
    tree = made.paths.tree
    (tree / "model.py").write_text("DEPTH = 1\n")
    program = (tree / "program.md").read_text()
    (tree / "program.md").write_text(program.replace("[train.py]", "[train.py, model.py]"))
    git(tree, "add", ".")
    git(tree, "commit", "-q", "-m", "two files")
    lab = Lab(tree, clock)
    lab.start_campaign("first")
    engine.end("crashed")
    (tree / "model.py").write_text("DEPTH = 2\n")
    lab.run_experiment("first mend")
    engine.end("crashed")
    edit(lab, KNOB=2.0)
    assert lab.run_experiment("second mend").experiment == 3
    engine.end("scored", 1.0)
    assert lab.read_score(3).status == "kept"
    assert (tree / "model.py").read_text() == "DEPTH = 2\n"
    assert git(tree, "show", "autoresearch/first:model.py") == "DEPTH = 2\n"
    lab.close()


@pytest.mark.parametrize("outcome", ["crashed", "timeout", "rejected", "cancelled", "tainted", "lost", "scorer_failed"])
def test_a_baseline_is_never_reverted_and_the_refusal_leads_on(lab: Lab, engine: Played, outcome: str) -> None:
    lab.start_campaign("first")
    engine.end(outcome, 1.0)
    for decision in ("auto", "keep", "revert"):
        with pytest.raises(NotNow, match="never reverted") as refused:
            lab.commit_or_revert(1, decision)
    assert re.search(r"call run_experiment|read_score\(1\)", str(refused.value))
    assert lab.lab_status().waiting_for_decision == []


# --- a machine that is busy -------------------------------------------------------------------------------------------


def test_a_baseline_beside_other_programs_waits_longer_each_time_and_then_counts(
    lab: Lab, engine: Played, clock: Clock
) -> None:
    lab.start_campaign("first")
    engine.end("tainted", 1.0)
    for wait in (30, 60, 120, 240, 480, 960, 1800, 1800):
        assert "beside other programs" in lab.lab_status().next
        clock.forward(wait - 1)
        lab.lab_status()
        assert not engine.alive
        clock.forward(1)
        lab.lab_status()
        engine.end("tainted", 1.0)
    assert "11 times" in lab.lab_status().next
    clock.forward(1800)
    lab.lab_status()
    engine.end("scored", 1.0)
    assert lab.read_score(1).status == "kept"
    engine.end("scored", 1.0)
    lab.lab_status()
    assert counting(lab) == 3


def test_a_machine_that_is_never_quiet_is_offered_another_clock(lab: Lab, engine: Played, clock: Clock) -> None:
    lab.start_campaign("first")
    for _ in range(2):
        for paths, _ in engine.alive.values():
            beside = result_of("tainted", 1.0).model_copy(update={"clock": "wall"})
            beside.write(paths.result)
        engine.end("lost")
        assert lab.read_score(1).phase == "waiting for quiet"
        clock.forward(3600)
        lab.lab_status()
    assert lab.lab_status().next.startswith("The baseline, experiment 1, is being measured")
    engine.end("tainted", 1.0)
    assert "`budget: {clock: cpu}`" in lab.lab_status().next
    assert "start_campaign('first-2')" in lab.lab_status().next


def test_no_candidate_is_run_while_the_baseline_does_not_count(lab: Lab, engine: Played) -> None:
    lab.start_campaign("first")
    edit(lab, KNOB=2.0)
    with pytest.raises(NotNow, match=r"being measured; read_score\(1\) waits for it. Nothing was run or counted"):
        lab.run_experiment("too early")
    engine.end("tainted", 1.0)
    with pytest.raises(NotNow, match=r"tried again at .* Nothing was run or counted"):
        lab.run_experiment("too early")
    assert lab.lab_status().experiments["all"] == 1


def test_nothing_is_judged_before_the_baselines_repeats_are_in(lab: Lab, engine: Played, clock: Clock) -> None:
    lab.start_campaign("first")
    engine.end("scored", 4.0)
    lab.lab_status()
    with lab.reading() as (bench, campaign, _):
        bench.ledger.open_run(campaign.tag, 1, campaign.seed, "repeat", bench.stamp(), clock() + timedelta(seconds=60))
    edit(lab, KNOB=2.5)
    lab.run_experiment("nearer")
    engine.end("scored", 0.25)
    with pytest.raises(NotNow, match=r"cannot be judged yet\. .*read_score\(1\)"):
        lab.commit_or_revert(2)
    clock.forward(60)
    lab.lab_status()
    engine.end("scored", 4.0)
    assert lab.commit_or_revert(2).decision in ("kept", "confirming")


def test_start_says_what_the_state_is(lab: Lab, engine: Played, clock: Clock) -> None:
    assert "being measured; read_score(1)" in lab.start_campaign("first").next
    engine.end("tainted", 1.0)
    clock.forward(1)
    assert "tried again at" in lab.start_campaign("first").next
    lab.cancel_experiment(1)
    assert "was cancelled" in lab.start_campaign("first").next


def test_an_abandoned_campaign_asks_for_no_more_of_the_machine(lab: Lab, engine: Played, clock: Clock) -> None:
    lab.start_campaign("first", calibrate=0)
    engine.end("tainted", 1.0)
    lab.lab_status()
    lab.start_campaign("second", calibrate=0)
    engine.end("scored", 1.0)
    clock.forward(40)
    lab.lab_status()  # one retry was ordered before
    engine.end("tainted", 1.0)
    clock.forward(4000)
    lab.lab_status()
    assert not engine.alive
    lab.start_campaign("first")
    clock.forward(4000)
    lab.lab_status()
    assert engine.alive


def test_a_baseline_that_an_older_version_discarded_gets_a_successor(lab: Lab, engine: Played) -> None:
    lab.start_campaign("first")
    engine.end("tainted", 1.0)
    with lab.reading() as (bench, campaign, _):
        for run in bench.ledger.open_runs():
            bench.ledger.close_run(run, result_of("cancelled"), bench.stamp())
        bench.ledger.intend(campaign.tag, 1, "revert", None, Decided(reason="it has no score"), bench.stamp())
    assert "call run_experiment" in lab.lab_status().next
    assert lab.run_experiment("unchanged").experiment == 2
    engine.end("scored", 1.0)
    assert lab.read_score(2).status == Status.KEPT
    assert purposes(lab, 2) == ["first", "repeat", "seed"]
