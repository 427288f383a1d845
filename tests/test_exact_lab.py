"""A lab whose scores have no noise, with the rules that a new lab has."""

from __future__ import annotations

from pathlib import Path

from tests.labs import attempt, begin, make_lab


def test_a_plain_gain_in_an_exact_lab_is_kept_after_a_few_equal_repeats(tmp_path: Path) -> None:
    lab = make_lab(tmp_path / "lab", more="keep: {confirm: auto}\n")
    begin(lab)
    assert attempt(lab, KNOB=2.0).decision == "kept"
    assert 1 < len(lab.read_score(2).runs) <= 4  # the list is told where there are several
    assert attempt(lab, KNOB=2.5).decision == "kept"
    assert attempt(lab, KNOB=2.25).decision == "reverted"


def test_an_arena_that_wants_no_repeats_keeps_a_gain_of_one_step_of_its_score(tmp_path: Path) -> None:
    lab = make_lab(tmp_path / "lab", more="keep: {confirm: never}\n")
    begin(lab, calibrate=1)
    for knob in (1.25, 1.5, 1.75, 2.0):
        assert attempt(lab, KNOB=knob).decision == "kept"
    assert not lab.read_score(5).runs  # one run needs no list
