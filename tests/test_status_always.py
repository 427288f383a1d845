"""lab_status always answers: whatever state a repository is in, there is a status with a step that leads on."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from mcp_server.campaign.trees.company import Session, arrive, leave
from mcp_server.campaign.trees.overwritten import Caller, silent_hooks
from mcp_server.lab import Lab
from mcp_server.nouns.errors import AutoresearchError
from mcp_server.nouns.files import try_lock
from mcp_server.nouns.paths import device_locks_folder
from mcp_server.runner.machine.devices import Holder, Lease, lock_path, sign
from tests.labs import begun, git, make_lab


def test_before_any_campaign(tmp_path: Path) -> None:
    lab = make_lab(tmp_path / "lab")
    assert "start_campaign(tag)" in lab.lab_status().next
    assert not lab.paths.state.exists()


def test_before_any_commit(tmp_path: Path) -> None:
    lab = make_lab(tmp_path / "lab")
    git(lab.paths.tree, "update-ref", "-d", "HEAD")
    assert "start_campaign(tag)" in Lab(lab.paths.tree).lab_status().next
    with pytest.raises(AutoresearchError):
        lab.start_campaign("first")
    assert "start_campaign" in lab.lab_status().next


def test_without_a_program_and_with_a_broken_one(tmp_path: Path) -> None:
    lab = make_lab(tmp_path / "lab")
    text = lab.paths.program.read_text()
    lab.paths.program.unlink()
    assert "`autoresearch init`" in lab.lab_status().next
    lab.paths.program.write_text(text.replace("metric:", "mertic:"))
    status = lab.lab_status()
    assert "Mend program.md" in status.next
    assert any("unknown key `mertic`" in words for words in status.problems)
    lab.paths.program.write_text(text)
    begun(lab)
    lab.paths.program.unlink()
    status = lab.lab_status()
    assert status.campaign == "first"
    assert any("There is no program.md" in words for words in status.problems)


def test_after_a_start_that_failed(tmp_path: Path) -> None:
    lab = make_lab(tmp_path / "lab")
    lab.paths.program.write_text(lab.paths.program.read_text().replace("[score.py]", "[other.py]"))
    with pytest.raises(AutoresearchError):
        lab.start_campaign("first")
    status = lab.lab_status()
    assert "start_campaign" in status.next
    # begun in the ledger, and then git could not follow
    lab.paths.program.write_text(lab.paths.program.read_text().replace("[other.py]", "[score.py]"))
    head = lab.paths.common / "HEAD.lock"
    head.touch()
    with pytest.raises(AutoresearchError):
        lab.start_campaign("second")
    status = lab.lab_status()
    assert status.next
    head.unlink()
    assert lab.start_campaign("second").campaign == "second"


def test_in_a_second_work_tree_and_on_a_detached_head(tmp_path: Path) -> None:
    lab = make_lab(tmp_path / "lab")
    begun(lab)
    git(lab.paths.tree, "worktree", "add", "-q", "--detach", str(tmp_path / "second"))
    status = Lab(tmp_path / "second").lab_status()
    assert "start_campaign(tag): first" in status.next
    git(lab.paths.tree, "checkout", "-q", "--detach")
    assert lab.lab_status().campaign == "first"


def test_sessions_that_share_a_work_tree_are_told_of_each_other(tmp_path: Path) -> None:
    lab = make_lab(tmp_path / "lab")
    begun(lab)
    tree, since = str(lab.paths.tree), "2026-01-01T10:00:00+00:00"
    first, second = Session("a" * 8, "Claude Code", tree, since), Session("b" * 8, "Codex", tree, since)
    held = arrive(lab.paths.state, first)
    assert held is not None
    assert lab.lab_status().sessions == []
    other = arrive(lab.paths.state, second)
    assert other is not None
    assert lab.lab_status().sessions == ["Claude Code, here since 10:00 UTC", "Codex, here since 10:00 UTC"]
    leave(lab.paths.state, second.id, other)
    assert lab.lab_status().sessions == []
    leave(lab.paths.state, first.id, held)


def test_who_holds_a_device_is_named_with_the_time_left(tmp_path: Path) -> None:
    lab = make_lab(tmp_path / "lab")
    begun(lab)
    fd = try_lock(lock_path(device_locks_folder(), "cpu"))
    assert fd is not None
    lease = Lease("cpu", fd)
    sign(lease, Holder("/home/b/lab", "night/7", lab.now().timestamp() + 15 * 60))
    try:
        device = lab.lab_status().devices[0]
    finally:
        os.close(fd)
    assert (device.state, device.experiment) == ("busy", "night/7 of the lab in /home/b/lab, about 15 min left")
    assert lab.lab_status().devices[0].state == "free"


CODEX = Caller("codex-mcp-client", "one conversation")


def overwritten(folder: Path) -> Lab:
    lab = make_lab(folder)
    begun(lab)
    (lab.paths.tree / "score.py").write_text("print('{\"score\": 0}')\n")
    return lab


def test_an_overwritten_frozen_file_is_named_with_the_command_that_puts_it_back(tmp_path: Path) -> None:
    lab = overwritten(tmp_path / "lab")
    said = " ".join(lab.lab_status().problems)
    assert "score.py differs from the campaign's first version, which is what is measured" in said
    assert "hook" not in said  # of a client that skips none there is nothing to say
    subprocess.run(said.split("`")[1], shell=True, cwd=lab.paths.tree, check=True)
    assert lab.lab_status().problems == []


def test_codex_is_told_that_its_hooks_sleep_while_frozen_files_are_overwritten(tmp_path: Path) -> None:
    lab = overwritten(tmp_path / "lab")
    assert any("with /hooks in `codex`" in said for said in lab.lab_status(CODEX).problems)
    git(lab.paths.tree, "restore", "score.py")
    assert lab.lab_status(CODEX).problems == []


def test_hooks_that_ran_in_this_conversation_are_not_called_asleep(tmp_path: Path) -> None:
    lab = overwritten(tmp_path / "lab")
    event = {"hook_event_name": "PreToolUse", "session_id": CODEX.session, "cwd": str(lab.paths.tree)}
    guard = Path(__file__).parent.parent / "hooks" / "guard.py"
    subprocess.run([sys.executable, str(guard)], input=json.dumps(event), text=True, check=True)
    assert not any("hook" in said for said in lab.lab_status(CODEX).problems)
    assert any("hook" in said for said in lab.lab_status(Caller(CODEX.client, "another one")).problems)
    assert not any("hook" in said for said in lab.lab_status(Caller(CODEX.client)).problems)  # it tells no conversation


def test_the_command_that_adds_the_hooks_of_a_codex_plugin_works_and_overwrites_nothing(tmp_path: Path) -> None:
    said = silent_hooks(Caller(CODEX.client, "any", plugin=True), ran=False)
    here = Path(__file__).parent.parent / ".codex-plugin"
    release = tmp_path / "plugins" / "cache" / "autoresearch" / "autoresearch" / "0.1.0" / ".codex-plugin"
    shutil.copytree(here, release)
    where = {**os.environ, "CODEX_HOME": str(tmp_path)}
    subprocess.run(said.split("`")[1], shell=True, env=where, check=True)
    assert (tmp_path / "hooks.json").read_text() == (here / "user_hooks.json").read_text()
    (tmp_path / "hooks.json").write_text("mine")
    subprocess.run(said.split("`")[1], shell=True, env=where, check=False)
    assert (tmp_path / "hooks.json").read_text() == "mine"
