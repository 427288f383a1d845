"""Which labs a user has: each is noted when it is opened, however many are at once, and nothing of its research is."""

from __future__ import annotations

import json
import os
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner

from mcp_server.cli import cli
from mcp_server.lab import Lab
from mcp_server.nouns.paths import labs_folder
from mcp_server.personal.labs import AGAIN_SECONDS, FORGOTTEN_DAYS, MOST, Known, introduce, key_of, known_labs
from tests.labs import begun, make_lab

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


def folder() -> Path:
    found = labs_folder()
    assert found is not None
    return found


def note(name: str, days: float = 0.0, at: Path = Path("/nowhere")) -> Known:
    """A lab that was noted some days ago, and is not there."""
    known = Known(tree=at / name, common=at / name / ".git", lab="ab12", at=NOW - timedelta(days=days))
    folder().mkdir(parents=True, exist_ok=True)
    (folder() / f"{known.key}.json").write_text(known.model_dump_json())
    return known


def test_a_lab_joins_when_a_command_opened_it_and_only_its_owner_can_read_where_it_is(tmp_path: Path) -> None:
    lab = make_lab(tmp_path / "lab")
    CliRunner().invoke(cli, ["-C", str(lab.paths.tree), "status"])
    assert known_labs() == []  # nothing has begun there
    begun(lab)
    assert CliRunner().invoke(cli, ["-C", str(lab.paths.tree), "status"]).exit_code == 0
    [known] = known_labs()
    assert (known.folder, known.here, known.paths) == (lab.paths.tree, True, lab.paths)
    [file] = folder().iterdir()
    assert (file.stat().st_mode & 0o777, folder().stat().st_mode & 0o777) == (0o600, 0o700)
    assert set(json.loads(file.read_text())) == {"version", "tree", "common", "lab", "at"}
    lab.close()


def test_many_processes_note_their_labs_at_once_and_every_file_is_whole(tmp_path: Path) -> None:
    labs = [begun(make_lab(tmp_path / f"lab{n}")) for n in range(3)]
    children = []
    for turn in range(9):
        child = os.fork()
        if child == 0:
            for hour in range(4):
                introduce(labs[turn % 3].paths, NOW + timedelta(hours=2 * hour))
            os._exit(0)
        children.append(child)
    assert [os.waitpid(child, 0)[1] for child in children] == [0] * 9
    assert {known.folder for known in known_labs()} == {lab.paths.tree for lab in labs}
    assert {file.name for file in folder().iterdir()} == {f"{key_of(lab.paths.common)}.json" for lab in labs}
    for lab in labs:
        lab.close()


def test_a_lab_in_use_is_noted_once_an_hour_and_from_another_work_tree_at_once(tmp_path: Path) -> None:
    lab = begun(make_lab(tmp_path / "lab"))
    introduce(lab.paths, NOW)
    introduce(lab.paths, NOW + timedelta(seconds=AGAIN_SECONDS - 1))
    assert known_labs()[0].at == NOW
    lab.workspace.git.do("worktree", "add", "--quiet", "--detach", str(tmp_path / "second"))
    introduce(Lab(tmp_path / "second").paths, NOW)
    [known] = known_labs()
    assert (known.tree, known.folder) == (tmp_path / "second", lab.paths.tree)
    shutil.rmtree(tmp_path / "second")
    assert known.paths.tree == lab.paths.tree  # the repository is there, whichever work tree is not
    lab.close()


def test_there_are_never_more_than_so_many_and_what_has_been_gone_for_long_is_forgotten(tmp_path: Path) -> None:
    for number in range(MOST + 20):
        note(f"lab{number}", days=(number + 1) / 100)
    long_gone = note("long-gone", days=FORGOTTEN_DAYS + 1)
    lab = begun(make_lab(tmp_path / "lab"))
    introduce(lab.paths, NOW)
    found = known_labs()
    assert len(found) == len(list(folder().iterdir())) == MOST
    assert [one.folder.name for one in found[:3]] == ["lab", "lab0", "lab1"]
    assert long_gone not in found
    lab.close()


def test_a_folder_full_of_labs_makes_room_for_its_own(tmp_path: Path) -> None:
    mine = [note(f"mine{number}", days=9.0 + number / 100) for number in range(3)]
    for number in range(MOST):
        note(f"arm{number}", days=(number + 1) / 100, at=Path("/tournament"))
    lab = begun(make_lab(tmp_path / "lab"))
    introduce(lab.paths, NOW)
    names = [one.folder.name for one in known_labs()]
    assert names == ["lab", *(f"arm{number}" for number in range(MOST - 4)), *(one.folder.name for one in mine)]
    lab.close()


@pytest.mark.parametrize("text", ["", "{", "[]", '{"version": 2}', "x" * 100_000])
def test_a_file_that_says_nothing_or_belongs_to_another_lab_is_left_out(text: str, tmp_path: Path) -> None:
    good = note("good")
    (folder() / "bad-00000000.json").write_text(text)
    (folder() / "other-00000000.json").write_text(good.model_dump_json())
    (tmp_path / "elsewhere.json").write_text(note("linked").model_dump_json())
    link = folder() / f"{note('linked').key}.json"
    link.unlink()
    link.symlink_to(tmp_path / "elsewhere.json")
    assert known_labs() == [good]


def test_off_notes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUTORESEARCH_LABS", "off")
    lab = begun(make_lab(tmp_path / "lab"))
    introduce(lab.paths, NOW)
    assert known_labs() == []
    refused = CliRunner().invoke(cli, ["-C", str(tmp_path), "dashboard", "--all"])
    assert refused.exit_code == 1
    assert "AUTORESEARCH_LABS is off" in refused.output
    lab.close()
