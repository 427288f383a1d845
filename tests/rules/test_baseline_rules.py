"""Which runs a baseline is born with, which are missing, and when it has failed: row by row."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest

from mcp_server.nouns.baseline import FIRST_WAIT_SECONDS, LONGEST_WAIT_SECONDS, Baseline, calibration, quiet_again
from mcp_server.nouns.rows import Run
from tests.rules.records import AT, experiment, run

FIRST, LOST = run(score=4.0), run("lost")
TAINTED = run(score=4.0, tainted="a load")


def baseline(*runs: Run, **given: Any) -> Baseline:
    return Baseline(experiment(1, kind="baseline", **given), runs)


def again(**given: Any) -> Run:
    return run(score=4.0, tainted="a load", purpose="retry", **given)


@pytest.mark.parametrize(
    ("extra", "paired", "runs"),
    [
        (0, False, ["first"]),
        (1, False, ["first", "repeat"]),
        (3, False, ["first", "repeat", "seed", "seed"]),
        (0, True, ["first"]),
        (1, True, ["first"]),  # in a slot it has its own repeat beside it
        (3, True, ["first", "seed", "seed"]),
    ],
)
def test_a_baseline_is_born_with_a_run_and_those_that_measure_its_noise(
    extra: int, paired: bool, runs: list[str]
) -> None:
    found = calibration(7, extra, paired)
    assert [purpose for _, purpose in found] == runs
    seeds = [seed for seed, _ in found]
    assert len(set(seeds)) == len(seeds) - runs.count("repeat")
    assert seeds[0] == 7


@pytest.mark.parametrize(
    ("runs", "calibrated", "failed", "repeated"),
    [
        ((run("queued"),), False, False, []),
        ((FIRST,), True, False, []),
        ((FIRST, run("running", purpose="repeat")), False, False, []),
        ((FIRST, run("crashed", purpose="seed", seed=8)), True, False, []),
        ((run("crashed"),), False, True, []),
        ((run("rejected"),), False, True, []),
        ((FIRST, run("rejected", purpose="repeat")), True, True, []),
        ((TAINTED,), False, False, [7]),
        ((TAINTED, again()), False, False, [7]),
        ((TAINTED, run("cancelled", purpose="retry")), False, True, []),
        ((LOST,), False, False, [7]),
        ((LOST, LOST), False, False, [7]),
        ((LOST, run("lost", purpose="retry"), run("lost", purpose="retry")), False, True, []),
        ((FIRST, run(score=4.0, seed=8, purpose="seed", tainted="a load")), False, False, [8]),
        # while the machine is known to be quiet all that is missing is made up for at once
        ((TAINTED, run("lost", seed=8, purpose="seed"), run(score=4.0, seed=9, purpose="seed")), False, False, [7, 8]),
    ],
)
def test_when_a_baseline_is_calibrated_when_it_failed_and_what_is_repeated(
    runs: tuple[Run, ...], calibrated: bool, failed: bool, repeated: list[int]
) -> None:
    found = baseline(*runs)
    assert (found.calibrated, found.failed, found.again()) == (calibrated, failed, repeated)


def test_a_repeat_for_a_candidates_sake_is_no_part_of_the_measuring() -> None:
    found = baseline(FIRST, run("running", purpose="confirm"), run("rejected", purpose="anchor"))
    assert (found.calibrated, found.rejected, found.open) == (True, False, ())


@pytest.mark.parametrize(("decision", "failed"), [("keep", False), ("revert", True), ("overtaken", True)])
def test_a_decision_says_whether_a_baseline_failed(decision: str, failed: bool) -> None:
    assert baseline(FIRST, decision=decision).failed is failed


def test_the_branch_carries_a_kept_baseline_only_once_git_has_followed() -> None:
    assert not baseline(FIRST, decision="keep").kept
    assert baseline(FIRST, decision="keep", settled=True).kept


def test_only_the_world_is_awaited_while_every_open_run_is_out() -> None:
    assert baseline(run("pending")).in_the_field
    assert not baseline(run("pending"), run("queued", purpose="seed")).in_the_field
    assert not baseline(FIRST, run("pending", purpose="seed")).in_the_field
    assert not baseline(FIRST).in_the_field


@pytest.mark.parametrize(
    ("runs", "seconds"),
    [
        ((FIRST,), None),
        ((LOST,), None),
        ((TAINTED,), FIRST_WAIT_SECONDS),
        ((TAINTED, again()), 2 * FIRST_WAIT_SECONDS),
        ((TAINTED, again(), again()), 4 * FIRST_WAIT_SECONDS),
        ((TAINTED, *[again()] * 20), LONGEST_WAIT_SECONDS),
        ((again(), again(), run("lost", purpose="retry"), again()), 2 * FIRST_WAIT_SECONDS),
        ((run("running", closed_at=None),), None),
    ],
)
def test_a_repeat_waits_longer_each_time_other_programs_were_busy(runs: tuple[Run, ...], seconds: float | None) -> None:
    due = quiet_again(runs)
    assert due == (None if seconds is None else datetime.fromisoformat(AT) + timedelta(seconds=seconds))
