"""Claude Code, the real one, headless, driven by a scripted model: as a project, as a plugin, and killed in mid-run."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.clients import ROOT, installed, scrubbed
from tests.e2e.drivers import claude, plug
from tests.e2e.endpoint import serving
from tests.e2e.loop import TAG as LOOP
from tests.e2e.loop import Notes, researcher
from tests.e2e.night import TAG, Diary, assert_an_honest_night, night, three_turns
from tests.e2e.repositories import attempts, kept, lay_lab, lay_project, lay_release
from tests.e2e.script import Call, Say, Script, Shell, edit, until_decided, until_scored
from tests.labs import until

pytestmark = pytest.mark.usefixtures("needs_claude")
OWN = {"AUTORESEARCH_PYTHON": sys.executable}  # the server starts in the interpreter of these tests


@pytest.fixture
def plugged(tmp_path: Path, home: Path) -> Path:
    """A stranger's lab whose person has installed the plugin as the README says."""
    return plug(lay_lab(tmp_path / "lab", experiments=4), home)


def test_a_night_in_a_checkout_of_the_project(tmp_path: Path, home: Path) -> None:
    lab = lay_project(tmp_path / "lab")
    diary = Diary()
    with serving(night(diary), str(lab)) as endpoint:
        # the researcher may use a shell freely: what it cannot do is the server's doing
        with claude(endpoint, lab, home, "/loop autoresearch", "--allowedTools", "Bash", **OWN) as client:
            session = client.wait()
        first = json.dumps(endpoint.requests[0]["messages"])
    assert session.event(type="result")["result"] == "One kept, one reverted."
    assert_an_honest_night(lab, diary)
    assert "Research, experiment after experiment" in json.dumps(endpoint.requests[-1]["messages"])
    assert "autoresearch" in first
    begun = session.event(type="system", subtype="init")
    assert "autoresearch" in begun["slash_commands"]
    assert not session.event(type="result")["permission_denials"] or diary.refusal


def test_the_plugin_alone_lets_an_unattended_loop_work_in_a_foreign_repository(plugged: Path, home: Path) -> None:
    notes = Notes()
    script = researcher(plugged, notes)
    with serving(script, str(plugged)) as endpoint, claude(endpoint, plugged, home, **OWN) as client:
        session = client.wait()
    ended = session.event(type="result")
    assert ended["permission_denials"] == []
    assert ended["result"] == "The campaign is over."
    assert (notes.refused, len(notes.decisions)) == ([], 3)
    assert "Research, experiment after experiment" in notes.skill or "Launching skill" in notes.skill
    assert attempts(plugged, LOOP) == ["1", "2", "3", "4"]
    iteration = [len(text.encode()) for text in notes.results]
    assert sum(iteration) / 3 <= 1100


def test_the_plugin_opens_nothing_but_the_contract(plugged: Path, home: Path) -> None:
    answers: dict[str, bool] = {}

    def play() -> Script:
        yield Call("start_campaign", {"tag": TAG, "calibrate": 0})
        yield from until_scored(1)
        for path, line in (("prepare.py", "TARGET = 3.0"), ("notes.txt", "the person's own")):
            answers[path] = (yield from edit(path, line, "# gone")).failed
        answers["shell"] = (yield Shell('python3 -c \'open("train.py", "w")\'')).failed
        answers["train.py"] = (yield from edit("train.py", "KNOB = 1.0", "KNOB = 2.0")).failed
        yield Say("tried")

    denied = json.dumps({"permissions": {"deny": ["Edit(/train.py)"]}})
    for settings, denies in ((denied, True), ("{}", False)):  # what a person denies stays denied
        (plugged / ".claude").mkdir(exist_ok=True)
        (plugged / ".claude" / "settings.json").write_text(settings)
        with serving(play(), str(plugged)) as endpoint, claude(endpoint, plugged, home, **OWN) as client:
            client.wait()
        assert answers == {"prepare.py": True, "notes.txt": True, "shell": True, "train.py": denies}


def test_a_night_as_an_installed_plugin_in_a_foreign_repository(plugged: Path, home: Path) -> None:
    diary = Diary()
    options = ("/loop autoresearch", "--allowedTools", "Bash")  # a shell is the person's to give
    with serving(night(diary), str(plugged)) as endpoint, claude(endpoint, plugged, home, *options, **OWN) as client:
        session = client.wait()
    assert session.event(type="result")["result"] == "One kept, one reverted."
    assert_an_honest_night(plugged, diary)
    assert "outside this lab's editable files" in diary.refusal
    begun = session.event(type="system", subtype="init")
    assert "autoresearch" in [plugin["name"] for plugin in begun["plugins"]]
    assert not begun.get("plugin_errors")


def test_with_hooks_off_the_server_alone_keeps_the_night_honest(plugged: Path, home: Path) -> None:
    allowed = "Bash,Edit,Read,Skill,mcp__plugin_autoresearch_autoresearch"
    off = {"disableAllHooks": True}
    diary = Diary()
    options = ("/loop autoresearch", "--allowedTools", allowed, "--settings", json.dumps(off))
    with serving(night(diary), str(plugged)) as endpoint, claude(endpoint, plugged, home, *options, **OWN) as client:
        client.wait()
    assert "outside this lab's editable files" not in diary.refusal
    assert_an_honest_night(plugged, diary)


def test_a_client_killed_in_mid_run_is_followed_by_one_that_goes_on(tmp_path: Path, home: Path) -> None:
    lab = lay_project(tmp_path / "lab")

    def begin() -> Script:
        yield Call("start_campaign", {"tag": TAG, "calibrate": 0})
        yield from until_scored(1)
        yield from edit("train.py", "KNOB = 1.0", "KNOB = 2.0")
        yield from edit("train.py", "SECONDS = 0.0", "SECONDS = 4.0")
        yield Call("run_experiment", {"description": "a longer run"})
        yield Say("never said")

    with serving(begin(), str(lab)) as endpoint, claude(endpoint, lab, home, **OWN) as client:
        until(lambda: (lab / ".git/autoresearch/runs" / TAG / "2/1/begun").exists())
        client.kill()

    found: list[object] = []

    def go_on() -> Script:
        status = yield Call("lab_status")
        open_ones = status.data.get("waiting_for_decision", []) + [
            one["experiment"] for one in status.data.get("running", [])
        ]
        found.extend(open_ones)
        yield from until_scored(open_ones[0])
        decided = yield from until_decided(open_ones[0])
        found.append(decided["decision"])
        yield Say("went on")

    with serving(go_on(), str(lab)) as endpoint, claude(endpoint, lab, home, **OWN) as client:
        assert client.wait().event(type="result")["result"] == "went on"
    assert found == [2, "kept"]
    assert attempts(lab, TAG) == ["1", "2"]
    assert len(kept(lab, TAG)) == 2  # the baseline and the longer run


def test_a_new_session_is_told_where_the_research_stands(tmp_path: Path, home: Path) -> None:
    lab = lay_project(tmp_path / "lab")

    def begin() -> Script:
        yield Call("start_campaign", {"tag": TAG, "calibrate": 0})
        yield from until_scored(1)
        yield Say("begun")

    def look() -> Script:
        yield Say("looked")

    with serving(begin(), str(lab)) as endpoint, claude(endpoint, lab, home, **OWN) as client:
        client.wait()
    with serving(look(), str(lab)) as endpoint, claude(endpoint, lab, home, "hello", **OWN) as client:
        client.wait()
        told = json.dumps(endpoint.requests[0]["messages"])
    assert "Where the research in this lab stands" in told
    assert TAG in told


def test_the_stop_hook_asks_for_a_bounded_number_of_turns(tmp_path: Path, home: Path) -> None:
    lab = lay_project(tmp_path / "lab")
    with serving(three_turns(), str(lab)) as endpoint:
        loop = {"AUTORESEARCH_LOOP": "2", "TMPDIR": str(tmp_path)}
        with claude(endpoint, lab, home, "/autoresearch", **OWN, **loop) as client:
            session = client.wait()
    assert session.event(type="result")["result"] == "third turn"
    assert endpoint.model.turns == ["first turn", "second turn", "third turn"]


def test_a_long_loop_by_the_stop_hook_loses_no_final_answer(tmp_path: Path, home: Path) -> None:
    lab = lay_project(tmp_path / "lab")

    def play() -> Script:
        yield Call("start_campaign", {"tag": TAG, "calibrate": 0})
        yield from until_scored(1)
        for turn in range(30):
            yield Say(f"turn {turn}")

    loop = {"AUTORESEARCH_LOOP": "20", "TMPDIR": str(tmp_path)}
    with (
        serving(play(), str(lab)) as endpoint,
        claude(endpoint, lab, home, "/autoresearch", **OWN, **loop) as client,
    ):
        session = client.wait()
    assert session.event(type="result")["result"] == "turn 8"  # eight more, as often as the client lets a hook ask


@pytest.mark.parametrize("as_plugin", [False, True], ids=["project", "plugin"])
def test_a_typed_command_names_whose_it_is_and_needs_no_permission(tmp_path: Path, home: Path, as_plugin: bool) -> None:
    lab = plug(lay_lab(tmp_path / "lab"), home) if as_plugin else lay_project(tmp_path / "lab")

    def play() -> Script:
        yield Call("lab_status")
        yield Say("looked")

    with (
        serving(play(), str(lab)) as endpoint,
        claude(endpoint, lab, home, "/autoresearch:status", **OWN) as client,
    ):
        session = client.wait()
        told = json.dumps(endpoint.requests[0]["messages"])
    assert "Call `lab_status`" in told
    assert session.event(type="result")["permission_denials"] == []
    typed = {name for name in session.event(type="system", subtype="init")["slash_commands"] if "autoresearch" in name}
    assert {f"autoresearch:{path.stem}" for path in (ROOT / "commands").glob("*.md")} <= typed
    assert not [name for name in typed if name.endswith("__autoresearch")]  # the MCP prompt has a name of its own


def test_the_plugin_passes_the_checks_of_the_plugin_directory(tmp_path: Path, home: Path) -> None:
    release = lay_release(tmp_path / "release")
    command = [str(installed().claude), "plugin", "validate", ".", "--strict", "--profile", "directory", "--json"]
    done = subprocess.run(
        command, cwd=release, env=scrubbed(home), capture_output=True, text=True, stdin=subprocess.DEVNULL
    )
    report = json.loads(done.stdout)
    assert report["success"], done.stdout
    assert done.returncode == 0
