"""What `autoresearch doctor` finds: on this machine, in labs, and where something is missing."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from mcp_server.nouns.errors import NotNow
from mcp_server.setup import doctor
from mcp_server.setup.doctor import Finding, HealthReply, State
from tests.labs import begun, git, make_lab

ROOT = Path(__file__).resolve().parent.parent


def found(folder: Path) -> dict[str, Finding]:
    """The findings by name, with a Python that has no torch: importing it takes seconds."""
    return {finding.name: finding for finding in doctor.examine(folder, python="/bin/false")}


def test_a_lab_is_recognised_by_its_program_and_its_ledger(tmp_path: Path) -> None:
    lab = make_lab(tmp_path / "lab")
    begun(lab)
    lab.close()
    report = found(tmp_path / "lab")
    assert "loss (minimize), 20 s a run; bring KNOB to three" in report["program.md"].found
    assert report["ledger"].found == "whole; campaigns: first"
    assert report["git"].found.endswith(f"repository at {tmp_path / 'lab'}")
    assert {report[name].state for name in ("Python", "git", "program.md", "ledger", "devices")} == {State.FINE}


def test_a_folder_that_is_no_lab_is_told_how_to_become_one(tmp_path: Path) -> None:
    report = found(tmp_path)
    assert report["program.md"].state is State.OPTIONAL
    assert "autoresearch new lm" in report["program.md"].fix
    assert "git init" in report["git"].found


def test_what_is_wrong_in_program_md_is_told_with_its_line(tmp_path: Path) -> None:
    lab = make_lab(tmp_path / "lab", more="surprise: 1\n")
    report = found(lab.paths.tree)
    assert report["program.md"].state is State.MISSING
    assert "unknown key `surprise`" in report["program.md"].found
    assert "line 10" in report["program.md"].found


def test_torch_and_corpus_are_only_missing_where_a_language_model_is_scored(tmp_path: Path) -> None:
    elsewhere = found(tmp_path)
    assert {elsewhere[name].state for name in ("torch", "corpus")} == {State.OPTIONAL}
    git(tmp_path, "init", "-q")
    (tmp_path / "program.md").write_bytes((ROOT / "program.md").read_bytes())
    here = found(tmp_path)
    assert {here[name].state for name in ("torch", "corpus")} == {State.MISSING}
    assert "autoresearch prepare" in here["corpus"].fix
    assert not HealthReply(findings=list(here.values())).healthy


def test_a_damaged_ledger_is_found(tmp_path: Path) -> None:
    lab = make_lab(tmp_path / "lab")
    begun(lab)
    lab.close()
    for leftover in lab.paths.state.glob("lab.db-*"):
        leftover.unlink()
    lab.paths.ledger.write_bytes(b"this is no database" * 100)
    report = found(tmp_path / "lab")
    assert report["ledger"].state is State.MISSING


def test_a_missing_git_is_told_with_how_to_install_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    report = found(tmp_path)
    assert report["git"].state is State.MISSING
    assert "apt-get install git" in report["git"].fix
    assert {report[name].state for name in ("Claude Code", "Codex", "node")} == {State.OPTIONAL}


@pytest.mark.parametrize(
    ("said", "version"),
    [("git version 2.39.5 (Apple Git-154)", (2, 39, 5)), ("v22.19.0", (22, 19, 0)), ("nothing", (0,))],
)
def test_versions_are_read_from_what_programs_say(said: str, version: tuple[int, ...]) -> None:
    assert doctor._version(said) == version


def test_the_command_marks_each_finding_and_answers_with_its_exit_code(tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PATH": str(tmp_path)}
    command = [sys.executable, "-m", "mcp_server.cli", "-C", str(tmp_path), "doctor"]
    plain = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert plain.returncode == 1
    assert "✓ Python " in plain.stdout
    assert "✗ git " in plain.stdout
    assert "– Codex " in plain.stdout


@pytest.mark.parametrize(("system", "way"), [("win32", "Use WSL 2"), ("darwin", "Use a Linux machine")])
def test_a_system_that_can_hold_no_runs_is_told_the_way_and_begins_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, system: str, way: str
) -> None:
    lab = make_lab(tmp_path / "lab")
    monkeypatch.setattr("sys.platform", system)
    found = next(one for one in doctor.examine(tmp_path / "lab") if one.name == "system")
    assert (found.state, way in found.fix) == (doctor.State.MISSING, True)
    with pytest.raises(NotNow, match=way):
        lab.start_campaign("first")
    assert not lab.paths.ledger.exists()
