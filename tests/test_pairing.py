"""When the incumbent is trained beside an attempt: the rule, from numbers alone."""

from __future__ import annotations

from dataclasses import replace

import pytest

from mcp_server.arena.program import parse_program
from mcp_server.judging.pairing import Machine, Work, choose, words
from mcp_server.nouns.errors import ArenaError

LAPTOP = Machine("cpu", equal_cards=0, cores=2, free_bytes=8e9)
TRAINS = Work("cpu", threads=1, needed_bytes=1e9, exact=False)


def test_a_machine_with_two_cores_to_spare_trains_both_at_once() -> None:
    choice = choose("auto", LAPTOP, TRAINS)
    assert choice.pairing == "side_by_side"
    assert words(choice).startswith("side by side: 2 cores")


@pytest.mark.parametrize(
    ("machine", "work", "why"),
    [
        (replace(LAPTOP, cores=1), TRAINS, "1 core is too few"),
        (LAPTOP, replace(TRAINS, threads=2), "too few"),
        (replace(LAPTOP, free_bytes=2e9), TRAINS, "2.5 GB and 2.0 GB are free"),
        (replace(LAPTOP, free_bytes=4e9), replace(TRAINS, needed_bytes=None), "5.0 GB"),
        (LAPTOP, replace(TRAINS, exact=True), "the very same score"),
        (LAPTOP, replace(TRAINS, clock="wall"), "wall time"),
        (Machine("cuda", 1, 16, 64e9), replace(TRAINS, clock="wall"), "one GPU"),
        (Machine("mps", 0, 8, 16e9), TRAINS, "one device"),
    ],
)
def test_where_a_pair_cannot_be_or_would_not_help_runs_stay_sequential(machine: Machine, work: Work, why: str) -> None:
    choice = choose("auto", machine, work)
    assert choice.pairing == ""
    assert why in choice.why
    assert not choice.refused


def test_two_equal_cards_make_a_pair_and_a_third_of_another_model_does_not() -> None:
    assert choose("auto", Machine("cuda", 2, 16, 64e9), replace(TRAINS, clock="wall")).pairing == "side_by_side"
    assert choose("auto", Machine("cuda", 1, 16, 64e9), replace(TRAINS, clock="wall")).pairing == ""


def test_what_is_asked_for_is_done_even_where_nothing_is_won() -> None:
    assert choose("side_by_side", LAPTOP, replace(TRAINS, exact=True)).pairing == "side_by_side"
    assert choose("side_by_side", LAPTOP, replace(TRAINS, clock="wall")).pairing == "side_by_side"
    assert choose("sequential", LAPTOP, TRAINS).pairing == ""


def test_a_pair_that_is_asked_for_on_one_core_takes_turns_and_says_what_that_costs() -> None:
    choice = choose("side_by_side", replace(LAPTOP, cores=1), TRAINS)
    assert choice.pairing == "alternating"
    assert "twice as long" in words(choice)


def test_a_pair_that_is_asked_for_and_impossible_is_refused_loudly() -> None:
    for machine, work in (
        (replace(LAPTOP, free_bytes=1e9), TRAINS),
        (replace(LAPTOP, cores=1), replace(TRAINS, clock="wall")),
        (Machine("cuda", 1, 16, 64e9), TRAINS),
    ):
        choice = choose("side_by_side", machine, work)
        assert (choice.pairing, choice.refused) == ("", True)
        assert words(choice).startswith("sequential: program.md asks for side_by_side, but ")


PROGRAM = """---
goal: less
metric: {{name: loss, direction: minimize}}
editable: [train.py]
run: python train.py
score: python score.py
{more}
---
"""


@pytest.mark.parametrize("more", ["score_incumbent: true", "handover: market"])
def test_an_arena_whose_incumbent_is_measured_elsewhere_cannot_ask_for_pairs(more: str) -> None:
    with pytest.raises(ArenaError, match="side_by_side"):
        parse_program(PROGRAM.format(more=more + "\nkeep: {pairing: side_by_side}"))


@pytest.mark.parametrize("wrong", ["threads: 0", "threads: many", "keep: {pairing: twice}"])
def test_a_wrong_key_is_refused_with_its_line(wrong: str) -> None:
    with pytest.raises(ArenaError, match=r"line 7"):
        parse_program(PROGRAM.format(more=wrong))


def test_threads_and_pairing_are_keys_of_the_arena() -> None:
    arena = parse_program(PROGRAM.format(more="threads: 2\nkeep: {pairing: sequential}")).arena
    assert (arena.threads, arena.keep.pairing) == (2, "sequential")
    assert parse_program(PROGRAM.format(more="")).arena.threads == "auto"
