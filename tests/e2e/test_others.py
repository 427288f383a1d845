"""Gemini CLI, opencode and Copilot CLI, the real ones, headless, each driven through whole experiments by a script."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import pytest

from tests.e2e.clients import installed, missing
from tests.e2e.endpoint import serving
from tests.e2e.loop import TAG, Notes, researcher
from tests.e2e.others import OTHERS
from tests.e2e.repositories import attempts, lay_project
from tests.e2e.script import Call, Result, Say, Script

pytestmark = pytest.mark.e2e
OWN = {"AUTORESEARCH_PYTHON": sys.executable}  # the server starts in the interpreter of these tests


@pytest.fixture(params=OTHERS)
def name(request: pytest.FixtureRequest) -> str:
    if missing(request.param):
        pytest.skip(missing(request.param))
    return str(request.param)


def test_a_campaign_in_a_checkout_of_the_project(tmp_path: Path, home: Path, name: str) -> None:
    lab = lay_project(tmp_path / "lab", experiments=4)
    notes = Notes()
    script = researcher(lab, notes, paces=False)
    with serving(script, str(lab)) as endpoint, OTHERS[name](endpoint, lab, home, "autoresearch", **OWN) as client:
        session = client.wait()
        seen = json.dumps(endpoint.requests[-1])
    assert session.code == 0, session.errors[-2000:]
    assert notes.refused == []
    assert len(notes.decisions) == 3
    assert notes.stop
    assert attempts(lab, TAG) == ["1", "2", "3", "4"]
    # opencode's skill tool lists a skill's files with ripgrep, and fetches that where it is missing: not from loopback
    if name != "opencode" or shutil.which("rg", path=installed().path):
        assert "Research, experiment after experiment" in seen


LATE = """\
#!/bin/sh
case "$*" in "-P -m mcp_server") exec {python} -c '{late}' ;; esac
exec {python} "$@"
"""
LATE_IMPORT = """
import importlib.abc, runpy, sys, time
class Late(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name == "mcp_server.server":
            time.sleep(12)
sys.meta_path.insert(0, Late())
runpy.run_module("mcp_server", run_name="__main__")
"""


def test_a_server_that_starts_slowly_does_not_lose_its_tools(tmp_path: Path, home: Path) -> None:
    """Copilot CLI asks in the newer protocol first, gives up on it after some seconds, and falls back."""
    if missing("copilot"):
        pytest.skip(missing("copilot"))
    python = tmp_path / "late-python"
    python.write_text(LATE.format(python=sys.executable, late=LATE_IMPORT))
    python.chmod(0o755)
    seen: list[Result] = []

    def play() -> Script:
        seen.append((yield Call("lab_status")))
        yield Say("seen")

    lab = lay_project(tmp_path / "lab")
    late = {"AUTORESEARCH_PYTHON": str(python)}
    with serving(play(), str(lab)) as endpoint, OTHERS["copilot"](endpoint, lab, home, "status", **late) as client:
        session = client.wait()
    assert session.code == 0, session.errors[-2000:]
    assert "start_campaign" in seen[0]["next"]
