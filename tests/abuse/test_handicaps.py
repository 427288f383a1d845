"""Case 36: a handicap is committed before the campaign begins, and taken back as a gain."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.labs import attempt, begin, edit, finish, git, make_lab

pytestmark = pytest.mark.abuse

HANDICAPS = {"a constant that is far off": -2.0, "one that is off": 0.0, "one that is hardly off": 0.9}


@pytest.mark.parametrize("what", HANDICAPS)
def test_what_a_handicap_gave_away_is_no_gain_over_the_first_campaign(
    what: str, tmp_path: Path, record_property: Any
) -> None:
    lab = make_lab(tmp_path / "lab")  # KNOB = 1: a loss of 4
    begin(lab)
    edit(lab, KNOB=HANDICAPS[what])
    git(lab.paths.tree, "commit", "-qam", "a handicap")
    begun = lab.start_campaign("second", calibrate=0)
    assert any("the lab's best is experiment 1 of first" in words for words in begun.warnings)
    finish(lab, 1)
    attempt(lab, "taken back", KNOB=1.0)
    totals = lab.lab_status().totals
    assert totals is not None
    happened = f"gain since the first campaign: {totals.gain_since_first:g}"
    record_property("abuse", [36, f"Begins with {what}.", happened, "", f"{totals.claimed_gain:g}"])
    assert totals.claimed_gain > 0.3
    assert totals.gain_since_first == pytest.approx(0.0)
