"""Every shipped arena is whole: a program that holds, the files it names, and words about what it teaches."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from mcp_server.arena.program import load_program
from mcp_server.setup.newlab import template, templates, write_lab
from tests.arenas.campaigns import ROOT
from tests.labs import git

ARENAS = [name for name in templates() if name != "lm"]


def test_the_arenas_of_this_repository_are_templates() -> None:
    assert {"packing", "speed", "tabular", "rubric"} <= set(ARENAS)
    assert {"backtest", "bidding", "ads", "game", "ranking", "contracts", "prompt"} <= set(ARENAS)
    assert {path.name for path in (ROOT / "arenas").iterdir() if (path / "program.md").is_file()} == set(ARENAS)


@pytest.mark.parametrize("name", ARENAS)
def test_a_new_lab_has_every_file_its_program_names(name: str, tmp_path: Path) -> None:
    written = write_lab(template(name), tmp_path / "lab", own_repository=True)
    arena = load_program(tmp_path / "lab" / "program.md").arena
    scripts = [
        word
        for command in (arena.run, arena.score, *arena.checks)
        for word in shlex.split(command)
        if word.endswith(".py")
    ]
    for path in (*arena.editable, *arena.frozen, *scripts):
        assert list((tmp_path / "lab").glob(path.rstrip("/"))), path
    for script in scripts:
        assert script in arena.frozen or script in arena.editable, f"{script} runs and is neither frozen nor editable"
    assert "README.md" in written.files
    assert written.commit
    assert git(tmp_path / "lab", "status", "--porcelain") == ""


SHARED = sorted((ROOT / "arenas" / "common").glob("*.py"))


def test_what_is_common_is_shared_by_several() -> None:
    links = [path.resolve() for path in (ROOT / "arenas").glob("*/*.py") if path.is_symlink()]
    assert min(links.count(path) for path in SHARED) >= 2


@pytest.mark.parametrize("name", ARENAS)
def test_a_lab_gets_the_file_itself_where_two_arenas_share_one(name: str, tmp_path: Path) -> None:
    shared = [path for path in (ROOT / "arenas" / name).glob("*.py") if path.is_symlink()]
    write_lab(template(name), tmp_path / "lab", own_repository=True)
    assert all(path.resolve() in SHARED for path in shared)
    for path in shared:
        assert not (tmp_path / "lab" / path.name).is_symlink()
        assert (tmp_path / "lab" / path.name).read_bytes() == path.resolve().read_bytes()


def test_a_frozen_scorer_has_everything_that_it_imports_frozen() -> None:
    for name in ARENAS:
        arena = load_program(ROOT / "arenas" / name / "program.md").arena
        beside = {path.name for path in (ROOT / "arenas" / name).glob("*.py")} - set(arena.editable)
        loose = beside - set(arena.frozen) - {"answer_outside.py", "show_profile.py"}
        assert not loose or name == "ralph", (name, loose)


def test_a_repository_with_a_readme_keeps_its_own(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("mine\n")
    written = write_lab(template("packing"), tmp_path)
    assert (tmp_path / "README.md").read_text() == "mine\n"
    assert "README.md" not in written.files
