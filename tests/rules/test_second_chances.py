"""Which ended run is a look at its code, which is excused, and how often a code may be run again: row by row."""

from __future__ import annotations

import pytest

from mcp_server.judging.looks import excused, excuses_left, looks, may_repeat, repeats_left, told_live
from mcp_server.nouns.records import Crash
from mcp_server.nouns.rows import Run
from tests.rules.records import run

SCORED, LOST, TAINTED = run(score=1.0), run("lost"), run(score=1.0, tainted="a load")
CRASH = Crash(kind="OSError", message="no space")


@pytest.mark.parametrize(
    ("ended", "is_excused", "repeatable"),
    [
        (SCORED, False, False),
        (LOST, True, True),
        (TAINTED, True, True),
        (run("cancelled"), False, True),
        (run("crashed"), False, False),
        (run("timeout"), False, False),
        (run("rejected"), False, False),
        (run("crashed", reason="no_sandbox"), True, True),
        (run("crashed", reason="disk_full"), True, True),
        (run("crashed", reason="disk_full", crash=CRASH), False, False),  # the trainer's word, not the supervisor's
        (run("rejected", reason="disk_full"), False, False),
        (run("running"), False, False),
    ],
)
def test_only_what_a_trainer_cannot_say_about_itself_is_excused(ended: Run, is_excused: bool, repeatable: bool) -> None:
    assert (excused(ended), may_repeat(ended)) == (is_excused, repeatable)


@pytest.mark.parametrize(
    ("runs", "seen"),
    [
        ([], {}),
        ([run("running")], {}),
        ([SCORED, run(score=2.0, seed=8)], {7: 1, 8: 1}),
        ([run("cancelled"), run("crashed"), SCORED], {7: 3}),
        ([LOST] * 3 + [SCORED], {7: 1}),
        ([LOST] * 4 + [SCORED], {7: 2}),
        ([LOST] * 3 + [run("lost", seed=8)] * 3, {7: 0, 8: 0}),
        ([run(score=1.0, purpose="exam"), run("crashed", purpose="anchor"), SCORED], {7: 1}),
    ],
)
def test_every_ended_run_is_a_look_but_three_that_are_excused(runs: list[Run], seen: dict[int, int]) -> None:
    assert looks(runs) == seen


@pytest.mark.parametrize(
    ("runs", "repeats", "excuses"),
    [
        ([SCORED], 5, 3),
        ([SCORED] * 5, 1, 3),
        ([SCORED] * 6, 0, 3),
        ([SCORED] * 9, 0, 3),
        ([LOST, LOST], 4, 1),
        ([LOST] * 5, 1, 0),
        ([run("lost", seed=8), run("lost", purpose="anchor")], 6, 3),
    ],
)
def test_a_code_is_repeated_on_a_seed_only_so_often(runs: list[Run], repeats: int, excuses: int) -> None:
    assert (repeats_left(runs, 7), excuses_left(runs, 7)) == (repeats, excuses)


@pytest.mark.parametrize("purpose", ["first", "confirm", "retry", "repeat", "seed", "anchor", "exam"])
def test_only_a_first_run_can_be_watched(purpose: str) -> None:
    assert told_live(run("running", purpose=purpose)) is (purpose == "first")
