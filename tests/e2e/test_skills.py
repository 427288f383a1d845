"""The skills around a night, each loaded and followed by the real Claude Code, one by Codex, under scripted models."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from mcp_server.arena.program import load_program
from mcp_server.community.wire.store import make_bare
from mcp_server.setup.readiness import read_processes
from tests.community.past import Past
from tests.e2e.clients import missing
from tests.e2e.drivers import claude, codex
from tests.e2e.endpoint import serving
from tests.e2e.repositories import lay_project
from tests.e2e.script import Call, Result, Say, Script, Shell, Skill, until_decided, until_scored

pytestmark = pytest.mark.usefixtures("needs_claude")
OWN = {"AUTORESEARCH_PYTHON": sys.executable}  # the server starts in the interpreter of these tests
COMMAND = f"PYTHONPATH={Path(__file__).resolve().parents[2]} {sys.executable} -m mcp_server.cli"
WORK = """\
processes:
  - name: first answers to tickets
    automatic: 70
    iteration: 5 minutes
    cost: 0.1
    bounded: 7
    safe: 7
    traces: 9
    produces: prompt
    note: the right team at the first try
  - name: hiring talks
    automatic: 10
    iteration: 2 months
    bounded: 1
    safe: 1
    traces: 3
"""


def followed(lab: Path, home: Path, play: Script, prompt: str) -> str:
    """What the model saw at the end of a session that follows the script."""
    with serving(play, str(lab)) as endpoint:
        options = ("--allowedTools", "Bash,Write,Skill,Read")
        with claude(endpoint, lab, home, prompt, *options, **OWN) as client:
            session = client.wait()
        assert session.event(type="result")["result"] == "done", session.errors[-2000:]
        return json.dumps(endpoint.requests[-1]["messages"])


def written(name: str, text: str) -> Shell:
    return Shell(f"cat > {name} <<'END'\n{text}END")


def night() -> Script:
    """A campaign with one kept experiment."""
    yield Call("start_campaign", {"tag": "night", "calibrate": 0})
    yield from until_scored(1)
    yield Shell("sed -i 's/^KNOB = 1.0/KNOB = 2.5/' train.py")
    yield Call("run_experiment", {"description": "nearer to the target"})
    yield from until_scored(2)
    yield from until_decided(2)


def test_the_interview_ends_in_a_readiness_file_and_a_map(tmp_path: Path, home: Path) -> None:
    lab, said = lay_project(tmp_path / "lab"), []

    def play() -> Script:
        yield Skill("interview")
        yield written("work.yaml", WORK)
        said.append((yield Shell(f"{COMMAND} readiness work.yaml --out work.png --json")))
        yield Say("done")

    seen = followed(lab, home, play(), "interview me")
    assert "what do you do repeatedly where you know what better looks like" in seen
    assert [one.name for one in read_processes(lab / "work.yaml")] == ["first answers to tickets", "hiring talks"]
    found = {one["name"]: one for one in said[0]["processes"]}
    assert found["first answers to tickets"]["template"] == "prompt"
    assert "template" not in found["hiring talks"]  # nothing for a loop
    assert (lab / "work.png").stat().st_size > 10_000


def test_decompose_begins_the_first_of_its_arenas(tmp_path: Path, home: Path) -> None:
    lab, listed = lay_project(tmp_path / "lab"), []

    def play() -> Script:
        yield Skill("decompose")
        yield written("work.yaml", WORK)
        yield Shell(f"{COMMAND} readiness work.yaml")
        listed.append((yield Shell(f"{COMMAND} new")))
        yield Shell(f"{COMMAND} new prompt tickets")
        yield Say("done")

    seen = followed(lab, home, play(), "decompose the goal: a better support desk")
    assert "what cannot be scored" in seen
    for name in ("backtest", "bidding", "ads", "game", "ranking", "contracts", "prompt"):
        assert name in listed[0].text
    assert load_program(lab / "tickets" / "program.md").arena.editable == ("prompt.md",)


def test_operate_goes_with_a_night_from_the_doctor_to_the_report(tmp_path: Path, home: Path) -> None:
    lab = lay_project(tmp_path / "lab", experiments=2)
    answers: list[Result] = []

    def play() -> Script:
        yield Skill("operate")
        yield Call("lab_status")
        yield from night()
        answers.append((yield Shell(f"{COMMAND} report")))
        answers.append((yield Shell(f"{COMMAND} history")))
        yield Say("done")

    seen = followed(lab, home, play(), "operate the night")
    assert "A night of research, before, during, after" in seen
    assert not any(answer.failed for answer in answers), answers
    assert "nearer to the target" in answers[1].text


def test_a_paper_is_written_refused_with_a_typed_number_and_reviewed_by_a_run(tmp_path: Path, home: Path) -> None:
    lab = lay_project(tmp_path / "lab", experiments=2)
    answers: list[Result] = []

    def play() -> Script:
        yield from night()
        yield Skill("paper")
        yield Shell("mkdir -p paper")
        answers.append((yield written("paper/words.md", "It gained 99 %.\n")))
        answers.append((yield Shell(f"{COMMAND} paper --discussion paper/words.md")))
        yield written("paper/words.md", "It gained {{gain:2}}.\n")
        answers.append((yield Shell(f"{COMMAND} paper --discussion paper/words.md")))
        yield Skill("review")
        answers.append((yield Shell(f"{COMMAND} review paper/paper.md")))
        yield Shell("sed -i 's/^- \\[ \\] repeat/- [x] repeat/' review.md")
        answers.append((yield Shell(f"{COMMAND} review review.md --run --most 1")))
        yield Say("done")

    seen = followed(lab, home, play(), "write the paper and review it")
    assert "no number of it is typed" in seen
    assert "Words decide nothing here; runs do" in seen
    assert [answer.failed for answer in answers] == [False, True, False, False, False], answers
    assert "'99' is typed" in answers[1].text
    assert "(#2)." in (lab / "paper" / "paper.md").read_text()
    assert "supported" in answers[-1].text


def test_codex_follows_the_interview_as_well(tmp_path: Path, home: Path) -> None:
    if missing("codex"):
        pytest.skip(missing("codex"))
    lab, said = lay_project(tmp_path / "lab"), []

    def play() -> Script:
        said.append((yield Skill("interview")))
        yield written("work.yaml", WORK)
        said.append((yield Shell(f"{COMMAND} readiness work.yaml")))
        yield Say("done")

    with serving(play(), str(lab)) as endpoint, codex(endpoint, lab, home, "interview me", **OWN) as client:
        assert client.wait().code == 0
        told = json.dumps(endpoint.requests[0]["input"])
    assert all(
        f"{name}/SKILL.md" in told for name in ("interview", "decompose", "operate", "paper", "review", "replicate")
    )
    assert "what do you do repeatedly where you know what better looks like" in said[0].text
    assert "prompt" in said[1].text


def test_a_replication_names_whom_to_trust_and_repeats_what_is_due(tmp_path: Path, home: Path) -> None:
    lab = lay_project(tmp_path / "lab", experiments=3)
    make_bare(tmp_path / "remote.git")
    north = Past(tmp_path / "north")  # another contract: nothing of it can be repeated here, and that is said
    north.join(tmp_path / "remote.git")
    north.exchange()
    answers: list[Result] = []

    def play() -> Script:
        yield from night()
        yield Shell(f"{COMMAND} community join {tmp_path / 'remote.git'}")
        yield Skill("replicate")
        answers.append((yield Shell(f"{COMMAND} community sync")))
        answers.append((yield Shell(f"{COMMAND} community claims")))
        answers.append((yield Shell(f"{COMMAND} replicate")))
        yield Say("done")

    seen = followed(lab, home, play(), "replicate what is due")
    assert "A gain elsewhere is a claim" in seen
    assert not any(answer.failed for answer in answers), answers
    assert "community trust" in answers[-1].text, "what is missing is a person's to give"
    north.lab.close()
