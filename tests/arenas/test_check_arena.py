"""check-arena tells sound arenas from flawed ones; each arena is one file, and adding the file adds the test."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from mcp_server.cli import cli
from tests.arenas.specimens import Specimen, specimens

QUICK = ("knapsack", "polynomial", "believes_the_metrics_file", "answers_in_the_repository")
SOUND, FLAWED = specimens("sound"), specimens("flawed")


def check(folder: Path, *arguments: str) -> Result:
    return CliRunner().invoke(cli, ["-C", str(folder), "check-arena", *arguments], prog_name="autoresearch")


def proved(path: Path, folder: Path, repeats: int) -> Result:
    specimen = Specimen.read(path)
    specimen.lay_out(folder)
    told = [f"--{aim}={specimen.settings[aim]}" for aim in ("better", "worse") if aim in specimen.settings]
    return check(folder, "--repo=arena", f"--repeats={repeats}", "--json", *told)


def of(kind: dict[str, Path], quick: bool) -> list[str]:
    return [name for name in kind if (name in QUICK) is quick]


def judge_sound(name: str, folder: Path, repeats: int) -> None:
    done = proved(SOUND[name], folder, repeats)
    reply = json.loads(done.output)
    assert (done.exit_code, reply.get("reasons")) == (0, None)
    assert reply["verdict"] == Specimen.read(SOUND[name]).settings.get("expects", "ready")


def judge_flawed(name: str, folder: Path, repeats: int) -> None:
    done = proved(FLAWED[name], folder, repeats)
    reply = json.loads(done.output)
    assert (done.exit_code, reply["verdict"]) == (1, "not ready")
    blocking = {finding["code"] for finding in reply["findings"] if finding["severity"] == "blocks"}
    assert Specimen.read(FLAWED[name]).settings["expects"] in blocking


@pytest.mark.parametrize("name", of(SOUND, quick=True))
def test_a_sound_arena_is_ready(name: str, tmp_path: Path) -> None:
    judge_sound(name, tmp_path, repeats=2)


@pytest.mark.parametrize("name", of(FLAWED, quick=True))
def test_a_flawed_arena_is_not_ready_and_the_flaw_is_named(name: str, tmp_path: Path) -> None:
    judge_flawed(name, tmp_path, repeats=2)


@pytest.mark.slow
@pytest.mark.parametrize("name", of(SOUND, quick=False))
def test_every_sound_arena_is_ready(name: str, tmp_path: Path) -> None:
    judge_sound(name, tmp_path, repeats=4)


@pytest.mark.slow
@pytest.mark.parametrize("name", of(FLAWED, quick=False))
def test_every_flawed_arena_is_not_ready_and_the_flaw_is_named(name: str, tmp_path: Path) -> None:
    judge_flawed(name, tmp_path, repeats=4)


def test_there_are_ten_of_each_and_every_flaw_is_told() -> None:
    assert min(len(SOUND), len(FLAWED)) >= 10
    assert all("expects" in Specimen.read(path).settings for path in FLAWED.values())
