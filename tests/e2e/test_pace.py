"""How much of the device's time a loop uses, with the real client and a model that follows the skill word for word."""

from __future__ import annotations

import sys
from datetime import datetime
from pathlib import Path

import pytest

from mcp_server.ledger import Ledger
from tests.e2e.drivers import claude, plug
from tests.e2e.endpoint import serving
from tests.e2e.loop import TAG, Notes, researcher
from tests.e2e.repositories import lay_lab

pytestmark = [pytest.mark.usefixtures("needs_claude"), pytest.mark.slow]
OWN = {"AUTORESEARCH_PYTHON": sys.executable}
SLOTS, SLOT_SECONDS = 6, 20.0


def share_used(lab: Path, slots: int) -> float:
    """The share of the time, from the first of the last `slots` experiments to its end, in which a run was open."""
    ledger = Ledger(lab / ".git" / "autoresearch" / "lab.db")
    first = ledger.experiments(TAG)[-slots]
    runs = [run for one in ledger.experiments(TAG) for run in ledger.runs(TAG, one.number)]
    ledger.close()
    spans = sorted(
        (datetime.fromisoformat(run.opened_at), datetime.fromisoformat(run.closed_at or ""))
        for run in runs
        if run.opened_at >= first.opened_at
    )
    used, until = 0.0, spans[0][0]
    for begin, end in spans:
        used += max(0.0, (end - max(begin, until)).total_seconds())
        until = max(until, end)
    return used / (until - spans[0][0]).total_seconds()


def test_a_headless_loop_uses_its_slots(tmp_path: Path, home: Path) -> None:
    lab = plug(lay_lab(tmp_path / "lab", seconds=SLOT_SECONDS, experiments=SLOTS + 1), home)
    notes = Notes()
    with serving(researcher(lab, notes), str(lab)) as endpoint, claude(endpoint, lab, home, **OWN) as client:
        session = client.wait(600)
    assert session.event(type="result")["permission_denials"] == []
    assert len(notes.decisions) == SLOTS
    used = share_used(lab, SLOTS)
    print(f"share of {SLOTS} slots of {SLOT_SECONDS:g} s used: {used:.3f}")
    assert used >= 0.95


def test_a_turn_that_ends_early_is_followed_by_another_within_about_a_minute(tmp_path: Path, home: Path) -> None:
    lab = plug(lay_lab(tmp_path / "lab", experiments=5), home)
    notes = Notes()
    script = researcher(lab, notes, a_turn=3)
    with serving(script, str(lab)) as endpoint, claude(endpoint, lab, home, **OWN) as client:
        session = client.wait(600)
        said = endpoint.model.turns
    assert notes.stop
    assert len(notes.decisions) == 4
    assert said[:-1] == ["More in a minute."] * (len(said) - 1)
    assert len(said) > 1
    assert [event["result"] for event in session.events if event.get("type") == "result"][-1] == "The campaign is over."
