"""Supervisors that are forked (`tests.warm`) do what those do that start as an interpreter of their own."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from mcp_server.engines import local
from mcp_server.nouns.records import RunResult
from tests import warm
from tests.runs import RunFolder

OF_THE_MOMENT = {"started_at", "ended_at", "tainted"}


def told(result: RunResult) -> dict[str, Any]:
    """What was said in words: no measure, and nothing that another moment changes."""
    return {name: value for name, value in result.model_dump(exclude=OF_THE_MOMENT).items() if isinstance(value, str)}


def test_it_ends_as_one_that_was_started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert local.start != warm.START
    forked = RunFolder(root=tmp_path / "forked").carry_out()
    monkeypatch.setattr(local, "start", warm.START)
    started = RunFolder(root=tmp_path / "started").carry_out()
    assert forked.score == started.score == 0.5
    assert told(forked) == told(started)


def test_it_looks_from_outside_like_one_that_was_started_and_sees_what_is_set_now(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AUTORESEARCH_TIER", "T0")  # there the trainer sees the machine as it is
    run = RunFolder(root=tmp_path, train="import time\ntime.sleep(600)\n")
    pid = run.start()
    run.wait_for("starting", pid)
    words = Path(f"/proc/{pid}/cmdline").read_bytes().rstrip(b"\0").split(b"\0")[1:]
    assert words == [b"-m", b"mcp_server.runner", bytes(run.paths.folder)]
    assert os.getsid(pid) == pid
    assert Path(f"/proc/{pid}/cwd").readlink() == run.paths.folder
    run.paths.cancel.touch()
    result = run.wait()
    assert (result.state, result.tier) == ("cancelled", "T0")


def test_what_ends_it_is_told_in_its_log(tmp_path: Path) -> None:
    run = RunFolder(root=tmp_path)
    run.lay_out()
    run.paths.spec.write_text("{")
    pid = run.start()
    with pytest.raises(AssertionError):
        run.wait()
    assert "spec.json cannot be read" in run.paths.supervisor_log.read_text()
    assert pid
