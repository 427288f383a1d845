"""Case 35: program.md lies where an agent can write. In mid-campaign an edit opens nothing and lowers no bar."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from mcp_server.lab import Lab
from mcp_server.nouns.errors import AutoresearchError
from tests.labs import TRAIN, begun, decide, finish, make_lab

pytestmark = pytest.mark.abuse

BOUND = "secondary: {knob: {max: 2}}\n"
BEYOND = TRAIN.replace("KNOB = 1.0", "KNOB = 2.5")  # a better score, and over the bound
CHECKED = "checks: [python check.py]\n"


def rewritten(lab: Lab, before: str, after: str) -> None:
    program = lab.paths.program
    program.write_text(program.read_text().replace(before, after))


def drop_the_bound(lab: Lab) -> None:
    rewritten(lab, BOUND, "")


def put_a_link_in_its_place(lab: Lab) -> None:
    other = lab.paths.tree.parent / "program.md"
    other.write_text(lab.paths.program.read_text().replace(BOUND, ""))
    lab.paths.program.unlink()
    lab.paths.program.symlink_to(other)


def widen_the_bound_by_a_word(lab: Lab) -> None:
    rewritten(lab, "max: 2", "max: 2_000")


def name_the_key_twice(lab: Lab) -> None:
    rewritten(lab, BOUND, f"{BOUND}secondary: {{}}\n")


def begin_it_anew_beside_the_old(lab: Lab) -> None:
    """Another spelling of the name, where a file system or a reader might take it for the same."""
    (lab.paths.tree / "PROGRAM.md").write_text(lab.paths.program.read_text().replace(BOUND, ""))


def take_the_file_away(lab: Lab) -> None:
    lab.paths.program.unlink()


EDITS = (
    drop_the_bound,
    put_a_link_in_its_place,
    widen_the_bound_by_a_word,
    name_the_key_twice,
    begin_it_anew_beside_the_old,
    take_the_file_away,
)


@pytest.mark.parametrize("way", EDITS)
def test_a_bound_that_an_edit_lowers_holds_as_before(way: Any, tmp_path: Path, record_property: Any) -> None:
    lab = make_lab(tmp_path / "lab", more=BOUND)
    begun(lab)
    way(lab)
    (lab.paths.tree / "train.py").write_text(BEYOND)
    try:
        number = lab.run_experiment("over the bound").experiment
        finish(lab, number)
        happened = decide(lab, number).decision
    except AutoresearchError as error:
        happened = f"refused: {error}"[:60]
    record_property("abuse", [35, way.__name__.replace("_", " "), happened, "", "kept"])
    assert happened == "reverted" or happened.startswith("refused")


@pytest.mark.parametrize("place", ["the ledger", "the cache", "a link to the ledger", "the folder above", "/"])
def test_no_edit_and_no_beginning_makes_the_sealed_readable(
    place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, record_property: Any
) -> None:
    cache = tmp_path / "cache"
    (cache / "corpora").mkdir(parents=True)
    monkeypatch.setenv("AUTORESEARCH_CACHE", str(cache))
    lab = make_lab(tmp_path / "lab")
    state = lab.paths.state
    os.symlink(state, tmp_path / "innocent")
    named = {
        "the ledger": state,
        "the cache": cache / "corpora",
        "a link to the ledger": tmp_path / "innocent",
        "the folder above": tmp_path,
        "/": Path("/"),
    }[place]
    begun(lab)
    rewritten(lab, "devices: cpu\n", f"devices: cpu\nreadable: ['{named}']\n")
    spy = f"print(os.listdir({str(named)!r}))\n"
    (lab.paths.tree / "train.py").write_text(TRAIN.replace("time.sleep(SECONDS)", spy))
    reply = lab.run_experiment("read it")  # the rules of the beginning are in force
    assert any("only a person may do that" in words for words in reply.warnings)
    with pytest.raises(AutoresearchError, match="would open"):
        lab.amend(None)
    record_property(
        "abuse", [35, f"Makes {place} readable.", "not in force, refused to a person too", "", "sealed data"]
    )
