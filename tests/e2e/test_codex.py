"""Codex exec, the real one, driven by a scripted model: as a project, as a plugin, and with calls cut short."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.drivers import codex, plug_codex
from tests.e2e.endpoint import serving
from tests.e2e.night import TAG, Diary, assert_an_honest_night, night, three_turns
from tests.e2e.repositories import attempts, git, kept, lay_lab, lay_project
from tests.e2e.script import Call, Resource, Result, Say, Script, Shell, edit, until_decided, until_scored
from tests.labs import until

pytestmark = pytest.mark.usefixtures("needs_codex")
OWN = {"AUTORESEARCH_PYTHON": sys.executable}
HOOKS = "--dangerously-bypass-hook-trust"  # a person reviews them once with /hooks; these tests are that person


def test_a_night_in_a_checkout_of_the_project(tmp_path: Path, home: Path) -> None:
    lab = lay_project(tmp_path / "lab")
    diary = Diary()
    with (
        serving(night(diary), str(lab)) as endpoint,
        codex(endpoint, lab, home, "$autoresearch:autoresearch", HOOKS, **OWN) as client,
    ):
        session = client.wait()
        told = json.dumps(endpoint.requests[0]["input"])
    assert session.code == 0
    assert_an_honest_night(lab, diary)
    assert "outside this lab's editable files" in diary.refusal
    assert "Research, experiment after experiment" in diary.skill
    assert "autoresearch/SKILL.md" in told


def test_with_hooks_off_the_server_alone_keeps_the_night_honest(tmp_path: Path, home: Path) -> None:
    lab = lay_project(tmp_path / "lab")
    diary = Diary()
    with serving(night(diary), str(lab)) as endpoint, codex(endpoint, lab, home, **OWN) as client:
        client.wait()
    assert "outside this lab's editable files" not in diary.refusal
    assert_an_honest_night(lab, diary)


def test_a_night_as_an_installed_plugin_in_a_foreign_repository(tmp_path: Path, home: Path) -> None:
    lab = plug_codex(lay_lab(tmp_path / "lab"), home)
    diary = Diary()
    with (
        serving(night(diary), str(lab)) as endpoint,
        codex(endpoint, lab, home, "$autoresearch:autoresearch", HOOKS, **OWN) as client,
    ):
        session = client.wait()
        told = json.dumps(endpoint.requests[0]["input"])
    assert session.code == 0
    # Codex runs no hooks of a plugin that is an Agent Plugins package too, so this is the server alone
    assert_an_honest_night(lab, diary)
    assert "autoresearch:autoresearch" in told


def tempted(told: list[Result]) -> Script:
    """Overwrites a frozen file, and asks what the lab says of it."""
    yield Call("start_campaign", {"tag": TAG, "calibrate": 0})
    yield from until_scored(1)
    told.append((yield from edit("prepare.py", "TARGET = 3.0", "TARGET = 2.0")))
    told.append((yield Call("lab_status")))
    yield Say("seen")


def test_a_status_says_that_hooks_are_not_trusted_while_frozen_files_are_overwritten(
    tmp_path: Path, home: Path
) -> None:
    lab, told = lay_project(tmp_path / "lab"), list[Result]()
    with serving(tempted(told), str(lab)) as endpoint, codex(endpoint, lab, home, **OWN) as client:
        assert client.wait().code == 0
    problems = " ".join(told[1]["problems"])
    assert "prepare.py differs from the campaign's first version" in problems
    assert "/hooks" in problems
    # trusted, they refuse; and what they do not see is no reason to call them asleep
    seen: list[Result] = []

    def again() -> Script:
        yield Shell("""python3 -c "open('prepare.py', 'w').write('TARGET = -4.0')" """)
        seen.append((yield Call("lab_status")))
        yield Say("seen")

    with serving(again(), str(lab)) as endpoint, codex(endpoint, lab, home, "go", HOOKS, **OWN) as client:
        assert client.wait().code == 0
    assert "prepare.py differs" in " ".join(seen[0]["problems"])
    assert "/hooks" not in " ".join(seen[0]["problems"])


def test_the_hooks_of_a_plugin_are_added_with_the_command_that_a_status_names(tmp_path: Path, home: Path) -> None:
    lab, told = plug_codex(lay_lab(tmp_path / "lab"), home), list[Result]()
    with serving(tempted(told), str(lab)) as endpoint, codex(endpoint, lab, home, "go", HOOKS, **OWN) as client:
        assert client.wait().code == 0
    (said,) = (problem for problem in told[1]["problems"] if "hook" in problem)
    where = {"HOME": str(home), "CODEX_HOME": str(home / ".codex"), "PATH": os.environ["PATH"]}
    subprocess.run(said.split("`")[1], shell=True, check=True, env=where)
    git(lab, "checkout", "-q", "--", "prepare.py")
    with serving(tempted(told), str(lab)) as endpoint, codex(endpoint, lab, home, "go", HOOKS, **OWN) as client:
        assert client.wait().code == 0
    assert "outside this lab's editable files" in told[2].text
    assert "problems" not in told[3].data


def test_a_resource_is_read_in_the_plugin(tmp_path: Path, home: Path) -> None:
    lab, told = plug_codex(lay_lab(tmp_path / "lab"), home), dict[str, str]()

    def play() -> Script:
        told["early"] = (yield Resource("autoresearch://program")).text
        yield Call("start_campaign", {"tag": TAG, "calibrate": 0})
        yield from until_scored(1)
        for name in ("program", "experiments/1", "results.tsv"):
            told[name] = (yield Resource(f"autoresearch://{name}")).text
        yield Say("read")

    with serving(play(), str(lab)) as endpoint, codex(endpoint, lab, home, **OWN) as client:
        assert client.wait().code == 0
    assert "call lab_status, then read it again" in told["early"]
    assert "goal: bring KNOB to the target" in told["program"]
    assert "baseline: unchanged code" in told["experiments/1"]
    assert "baseline: unchanged code" in told["results.tsv"]


def test_a_run_longer_than_the_limit_of_a_call_is_read_later(tmp_path: Path, home: Path) -> None:
    lab = lay_project(tmp_path / "lab")
    cut: list[Result] = []

    def play() -> Script:
        yield Call("start_campaign", {"tag": TAG, "calibrate": 0})
        yield from until_scored(1)
        yield from edit("train.py", "KNOB = 1.0", "KNOB = 2.0")
        yield from edit("train.py", "SECONDS = 0.0", "SECONDS = 8.0")
        cut.append((yield Call("run_experiment", {"description": "longer than a call may last"})))
        scored = yield from until_scored(2)
        cut.append(scored)
        yield from until_decided(2)
        yield Say("kept after all")

    configuration = lab / ".codex" / "config.toml"
    text = configuration.read_text()
    assert "tool_timeout_sec = 300" in text
    configuration.write_text(text.replace("tool_timeout_sec = 300", "tool_timeout_sec = 5"))
    with serving(play(), str(lab)) as endpoint, codex(endpoint, lab, home, **OWN) as client:
        assert client.wait().code == 0
    assert "timed out" in cut[0].text
    assert cut[1]["score"] == 1.0
    assert attempts(lab, TAG) == ["1", "2"]
    assert len(kept(lab, TAG)) == 2  # the baseline and the longer run


def test_all_eight_tools_run_unasked_under_the_default_policy(tmp_path: Path, home: Path) -> None:
    lab = lay_project(tmp_path / "lab")
    configuration = lab / ".codex" / "config.toml"
    asked = [line for line in configuration.read_text().splitlines() if "approval_mode" not in line]
    configuration.write_text("\n".join(asked) + "\n")
    answers: dict[str, Result] = {}

    def play() -> Script:
        for tool, arguments in (
            ("lab_status", {}),
            ("start_campaign", {"tag": TAG, "calibrate": 0}),
            ("read_score", {"experiment": 1}),
            ("recall", {"query": "knob"}),
            ("run_experiment", {"description": "nothing changed"}),
            ("commit_or_revert", {"experiment": 1}),
            ("append_learnings", {"text": "The baseline is four."}),
            ("cancel_experiment", {"experiment": 1}),
        ):
            answers[tool] = yield Call(tool, arguments)
        yield Say("all eight")

    default = ("-s", "workspace-write")
    with serving(play(), str(lab)) as endpoint, codex(endpoint, lab, home, "go", *default, **OWN) as client:
        client.wait()
    assert len(answers) == 8
    refused = {
        tool: answer.text for tool, answer in answers.items() if "approv" in answer.text or "reject" in answer.text
    }
    assert not refused
    assert "Nothing changed" in answers["run_experiment"].text


def test_the_stop_hook_asks_for_a_bounded_number_of_turns(tmp_path: Path, home: Path) -> None:
    lab = lay_project(tmp_path / "lab")
    more = OWN | {"AUTORESEARCH_LOOP": "2", "TMPDIR": str(tmp_path)}
    with serving(three_turns(), str(lab)) as endpoint, codex(endpoint, lab, home, "go", HOOKS, **more) as client:
        assert client.wait().code == 0
    assert endpoint.model.turns == ["first turn", "second turn", "third turn"]


def test_a_client_killed_in_mid_run_is_followed_by_one_that_goes_on(tmp_path: Path, home: Path) -> None:
    lab = lay_project(tmp_path / "lab")

    def begin() -> Script:
        yield Call("start_campaign", {"tag": TAG, "calibrate": 0})
        yield from until_scored(1)
        yield from edit("train.py", "KNOB = 1.0", "KNOB = 2.0")
        yield from edit("train.py", "SECONDS = 0.0", "SECONDS = 4.0")
        yield Call("run_experiment", {"description": "a longer run"})
        yield Say("never said")

    def go_on() -> Script:
        yield from until_scored(2)
        yield from until_decided(2)
        yield Say("went on")

    with serving(begin(), str(lab)) as endpoint, codex(endpoint, lab, home, **OWN) as client:
        until(lambda: (lab / ".git/autoresearch/runs" / TAG / "2/1/begun").exists())
        client.kill()
    with serving(go_on(), str(lab)) as endpoint, codex(endpoint, lab, home, **OWN) as client:
        assert client.wait().code == 0
    assert attempts(lab, TAG) == ["1", "2"]
    assert len(kept(lab, TAG)) == 2  # the baseline and the longer run
