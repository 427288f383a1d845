"""Case 36: a handicap is committed before the campaign begins, and taken back as a gain."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.labs import attempt, begun, edit, finish, git, make_lab

pytestmark = pytest.mark.abuse

HANDICAPS = {"a constant that is far off": -2.0, "one that is off": 0.0, "one that is hardly off": 0.9}


@pytest.mark.parametrize("what", HANDICAPS)
def test_what_a_handicap_gave_away_is_no_gain_over_the_first_campaign(
    what: str, tmp_path: Path, record_property: Any
) -> None:
    lab = make_lab(tmp_path / "lab")  # KNOB = 1: a loss of 4
    begun(lab)
    edit(lab, KNOB=HANDICAPS[what])
    git(lab.paths.tree, "commit", "-qam", "a handicap")
    second = lab.start_campaign("second", calibrate=0)
    assert any("the lab's best is experiment 1 of first" in words for words in second.warnings)
    finish(lab, 1)
    decision = attempt(lab, "taken back", KNOB=1.0).decision
    totals = lab.lab_status().totals
    assert totals is not None
    claimed = totals.claimed_gain or 0.0  # of a small step the referee may not be sure
    record_property(
        "abuse",
        [
            36,
            f"Begins with {what}.",
            f"{decision}; since the first campaign: {totals.gain_since_first or 0.0:g}",
            "",
            f"{claimed:g}",
        ],
    )
    assert (claimed > 0.0) is (decision == "kept")
    assert (totals.gain_since_first or 0.0) <= 1e-9  # a loss, where the handicap stays
    if HANDICAPS[what] < 0:
        assert decision == "kept", "else nothing was to be shown"
