"""The harness itself: a scripted model drives both real clients, whose tools act and whose answers it reads."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from tests.e2e import counting_server
from tests.e2e.drivers import claude, codex
from tests.e2e.endpoint import serving
from tests.e2e.script import Call, Say, Script, Shell, edit

SERVER = str(Path(counting_server.__file__))


def play(seen: list[object]) -> Script:
    """Each step depends on the answer before it."""
    first = yield Call("add", {"number": 20})
    second = yield Call("add", {"number": first["count"] + 2})
    seen.append(second["count"])
    edited = yield from edit("train.py", "KNOB = 1", f"KNOB = {second['count']}")
    seen.append(edited.failed)
    listing = yield Shell("cat train.py")
    seen.append("KNOB = 42" in listing.text)
    yield Say("done")


@pytest.mark.usefixtures("needs_claude")
def test_claude_code_follows_a_script(project: Path, home: Path) -> None:
    servers = {"mcpServers": {"autoresearch": {"type": "stdio", "command": sys.executable, "args": [SERVER]}}}
    (project / ".mcp.json").write_text(json.dumps(servers))
    settings = {
        "enabledMcpjsonServers": ["autoresearch"],
        "permissions": {"allow": ["mcp__autoresearch", "Edit", "Bash(cat:*)"]},
    }
    (project / ".claude").mkdir()
    (project / ".claude" / "settings.json").write_text(json.dumps(settings))
    seen: list[object] = []
    with serving(play(seen), str(project)) as endpoint, claude(endpoint, project, home, "go") as client:
        session = client.wait()
    assert seen == [42, False, True]
    assert session.event(type="result")["result"] == "done"
    assert (project / "train.py").read_text() == "# a stand-in\nKNOB = 42\n"


@pytest.mark.usefixtures("needs_codex")
def test_codex_follows_a_script(project: Path, home: Path) -> None:
    (project / ".codex").mkdir()
    server = f'[mcp_servers.autoresearch]\ncommand = "{sys.executable}"\nargs = ["{SERVER}"]\n'
    (project / ".codex" / "config.toml").write_text(server)
    seen: list[object] = []
    with serving(play(seen), str(project)) as endpoint, codex(endpoint, project, home, "go") as client:
        session = client.wait()
    assert seen == [42, False, True]
    assert session.code == 0
    assert (project / "train.py").read_text() == "# a stand-in\nKNOB = 42\n"
