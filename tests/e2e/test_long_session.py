"""Twelve iterations in one session of Claude Code, with the program and a style edited in between."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from mcp_server.ledger import Ledger
from tests.e2e.drivers import claude
from tests.e2e.endpoint import serving
from tests.e2e.night import TAG
from tests.e2e.repositories import PROGRAM, lay_project
from tests.e2e.script import Call, Say, Script, edit, until_decided, until_scored

ITERATIONS = 12
MEMO_EDIT, STYLE_EDIT, BROKEN_EDIT, MENDED = 4, 7, 9, 10  # before these iterations a person edits something


@pytest.mark.usefixtures("needs_claude")
def test_twelve_iterations_record_the_program_and_style_they_ran_under(tmp_path: Path, home: Path) -> None:
    lab = lay_project(tmp_path / "lab")
    (lab / "styles").mkdir()
    (lab / "styles" / "mine.md").write_text("Style: mine\n\nHalf the distance each time.\n")
    program = PROGRAM.replace("devices: cpu\n", "devices: cpu\nstyle: mine\n")
    (lab / "program.md").write_text(program)
    told: list[dict[str, str]] = []

    def person(iteration: int) -> None:
        """What a person does meanwhile, in an editor of their own."""
        if iteration == MEMO_EDIT:
            (lab / "program.md").write_text(program + "\nPrefer round numbers.\n")
        if iteration == STYLE_EDIT:
            (lab / "styles" / "mine.md").write_text("Style: mine\n\nTwo thirds of the distance each time.\n")
        if iteration == BROKEN_EDIT:
            (lab / "program.md").write_text(program.replace("goal:", "gaol:"))
        if iteration == MENDED:
            (lab / "program.md").write_text(program + "\nPrefer round numbers. Stop at the target.\n")

    def play() -> Script:
        yield Call("start_campaign", {"tag": TAG, "calibrate": 0})
        yield from until_scored(1)
        knob = 1.0
        for iteration in range(1, ITERATIONS + 1):
            person(iteration)
            status = yield Call("lab_status")
            told.append({name: str(status.data.get(name, "")) for name in ("style_text", "memo", "problems")})
            better = round(knob + 0.1, 1)
            yield from edit("train.py", f"KNOB = {knob}", f"KNOB = {better}")
            ran = yield Call("run_experiment", {"description": f"KNOB {better}"})
            yield from until_scored(ran["experiment"])
            decided = yield from until_decided(ran["experiment"])
            assert decided["decision"] == "kept", decided.text
            knob = better
            yield Call(
                "append_learnings", {"text": f"At {better} it is still too low.", "experiment": ran["experiment"]}
            )
        yield Say("twelve")

    own = {"AUTORESEARCH_PYTHON": sys.executable}
    with serving(play(), str(lab)) as endpoint, claude(endpoint, lab, home, **own) as client:
        session = client.wait(400)
    assert session.event(type="result")["result"] == "twelve"

    ledger = Ledger(lab / ".git" / "autoresearch" / "lab.db")
    ran_under = [(one.program, one.style) for one in ledger.experiments(TAG) if one.number > 1]
    ledger.close()
    assert len(ran_under) == ITERATIONS
    programs = [version for version, _ in ran_under]
    first, second, third = programs[0], programs[MEMO_EDIT - 1], programs[MENDED - 1]
    # a broken edit changes nothing: the last valid version stays in force until it is mended
    assert programs == [first] * 3 + [second] * 6 + [third] * 3
    assert len({first, second, third}) == 3
    assert all((style or "").startswith("mine@") for _, style in ran_under)
    assert len({style for _, style in ran_under}) == 2  # the edited style is another one
    # a style and a memo are told once, and again when they changed
    assert [number for number, one in enumerate(told, 1) if "Half" in one["style_text"]] == [1]
    assert [number for number, one in enumerate(told, 1) if "Two thirds" in one["style_text"]] == [STYLE_EDIT]
    assert [number for number, one in enumerate(told, 1) if one["memo"]] == [1, MEMO_EDIT, MENDED]
    assert ["gaol" in one["problems"] for one in told] == [False] * 8 + [True] + [False] * 3
