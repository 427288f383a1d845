"""What the runs of an experiment add up to, row by row: status, failure, scores by seed."""

from __future__ import annotations

from typing import Any

import pytest

from mcp_server.campaign.attempt import losses, losses_beside
from mcp_server.nouns.attempt import Attempt, failure_of, mean_score, status_of
from mcp_server.nouns.decided import Decided
from mcp_server.nouns.records import Half
from mcp_server.nouns.rows import Run
from tests.rules.records import arena, experiment, run

SCORED, CRASHED, REJECTED = run(score=1.0), run("crashed"), run("rejected")


@pytest.mark.parametrize(
    ("runs", "status"),
    [
        ([], "scored"),
        ([run("queued")], "queued"),
        ([run("running")], "running"),
        ([run("queued"), run("running")], "running"),
        ([SCORED], "scored"),
        ([SCORED, run("running")], "confirming"),
        ([run(score=1.0, tainted="a load"), run("running")], "running"),
        ([CRASHED], "crashed"),
        ([CRASHED, SCORED], "scored"),
        ([SCORED, REJECTED], "rejected"),
        ([REJECTED, CRASHED], "rejected"),
        ([run("timeout")], "timeout"),
        # what the lab orders on code that is decided already says nothing about its status
        ([SCORED, run("running", purpose="anchor")], "scored"),
        ([SCORED, run("queued", purpose="exam")], "scored"),
        ([SCORED, run("crashed", purpose="anchor"), run("rejected", purpose="exam")], "scored"),
    ],
)
def test_the_status_of_an_undecided_attempt_follows_from_its_own_runs(runs: list[Run], status: str) -> None:
    assert status_of(experiment(), runs) == status


def test_a_baseline_is_not_confirmed_but_measured() -> None:
    assert status_of(experiment(1, kind="baseline"), [SCORED, run("queued", purpose="repeat")]) == "queued"


@pytest.mark.parametrize(
    ("decision", "runs", "status"),
    [
        ("keep", [SCORED], "kept"),
        ("keep", [SCORED, run("running", purpose="confirm")], "kept"),
        ("overtaken", [SCORED], "overtaken"),
        ("revert", [SCORED], "discarded"),
        ("revert", [CRASHED], "crashed"),
        ("revert", [SCORED, REJECTED], "rejected"),
    ],
)
def test_a_decision_outweighs_what_runs_now(decision: str, runs: list[Run], status: str) -> None:
    assert status_of(experiment(decision=decision), runs) == status


@pytest.mark.parametrize(
    ("runs", "which"),
    [
        ([], None),
        ([run("running")], None),
        ([SCORED], None),
        ([CRASHED, SCORED], None),
        ([CRASHED, run("timeout")], 1),
        ([REJECTED, SCORED], 0),
        ([run("rejected", purpose="anchor"), CRASHED], 1),
        ([run("crashed", purpose="exam")], None),
    ],
)
def test_which_run_tells_why_there_is_no_score(runs: list[Run], which: int | None) -> None:
    assert failure_of(runs) == (None if which is None else runs[which])


def test_scores_are_means_by_seed_of_what_counts_and_smaller_is_better() -> None:
    runs = [
        run(score=1.0), run(score=3.0), run(score=5.0, seed=8, machine="there"), run(score=9.0, tainted="a load"),
        run(score=9.0, purpose="exam"), run("crashed"), run("running"),
    ]  # fmt: skip
    assert losses(runs, arena()) == {7: 2.0, 8: 5.0}
    assert losses(runs, arena(), machine="here") == {7: 2.0}
    assert losses(runs, arena(direction="maximize")) == {7: -2.0, 8: -5.0}
    assert mean_score(runs) == 3.5
    assert mean_score([run("crashed")]) is None


def test_beside_counts_what_this_incumbent_got_in_slots_that_count() -> None:
    runs = [
        run(score=1.0, incumbent=1, incumbent_score=4.0),
        run(score=1.0, incumbent=1, incumbent_score=6.0),
        run(score=1.0, seed=8, incumbent=5, incumbent_score=2.0),
        run(score=1.0, seed=9, incumbent=1, beside=Half(reason="crashed")),
        run(score=1.0, seed=10, incumbent=1, incumbent_score=3.0, tainted="a load"),
        run(score=1.0, seed=11, incumbent=1, incumbent_score=3.0, purpose="exam"),
    ]
    assert losses_beside(runs, arena(), 1) == {7: 5.0}
    assert losses_beside(runs, arena(), 5) == {8: 2.0}
    assert losses_beside(runs, arena(direction="maximize"), 1) == {7: -5.0}


# --- one shape for every face -----------------------------------------------------------------------------------------

AGAIN = run(score=3.0, seed=8, purpose="confirm")
JUDGED = {"outcome": "discarded", "score": 5.0, "change": -1.0, "low": -2.0, "high": 0.5, "noise_widths": -1.5}


@pytest.mark.parametrize(
    ("decided", "runs", "shown"),
    [
        # decision, label, verdict -> status, score, outcome, mark
        ({}, [run("running")], ("running", None, "running", "running")),
        ({}, [SCORED], ("scored", 1.0, "scored", "scored")),
        ({}, [run(score=1.0, tainted="a load")], ("scored", None, "scored", "tainted")),
        ({"decision": "keep", "label": "provisional"}, [SCORED, AGAIN], ("kept", 2.0, "kept", "provisional")),
        (
            {"decision": "keep", "kind": "baseline", "label": "baseline"},
            [SCORED],
            ("kept", 1.0, "baseline", "baseline"),
        ),
        # what was not kept is shown as its verdict saw it, also where more was measured since
        ({"decision": "revert", "verdict": Decided(**JUDGED)}, [SCORED], ("discarded", 5.0, "discarded", "discarded")),
        ({"decision": "revert", "verdict": Decided(**JUDGED)}, [], ("discarded", 5.0, "discarded", "discarded")),
        # a record of an older version lacks the outcome, so the runs tell it
        ({"decision": "revert"}, [CRASHED], ("crashed", None, "crashed", "crashed")),
        (
            {"decision": "overtaken", "verdict": Decided(**JUDGED)},
            [SCORED],
            ("overtaken", 5.0, "overtaken", "overtaken"),
        ),
    ],
)
def test_an_attempt_is_shown_the_same_everywhere(
    decided: dict[str, Any], runs: list[Run], shown: tuple[str, float | None, str, str]
) -> None:
    found = Attempt.of(experiment(**decided), runs)
    assert (found.status, found.score, found.outcome, found.mark) == shown
    assert found.open is (shown[0] == "running")


@pytest.mark.parametrize(
    ("incumbents", "status"),
    [
        ([], "scored"),
        ([SCORED, run("running", purpose="repeat", seed=99)], "confirming"),
        ([run("running", purpose="confirm")], "confirming"),
        ([run("running", purpose="anchor", seed=8)], "scored"),  # on no seed of this one
        ([run("queued", purpose="exam")], "scored"),
    ],
)
def test_an_attempt_that_waits_for_the_incumbents_run_is_still_being_confirmed(
    incumbents: list[Run], status: str
) -> None:
    found = Attempt.of(experiment(), [SCORED], incumbent=incumbents)
    assert (found.status, found.open, bool(found.beside)) == (status, status == "confirming", status == "confirming")
    assert Attempt.of(experiment(decision="revert"), [SCORED], incumbent=incumbents).status == "discarded"


def test_a_gain_is_the_verdicts_with_its_interval_and_widths() -> None:
    found = Attempt.of(experiment(decision="revert", verdict=Decided(**JUDGED)), [])
    assert (found.gain, found.interval, found.widths) == (-1.0, (-2.0, 0.5), -1.5)
