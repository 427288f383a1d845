"""The built-in researcher: what it reads of a file, what it writes into it, and how it learns from what came of it."""

from __future__ import annotations

import ast
from collections import Counter
from pathlib import Path

import pytest

from mcp_server.edits.movable import Move, constants, edited, written
from mcp_server.researcher.habits import (
    BETTER,
    FAILED,
    KEPT,
    UNKNOWN,
    WORSE,
    Trial,
    judged,
    kind_of,
    lesson,
    propose,
)

SOURCE = '''\
"""Größe and naïve text before the constants: offsets are of bytes."""
SEED = 7
DEPTH = pick(cpu=2, mps=4, cuda=9)  # blocks
MATRIX_LR = 0.04  # ¼ would be too much
HEAD_LR: float = 0.012
TABLE_ROWS = pick(cpu=2**17, mps=2**18, cuda=2**20)
COOLDOWN = 0.6
MUON_MOMENTUM = 0.95
SOFTCAP = 0.0
NAME = "not a number"
PAIR = (0.8, 0.95)
rate = 3


def main():
    INSIDE = 5
'''


def values(source: str, device: str = "cpu") -> dict[str, float | int]:
    return {constant.name: constant.value for constant in constants(source, device)}


def test_the_numbers_in_capitals_at_the_top_are_found_and_nothing_else() -> None:
    found = values(SOURCE)
    assert found["DEPTH"] == 2
    assert found["TABLE_ROWS"] == 2**17
    assert found["HEAD_LR"] == 0.012
    assert not {"NAME", "PAIR", "rate", "INSIDE"} & set(found)


def test_a_constant_with_a_value_for_each_device_is_read_and_written_for_the_one_in_use() -> None:
    assert values(SOURCE, "cuda:1")["DEPTH"] == 9
    after = edited(SOURCE, [Move("DEPTH", "9", "12")], "cuda:1")
    assert "DEPTH = pick(cpu=2, mps=4, cuda=12)  # blocks" in after


def test_an_edit_changes_the_constants_it_names_and_not_one_byte_more() -> None:
    after = edited(SOURCE, [Move("MATRIX_LR", "0.04", "0.08"), Move("COOLDOWN", "0.6", "0.9")])
    assert after == SOURCE.replace("0.04", "0.08").replace("COOLDOWN = 0.6", "COOLDOWN = 0.9")
    ast.parse(after)


def test_an_edit_of_a_value_that_is_not_there_is_refused() -> None:
    with pytest.raises(ValueError, match="MATRIX_LR is not"):
        edited(SOURCE, [Move("MATRIX_LR", "0.5", "1.0")])


@pytest.mark.parametrize(
    ("value", "like", "text"),
    [(16, "8", "16"), (2**16, "2**17", "2**16"), (3, "2**2", "3"), (0.0804, "0.04", "0.0804"), (0.4, "1", "1")],
)
def test_a_new_value_is_written_like_the_old_one(value: float, like: str, text: str) -> None:
    assert written(value, like) == text


@pytest.mark.parametrize("text", ["__import__('os')", "9**9**9**9", "'a' * 10**9", "True", "[1]", "2**1000"])
def test_what_is_no_plain_number_is_no_constant(text: str) -> None:
    assert values(f"KNOB = {text}\n") == {}


def test_the_same_seed_and_history_give_the_same_proposal() -> None:
    one, two = propose(SOURCE, [], seed=3), propose(SOURCE, [], seed=3)
    assert one is not None
    assert one == two
    assert one.source == edited(SOURCE, one.moves)


def test_different_seeds_look_elsewhere() -> None:
    first = {propose(SOURCE, [], seed).description for seed in range(100)}  # type: ignore[union-attr]
    assert len(first) > 5


def test_the_seed_and_what_is_switched_off_are_left_alone() -> None:
    moved = Counter(move.name for seed in range(120) for move in propose(SOURCE, [], seed).moves)  # type: ignore[union-attr]
    assert not moved["SEED"]
    assert not moved["SOFTCAP"]
    assert moved["MATRIX_LR"]


def share(trials: list[Trial], source: str, move: Move) -> float:
    """How often a move is proposed after these trials, over many seeds."""
    proposals = [propose(source, trials, seed) for seed in range(150)]
    return sum(found is not None and found.moves == (move,) for found in proposals) / len(proposals)


def test_a_direction_that_was_kept_is_followed_and_not_undone() -> None:
    kept = Trial(2, (Move("MATRIX_LR", "0.04", "0.08"),), KEPT, 0.01)
    source = edited(SOURCE, kept.moves)
    further, back = Move("MATRIX_LR", "0.08", "0.16"), Move("MATRIX_LR", "0.08", "0.04")
    assert share([kept], source, further) > 2 * share([], source, further)
    assert share([kept], source, back) < 0.02


def test_a_direction_that_hurt_is_turned_round() -> None:
    worse = Trial(2, (Move("MATRIX_LR", "0.04", "0.08"),), WORSE, -0.01)
    other = Move("MATRIX_LR", "0.04", "0.02")
    assert share([worse], SOURCE, other) > 1.5 * share([], SOURCE, other)


def test_nothing_is_proposed_twice_on_the_same_values() -> None:
    trials: list[Trial] = []
    for number in range(2, 60):
        found = propose(SOURCE, trials, seed=1)
        if found is None:
            break
        assert found.moves not in [trial.moves for trial in trials]
        trials.append(Trial(number, found.moves, WORSE, -0.01))
    assert propose(SOURCE, trials, seed=1) is None


def test_gains_too_small_to_be_sure_of_are_tried_together() -> None:
    near = [
        Trial(2, (Move("MATRIX_LR", "0.04", "0.08"),), UNKNOWN, 0.001),
        Trial(3, (Move("COOLDOWN", "0.6", "0.9"),), BETTER, 0.002),
    ]
    both = (near[0].moves[0], near[1].moves[0])
    found = [proposal for seed in range(120) if (proposal := propose(SOURCE, near, seed)) and proposal.moves == both]
    assert found
    assert found[0].source == SOURCE.replace("0.04", "0.08").replace("COOLDOWN = 0.6", "COOLDOWN = 0.9")


def test_the_hypothesis_names_what_was_seen_before() -> None:
    trials = [Trial(7, (Move("KNOB", "1.0", "2.0"),), WORSE, -0.25)]
    found = propose("KNOB = 1.0\n", trials, seed=0)
    assert found is not None
    assert "Experiment 7 moved it the other way and brought -0.2500." in found.hypothesis


def test_it_finds_the_valley_of_a_simple_arena_from_any_seed() -> None:
    for seed in range(20):
        source, best, trials = "KNOB_RATE = 1.0\nOTHER_RATE = 0.5\n", 4.25, list[Trial]()
        for number in range(2, 12):
            found = propose(source, trials, seed)
            if found is None:
                break
            now = values(found.source)
            loss = (now["KNOB_RATE"] - 3) ** 2 + now["OTHER_RATE"] ** 2
            gain, kept = best - loss, loss < best
            trials.append(Trial(number, found.moves, judged(kept, gain, (gain, gain)), gain))
            source, best = (found.source, loss) if kept else (source, best)
        assert best < 2.0, (seed, source)


def test_a_momentum_of_a_long_memory_is_never_moved_to_hardly_any() -> None:
    moved = {
        proposal.moves[0].after
        for seed in range(60)
        for value in ("0.95", "0.8")
        if (proposal := propose(f"MOMENTUM = {value}\n", [], seed)) is not None
    }
    assert moved == {"0.8", "0.9", "0.975", "0.6"}


def test_only_a_gain_whose_interval_leaves_zero_out_is_better_or_worse() -> None:
    assert judged(True, 0.1, (0.05, 0.15)) == KEPT
    assert judged(False, 0.1, (0.05, 0.15)) == BETTER
    assert judged(False, -0.1, (-0.15, -0.05)) == WORSE
    assert judged(False, 0.1, (-0.05, 0.25)) == UNKNOWN
    assert judged(False, -0.04, (-0.1, 0.02)) == UNKNOWN
    assert judged(False, -0.04, ()) == UNKNOWN
    assert judged(False, None, ()) == FAILED


def test_what_noise_could_explain_turns_no_direction_round_and_may_be_asked_again_on_another_base() -> None:
    up, down = Move("MATRIX_LR", "0.04", "0.08"), Move("MATRIX_LR", "0.04", "0.02")
    unknown = Trial(2, (up,), UNKNOWN, -0.01)
    kept = Trial(3, (Move("COOLDOWN", "0.6", "0.9"),), KEPT, 0.02)
    assert share([unknown], SOURCE, down) < 1.5 * share([], SOURCE, down)
    assert share([unknown], SOURCE, up) == 0.0
    assert share([unknown, kept], edited(SOURCE, kept.moves), up) > 0.0


def test_a_lesson_says_what_was_measured_and_for_which_budget() -> None:
    moves = (Move("ROWS", "8", "16"),)
    worse = Trial(4, moves, WORSE, -0.0312)
    said = lesson(worse, "val_bpb", "bits/byte", "20 s of processor time", (-0.04, -0.02), "")
    interval = "(95 % interval -0.0400 to -0.0200)"
    assert said.startswith(f"ROWS 8 -> 16 worsened val_bpb by 0.0312 bits/byte {interval}, at 20 s of processor time")
    assert said.endswith("The other direction is open.")
    crashed = lesson(Trial(5, moves, FAILED), "val_bpb", "", "20 s", (), "out_of_memory")
    assert crashed == "ROWS 8 -> 16 gave no score (out_of_memory), at 20 s a run."


@pytest.mark.parametrize("gain", [-0.0425, 0.0425])
@pytest.mark.parametrize("interval", [(-0.1, 0.1), ()])
def test_no_lesson_calls_an_unknown_thing_worse_or_better(gain: float, interval: tuple[float, ...]) -> None:
    outcome = judged(False, gain, interval)
    said = lesson(Trial(4, (Move("INIT", "0.6", "0.3"),), outcome, gain), "val_bpb", "bits/byte", "8 s", interval, "")
    assert "within noise" in said
    assert "Unknown, not failed" in said
    assert "worsened" not in said
    assert "improved" not in said


def test_the_shipped_train_py_offers_steps_of_many_kinds() -> None:
    source = (Path(__file__).parent.parent / "train.py").read_text("utf-8")
    kinds = {kind_of(constant.name).name for constant in constants(source)}
    assert {"batch", "rate", "schedule", "size", "start", "momentum"} <= kinds
