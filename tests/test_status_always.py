"""lab_status always answers: whatever state a repository is in, there is a status with a step that leads on."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from mcp_server.campaign.company import Session, arrive, leave
from mcp_server.lab import Lab
from mcp_server.nouns.errors import AutoresearchError
from mcp_server.nouns.files import try_lock
from mcp_server.nouns.paths import device_locks_folder
from mcp_server.runner.devices import Holder, Lease, lock_path, sign
from tests.labs import begin, git, make_lab


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
    assert "`autoresearch new`" in lab.lab_status().next
    lab.paths.program.write_text(text.replace("metric:", "metrics:"))
    status = lab.lab_status()
    assert "Mend program.md" in status.next
    assert any("unknown key `metrics`" in words for words in status.problems)
    lab.paths.program.write_text(text)
    begin(lab)
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
    begin(lab)
    git(lab.paths.tree, "worktree", "add", "-q", "--detach", str(tmp_path / "second"))
    status = Lab(tmp_path / "second").lab_status()
    assert "start_campaign(tag): first" in status.next
    git(lab.paths.tree, "checkout", "-q", "--detach")
    assert lab.lab_status().campaign == "first"


def test_sessions_that_share_a_work_tree_are_told_of_each_other(tmp_path: Path) -> None:
    lab = make_lab(tmp_path / "lab")
    begin(lab)
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
    begin(lab)
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
