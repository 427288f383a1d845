"""A person's hand on a running campaign: pause, veto, notes, ideas; what agents see of it, and what a terminal does."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner
from mcp.client import Client

from mcp_server.campaign.reins.hands import Reins
from mcp_server.cli import cli
from mcp_server.faces.keys import HELP, Prompt
from mcp_server.lab import Lab
from mcp_server.ledger.live.orders import IdeaState
from mcp_server.nouns.errors import NotNow
from mcp_server.server import build_server
from tests.labs import attempt, begun, decide, edit, finish, make_lab, until


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    return begun(make_lab(tmp_path / "lab"))


def said(lab: Lab, *words: str) -> str:
    done = CliRunner().invoke(cli, ["-C", str(lab.paths.tree), *words])
    assert done.exit_code == 0, done.output
    return done.output


# --- pause ------------------------------------------------------------------------------------------------------------


def test_a_pause_lets_nothing_begin_and_what_runs_go_on(lab: Lab) -> None:
    edit(lab, KNOB=2.0)
    running = lab.run_experiment("two").experiment
    until(lambda: lab.read_score(running).phase != "waiting")
    Reins(lab).pause("the machine is needed")
    status = lab.lab_status()
    assert status.paused == "A person paused the campaign (the machine is needed) until `autoresearch resume`"
    assert finish(lab, running).status == "scored"
    assert lab.commit_or_revert(running).decision == "kept"  # deciding begins nothing
    assert "Propose nothing until then" in lab.recall("knob").next
    edit(lab, KNOB=2.5)
    with pytest.raises(NotNow, match="Nothing new begins until then"):
        lab.run_experiment("two and a half")
    Reins(lab).resume()
    assert lab.lab_status().paused == ""
    assert decide(lab, lab.run_experiment("two and a half").experiment).decision == "kept"
    with pytest.raises(NotNow, match="not paused"):
        Reins(lab).resume()


def test_a_run_that_was_ordered_waits_for_the_end_of_a_pause(lab: Lab) -> None:
    edit(lab, KNOB=2.0)
    with pytest.MonkeyPatch.context() as held:
        held.setattr("mcp_server.campaign.upkeep.recovery.start", _not_yet)
        number = lab.run_experiment("two").experiment  # ordered; its supervisor could not be started
        Reins(lab).pause()  # as every verb, it tries first what is ordered
    assert lab.read_score(number).phase == "paused"
    Reins(lab).resume()
    assert finish(lab, number).status == "scored"


def test_a_run_that_waits_for_a_device_lets_it_go_by_until_the_end_of_a_pause(lab: Lab) -> None:
    edit(lab, KNOB=2.0, SECONDS=1.0)
    running = lab.run_experiment("two, for a second").experiment
    until(lambda: lab.read_score(running).phase not in ("waiting", ""))
    edit(lab, KNOB=2.5, SECONDS=0.0)
    waiting = lab.run_experiment("two and a half").experiment
    until(lambda: list(lab.paths.queue.glob("[0-9]*")))  # its supervisor stands in the queue
    Reins(lab).pause()
    assert finish(lab, running).status == "scored"
    assert lab.read_score(waiting).phase == "paused"
    assert not list(lab.paths.queue.glob("[0-9]*"))  # and is in nobody else's way
    Reins(lab).resume()
    assert finish(lab, waiting).status == "scored"


def _not_yet(*_: object, **__: object) -> None:
    raise NotNow("not yet")


def test_a_pause_of_so_many_minutes_ends_by_itself_and_says_when(tmp_path: Path) -> None:
    now = [datetime(2030, 1, 1, 12, tzinfo=UTC)]
    begun(make_lab(tmp_path / "lab")).close()
    with contextlib.closing(Lab(tmp_path / "lab", now=lambda: now[0])) as lab:
        Reins(lab).pause(minutes=90)
        assert "next_eligible 2030-01-01T13:30:00+00:00 (in 1.5 h)" in lab.lab_status().next
        now[0] += timedelta(minutes=91)
        assert lab.lab_status().paused == ""


# --- veto -------------------------------------------------------------------------------------------------------------


def test_a_veto_turns_the_next_keep_into_a_revert_once_with_its_reason(lab: Lab) -> None:
    Reins(lab).veto(reason="it reads the clock")
    edit(lab, KNOB=1.5)
    finish(lab, lab.run_experiment("given up").experiment)
    assert "veto" not in lab.commit_or_revert(decision="revert").reason  # no keep: the veto is not used up
    vetoed = attempt(lab, "two", KNOB=2.0)
    assert vetoed.decision == "reverted"
    assert vetoed.reason.startswith("A person vetoed this keep (it reads the clock). The referee said: Keep")
    assert "KNOB = 1.0" in (lab.paths.tree / "train.py").read_text()
    assert lab.lab_status().incumbent.experiment == 1  # type: ignore[union-attr]
    assert attempt(lab, "two and a half", KNOB=2.5).decision == "kept"


def test_a_veto_on_one_experiment_spares_the_others_and_can_be_taken_back(lab: Lab) -> None:
    edit(lab, KNOB=2.0)
    number = lab.run_experiment("two").experiment
    Reins(lab).veto(number)
    with pytest.raises(NotNow, match="stands already"):
        Reins(lab).veto(number)
    assert decide(lab, number).decision == "reverted"
    with pytest.raises(NotNow, match="decided already"):
        Reins(lab).veto(number)
    Reins(lab).veto()
    Reins(lab).withdraw()
    assert attempt(lab, "two and a half", KNOB=2.5).decision == "kept"
    with pytest.raises(NotNow, match="no veto"):
        Reins(lab).withdraw()


# --- notes ------------------------------------------------------------------------------------------------------------


@pytest.mark.anyio
async def test_a_note_comes_with_the_next_reply_once_and_shows_as_delivered(lab: Lab) -> None:
    assert "not delivered yet" in said(lab, "note", "Leave the tokenizer alone.")
    async with Client(build_server(lab.paths.tree)) as client:
        first = (await client.call_tool("recall", {"query": "knob"})).structured_content
        second = (await client.call_tool("lab_status", {})).structured_content
    assert first is not None
    assert second is not None
    assert first["next"].startswith('A person left you a note: "Leave the tokenizer alone."')
    assert "tokenizer" not in json.dumps(second)
    assert "delivered to mcp" in said(lab, "note")
    with pytest.raises(NotNow, match="empty"):
        Reins(lab).note(" \n ")


# --- ideas ------------------------------------------------------------------------------------------------------------


def test_the_queue_is_read_by_recall_and_next_and_struck_off_by_who_tries(lab: Lab) -> None:
    said(lab, "ideas", "add", "half the batch", "--priority", "1")
    added = lab.append_learnings("KNOB near three, says the theory", tags=["idea"])
    assert (added.learning, added.note) == (None, "idea 2 of the queue")
    said(lab, "ideas", "add", "another tokenizer")
    assert lab.lab_status().ideas[0] == "idea 1 (by a person, priority 1): half the batch"
    assert "idea 1, 'half the batch' and 2 more" in lab.lab_status().next
    said(lab, "ideas", "pin", "2")
    assert lab.recall("").lines[0] == "idea 2 (pinned, by an agent): KNOB near three, says the theory"
    assert any("another tokenizer" in one for one in lab.recall("tokenizer").lines[:1])
    said(lab, "ideas", "park", "1")
    edit(lab, KNOB=3.0)
    decide(lab, lab.run_experiment("idea 2: what the theory says").experiment)
    assert lab.lab_status().ideas == ["idea 3 (by a person): another tokenizer"]
    told = json.loads(said(lab, "ideas", "--json"))["ideas"]
    assert {one["idea"]: (one["state"], one.get("experiment")) for one in told} == {
        3: ("open", None), 2: ("tried", 2), 1: ("parked", None),
    }  # fmt: skip
    with pytest.raises(NotNow):
        lab.append_learnings("Another tokenizer", tags=["idea"])  # it stands there already
    with pytest.raises(NotNow, match="no idea 99"):
        Reins(lab).move_idea(99, IdeaState.PINNED)


# --- keys -------------------------------------------------------------------------------------------------------------


def test_keys_become_verbs_with_what_was_typed() -> None:
    prompt = Prompt()

    def typed(text: str) -> list[tuple[str, str]]:
        return [asked for key in text if (asked := prompt.press(key)) is not None]

    assert typed("p") == [("pause", "")]
    assert typed("nhello\x7f\x7fp me\r") == [("note", "help me")]
    assert typed("xyz\r") == []
    assert typed("nnever mind\x1b") == []
    assert prompt.lines() == [HELP]
    assert typed("+3\n-4\nc12\r") == [("pin", "3"), ("park", "4"), ("cancel", "12")]
    typed("v")
    assert prompt.lines()[-1].startswith("veto the next keep, because: ")
    assert typed("\r") == [("veto", "")]
    prompt.said = "Vetoed."
    assert prompt.lines() == ["Vetoed.", HELP]  # in lines of their own: a long message leaves the keys where they are
    assert typed("q") == [("quit", "")]


@pytest.mark.skipif(shutil.which("tmux") is None, reason="tmux is not installed: apt-get install tmux")
def test_watch_acts_in_a_real_terminal(lab: Lab) -> None:
    name = f"autoresearch-{os.getpid()}"
    command = f"{sys.executable} -m mcp_server.cli -C {lab.paths.tree} watch"
    socket = ["tmux", "-L", name, "-f", "/dev/null"]

    def keys(*words: str) -> None:
        subprocess.run([*socket, "send-keys", "-t", "w", *words], check=True)

    def shows(words: str) -> None:
        until(lambda: words in subprocess.run([*socket, "capture-pane", "-p", "-t", "w"], check=True, text=True,
                                              capture_output=True).stdout)  # fmt: skip

    subprocess.run([*socket, "new-session", "-d", "-s", "w", "-x", "80", "-y", "40", command], check=True)
    try:
        shows("p pause")
        keys("p")
        shows("A person paused the campaign")
        keys("p")
        shows("Resumed.")
        shows("q quit")  # what came of it leaves the keys where they are, on a narrow screen too
        keys("n")
        keys("-l", "Leave SPREAD alone.")
        shows("note to the agent: Leave SPREAD alone.")
        keys("Enter")
        shows("… waits  Leave SPREAD alone.")
        for idea in ("try four", "try five"):
            keys("i")
            keys("-l", idea)
            keys("Enter")
            shows(f"{idea}")
        keys("+")
        keys("2", "Enter")
        shows("▲ try five")
        keys("v")
        keys("-l", "too long")
        keys("Enter")
        shows("the next keep: too long")
        if os.environ.get("SHOW_SCREEN"):
            print(
                subprocess.run(
                    [*socket, "capture-pane", "-p", "-t", "w"], check=True, text=True, capture_output=True
                ).stdout
            )
        held = Reins(lab).look()
        assert [(one.idea, one.state) for one in held.ideas] == [(2, "pinned"), (1, "open")]
        assert [one.text for one in held.notes] == ["Leave SPREAD alone."]
        keys("q")
        until(lambda: subprocess.run([*socket, "has-session", "-t", "w"], capture_output=True).returncode != 0)
    finally:
        subprocess.run([*socket, "kill-server"], capture_output=True)
