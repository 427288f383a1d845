"""track: the user's file mirrors a lab into trackers while it works, and a failure touches no run."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mcp_server.exporting.tracking import trackers_of
from mcp_server.nouns.errors import ArenaError
from mcp_server.nouns.files import is_locked
from mcp_server.personal.beside import lock_of
from tests.labs import attempt, begun, make_lab, told, until


def test_a_lab_is_mirrored_while_it_works_and_what_fails_touches_no_run(tmp_path: Path) -> None:
    lab = begun(make_lab(tmp_path / "lab"))
    mirror = tmp_path / "mirror.jsonl"
    (tmp_path / "mine.csv").write_text("not ours\n")
    told(f"track:\n  - {{csv: {tmp_path}/mine.csv}}\n  - {{jsonl: {mirror}}}\n")
    assert attempt(lab, "two", KNOB=2.0).decision == "kept"

    def statuses() -> list[str]:
        lines = mirror.read_text().splitlines() if mirror.exists() else []
        return [json.loads(line)["status"] for line in lines]

    until(lambda: statuses() == ["kept", "kept"])
    assert attempt(lab, "nine", KNOB=9.0).decision == "reverted"
    until(lambda: statuses() == ["kept", "kept", "discarded"])
    lab.close()
    until(lambda: not is_locked(lock_of(lab.paths.state)))
    assert "is no export of ours" in (lab.paths.state / "notify.log").read_text()
    assert (tmp_path / "mine.csv").read_text() == "not ours\n"


def test_a_tracker_is_for_the_labs_that_it_names(tmp_path: Path) -> None:
    told(f"track: {{mlflow: ~/a.db, project: night, labs: [{tmp_path}/one]}}\n")
    (only,) = trackers_of(tmp_path / "one")
    assert (only.target, only.where, only.project) == ("mlflow", str(Path.home() / "a.db"), "night")
    assert trackers_of(tmp_path / "two") == []


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("track: [{mlfow: 'http://a'}]", "Did you mean `mlflow`?"),
        ("track: [{mlflow: 'http://a', csv: /a}]", "exactly one of"),
        ("track: [{csv: a.csv}]", "no whole path"),
        ("track: [{csv: /a.csv, projekt: a}]", "track 1, `projekt`"),
        ("track: [{csv: /a.csv, where: b}]", "are no keys"),
        ("track: [{wandb: /a, mode: loud}]", "track 1, `mode`"),
        ("track: [csv]", "exactly one of"),
    ],
)
def test_a_mistake_is_named(text: str, said: str, tmp_path: Path) -> None:
    told(text)
    with pytest.raises(ArenaError) as error:
        trackers_of(tmp_path)
    assert said in str(error.value)
