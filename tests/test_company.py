"""Two agents on one lab: whose experiment is meant, whose edit lies in the tree, and a work tree for each."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from mcp.client import Client

from mcp_server.campaign.trees import company
from mcp_server.campaign.trees.own import make_tree
from mcp_server.lab import Lab
from mcp_server.nouns.errors import WorkspaceError
from mcp_server.nouns.files import try_lock
from mcp_server.server import build_server
from tests.labs import begun, edit, finish, git, make_lab, until
from tests.tools import call, refusal


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    made = make_lab(tmp_path / "lab")
    begun(made)
    return made


pytestmark = pytest.mark.anyio


@contextlib.asynccontextmanager
async def agents(lab: Lab, number: int) -> AsyncIterator[list[Client]]:
    """So many clients, each with a server of its own, as two sessions of a client have."""
    async with contextlib.AsyncExitStack() as stack:
        yield [await stack.enter_async_context(Client(build_server(lab.paths.tree))) for _ in range(number)]


async def test_an_attempt_is_refused_while_another_sessions_edit_lies_undecided_in_the_tree(lab: Lab) -> None:
    async with agents(lab, 2) as (one, other):
        edit(lab, KNOB=2.0)
        assert (await call(one, "run_experiment", description="by the first"))["experiment"] == 2
        edit(lab, SPREAD=0.5)
        words = await refusal(other, "run_experiment", description="by the second")
        assert "Experiment 2 of another session" in words
        assert "start_campaign('first', tree=" in words
        with lab.reading() as (bench, campaign, _):
            assert len(bench.ledger.experiments(campaign.tag)) == 2
        # the first may go on as it likes, and once it has decided so may the second
        assert (await call(one, "commit_or_revert"))["decision"] == "kept"
        assert (await call(other, "run_experiment", description="by the second"))["experiment"] == 3


async def test_a_verb_without_a_number_never_means_somebody_elses_experiment(lab: Lab) -> None:
    async with agents(lab, 2) as (one, other):
        edit(lab, KNOB=2.0)
        await call(one, "run_experiment", description="by the first")
        for tool in ("commit_or_revert", "read_score"):
            assert "Experiment 2 belongs to another session" in await refusal(other, tool)
        assert (await call(one, "read_score"))["experiment"] == 2
        assert (await call(other, "commit_or_revert", experiment=2))["decision"] == "kept"  # named, it is meant


async def test_a_person_may_let_sessions_share_a_tree_and_is_warned(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(company.SHARED, "1")
    async with agents(lab, 2) as (one, other):
        edit(lab, KNOB=2.0)
        await call(one, "run_experiment", description="by the first")
        edit(lab, SPREAD=0.5)
        ran = await call(other, "run_experiment", description="by the second")
        assert "credited to the wrong one" in ran["warnings"][0]


async def test_what_a_session_left_behind_is_the_next_ones(lab: Lab) -> None:
    async with agents(lab, 1) as (one,):
        edit(lab, KNOB=2.0)
        await call(one, "run_experiment", description="left behind")
    async with agents(lab, 1) as (other,):
        assert (await call(other, "commit_or_revert"))["experiment"] == 2


def test_a_session_that_was_looked_at_while_it_arrived_is_there_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks = [1]

    def looked_at(file: Path) -> int | None:
        held = try_lock(file)
        if looks and looks.pop():
            file.unlink()  # another server found it made and not locked yet
        return held

    monkeypatch.setattr(company, "try_lock", looked_at)
    held = company.arrive(tmp_path, company.Session("one", "a client", "/tree", "2026-01-01T00:00:00"))
    assert held is not None
    assert list(company.present(tmp_path)) == ["one"]
    company.leave(tmp_path, "one", held)
    assert company.present(tmp_path) == {}


def test_a_session_whose_server_was_killed_is_gone_at_once(lab: Lab) -> None:
    words = (
        "import sys, time, pathlib; from mcp_server.campaign.trees import company as c; "
        "c.arrive(pathlib.Path(sys.argv[1]), c.Session('abc', 'claude-code', sys.argv[2], '2026-01-01T10:20:30')); "
        "print('here', flush=True); time.sleep(600)"
    )
    tree = str(lab.paths.tree)
    command = [sys.executable, "-c", words, str(lab.paths.state), tree]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as server:
        assert server.stdout is not None
        server.stdout.readline()
        assert company.present(lab.paths.state)["abc"].words() == "claude-code, here since 10:20 UTC"
        edit(lab, KNOB=2.0)
        number = lab.run_experiment("by the one that will be killed", session="abc").experiment
        server.kill()
    assert company.present(lab.paths.state) == {}
    finish(lab, number)
    edit(lab, KNOB=2.5)
    assert lab.run_experiment("by the next one", session="def").experiment == 3
    assert lab.read_score(session="ghi").experiment == 3


async def test_each_agent_in_a_work_tree_of_its_own_gets_the_credit_for_its_own_edit(lab: Lab) -> None:
    second = lab.paths.tree.parent / "second"
    async with agents(lab, 2) as (one, other):
        joined = await call(other, "start_campaign", tag="first", tree="../second")
        assert f"works in {second}" in joined["next"]
        edit(lab, KNOB=2.0)
        text = (second / "train.py").read_text()
        (second / "train.py").write_text(text.replace("KNOB = 1.0", "KNOB = 0.0"))
        mine = await call(one, "run_experiment", description="nearer")
        theirs = await call(other, "run_experiment", description="farther")
        assert (mine["score"], theirs["score"]) == (1.0, 9.0)
        assert (await call(other, "commit_or_revert"))["decision"] == "reverted"
        assert (await call(one, "commit_or_revert"))["decision"] == "kept"
    assert lab.read_score().experiment == mine["experiment"]  # at a terminal, the last of the tree one is in
    with contextlib.closing(Lab(second)) as there:
        assert there.read_score().experiment == theirs["experiment"]
    with lab.reading() as (bench, campaign, _):
        begun = bench.ledger.experiments(campaign.tag)[1:]
    assert [Path(item.tree).name for item in begun] == ["lab", "second"]
    assert len({item.session for item in begun}) == 2
    assert lab.lab_status().incumbent.experiment == mine["experiment"]  # type: ignore[union-attr]


async def test_a_session_moves_to_a_work_tree_once_something_has_begun_there_and_may_ask_twice(lab: Lab) -> None:
    tree = lab.paths.tree
    text = (tree / "program.md").read_text()
    git(tree, "switch", "-q", "main")
    (tree / "program.md").write_text(text.replace("metric:", "mertic:"))
    git(tree, "commit", "-q", "-a", "-m", "a slip")
    git(tree, "switch", "-q", "autoresearch/first")
    async with agents(lab, 1) as (one,):
        asked = {"tag": "second", "from_ref": "main", "calibrate": 0}
        assert "mertic" in await refusal(one, "start_campaign", tree="../broken", **asked)
        assert (await call(one, "lab_status"))["campaign"] == "first"  # it is where it was
        moved = await call(one, "start_campaign", tag="first", tree="../there")
        again = await call(one, "start_campaign", tag="first", tree="../there")
        assert again["next"] == moved["next"]
        edit(lab, KNOB=2.0)
        git(tree, "worktree", "remove", "--force", "../there")
        assert (await call(one, "run_experiment", description="nearer"))["score"] == 1.0  # where it was before


def test_a_work_tree_is_made_beside_the_first_and_nowhere_else(lab: Lab, tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").write_text("somebody's")
    (tmp_path / "a-file").write_text("somebody's")
    for place in ("../full", "../a-file", "inside", "..", ".", "../../elsewhere", "/etc/x", "../.hidden"):
        with pytest.raises(WorkspaceError):
            make_tree(lab.workspace, "first", "HEAD", place)
    folder = make_tree(lab.workspace, "first", "HEAD", "../second")
    assert git(folder, "rev-parse", "HEAD") == git(lab.paths.tree, "rev-parse", "autoresearch/first")
    assert make_tree(lab.workspace, "first", "HEAD", "../second") == folder  # asked twice, made once


def test_making_a_work_tree_runs_no_hook_and_no_filter_of_the_repository(tmp_path: Path) -> None:
    lab = make_lab(tmp_path / "lab")
    tree, ran = lab.paths.tree, tmp_path / "ran"
    hook = tree / ".git" / "hooks" / "post-checkout"
    hook.write_text(f"#!/bin/sh\ntouch {ran}\n")
    hook.chmod(0o755)
    git(tree, "config", "filter.evil.smudge", f"touch {ran}; cat")
    (tree / ".gitattributes").write_text("*.txt filter=evil\n")
    git(tree, "add", ".gitattributes")
    git(tree, "commit", "-q", "-m", "attributes")
    make_tree(lab.workspace, "first", "HEAD", "../second")
    assert not ran.exists()
    assert (tmp_path / "second" / "notes.txt").read_text() == "the user's own\n"


async def test_memo_and_style_are_handed_out_once_and_again_when_they_change(lab: Lab) -> None:
    async with agents(lab, 1) as (one,):
        assert "Bring KNOB to three." in (await call(one, "lab_status"))["memo"]
        second = await call(one, "lab_status")
        assert "memo" not in second
        assert "program.md" in second["as_before"]
        program = lab.paths.tree / "program.md"
        program.write_text(program.read_text() + "\nPrefer round numbers.\n")
        assert "Prefer round numbers." in (await call(one, "lab_status"))["memo"]
    async with agents(lab, 1) as (other,):
        assert "memo" in await call(other, "lab_status")


async def test_a_heartbeat_with_nothing_due_costs_under_400_bytes(lab: Lab) -> None:
    async with agents(lab, 1) as (one,):
        edit(lab, KNOB=2.0, SECONDS=600.0)
        begun = await call(one, "run_experiment", description="a long run", wait_seconds=0)
        until(lambda: lab.read_score(begun["experiment"]).phase == "training")
        await call(one, "lab_status")
        beat = await call(one, "lab_status")
        assert len(json.dumps(beat, separators=(",", ":")).encode()) < 400
        assert beat["running"][0]["experiment"] == 2
        await call(one, "cancel_experiment", experiment=2)
        finish(lab, 2)
        assert (await call(one, "lab_status"))["waiting_for_decision"] == [2]  # news is told whole
