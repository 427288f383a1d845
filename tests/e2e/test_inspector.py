"""The MCP Inspector drives a lab from outside, on stdio and on HTTP, and the conformance suite asks what it can."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, MutableMapping
from pathlib import Path
from typing import Any

import pytest
import uvicorn

from mcp_server.faces.http import http_app
from mcp_server.server import build_server
from tests.e2e.clients import installed, scrubbed
from tests.e2e.repositories import attempts, lay_lab
from tests.e2e.servers import TOKEN, http
from tests.labs import until

VERBS = (
    "append_learnings",
    "cancel_experiment",
    "commit_or_revert",
    "lab_status",
    "read_score",
    "recall",
    "run_experiment",
    "start_campaign",
)
Ask = Callable[..., dict[str, Any]]


def inspector(home: Path, lab: Path, *target: str) -> Ask:
    """One question with the Inspector's command line; each call is a new session."""

    def ask(method: str, tool: str = "", **arguments: object) -> dict[str, Any]:
        words = ["--method", method]
        if tool:
            words += ["--tool-name", tool]
        for name, value in arguments.items():
            words += ["--tool-arg", f"{name}={value if isinstance(value, str) else json.dumps(value)}"]
        command = [str(installed().inspector), "--cli", *target, *words]
        environment = scrubbed(home) | {"AUTORESEARCH_LOCKS": str(home / "locks")}
        done = subprocess.run(
            command, cwd=lab, env=environment, capture_output=True, text=True, stdin=subprocess.DEVNULL
        )
        assert done.returncode == 0, done.stderr + done.stdout
        answer: dict[str, Any] = json.loads(done.stdout[done.stdout.index("{") :])
        return answer.get("structuredContent", answer)

    return ask


def one_iteration(ask: Ask, lab: Path) -> None:
    """From tools/list to a learning, as issue 2 asks for it."""
    assert tuple(sorted(tool["name"] for tool in ask("tools/list")["tools"])) == VERBS
    assert ask("tools/call", "start_campaign", tag="outside", calibrate=0)["branch"] == "autoresearch/outside"
    assert ask("tools/call", "read_score", experiment=1, wait_seconds=40)["score"] == 4.0
    (lab / "train.py").write_text((lab / "train.py").read_text().replace("KNOB = 1.0", "KNOB = 2.0"))
    ran = ask("tools/call", "run_experiment", description="twice the knob", wait_seconds=0)
    assert ran["experiment"] == 2
    assert ask("tools/call", "read_score", experiment=2, wait_seconds=40)["score"] == 1.0
    assert ask("tools/call", "commit_or_revert", experiment=2)["decision"] == "kept"
    assert "learning" in ask("tools/call", "append_learnings", text="Twice the knob is better.", experiment=2)
    assert ask("tools/call", "lab_status")["incumbent"]["experiment"] == 2
    assert attempts(lab, "outside") == ["1", "2"]


@pytest.mark.usefixtures("needs_inspector")
def test_one_iteration_through_the_inspector_on_stdio(tmp_path: Path, home: Path) -> None:
    lab = lay_lab(tmp_path / "lab")
    one_iteration(inspector(home, lab, sys.executable, "-P", "-m", "mcp_server"), lab)


@pytest.mark.usefixtures("needs_inspector")
def test_one_iteration_through_the_inspector_on_http(tmp_path: Path, home: Path) -> None:
    lab = lay_lab(tmp_path / "lab")
    with http(lab, home) as url:
        one_iteration(inspector(home, lab, url, "--header", f"Authorization: Bearer {TOKEN}"), lab)


@pytest.fixture
def open_door(tmp_path: Path) -> Iterator[str]:
    """The HTTP face for a suite that knows no tokens: the token is added on the way in, everything else is real."""
    face = http_app(build_server(lay_lab(tmp_path / "lab")), TOKEN, "127.0.0.1")

    async def with_token(scope: MutableMapping[str, Any], receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            scope["headers"] = [*scope["headers"], (b"authorization", f"Bearer {TOKEN}".encode())]
        await face(scope, receive, send)

    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        server = uvicorn.Server(uvicorn.Config(with_token, log_level="error", ws="none"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        try:
            until(lambda: server.started)
            yield f"http://127.0.0.1:{listening.getsockname()[1]}/mcp"
        finally:
            server.should_exit = True
            thread.join()


SCENARIOS = ("server-initialize", "ping", "tools-list", "resources-list", "prompts-list", "dns-rebinding-protection")


@pytest.mark.usefixtures("needs_conformance")
@pytest.mark.parametrize("scenario", SCENARIOS)
def test_the_conformance_suite_passes(open_door: str, home: Path, scenario: str) -> None:
    command = [str(installed().conformance), "server", "--url", open_door, "--scenario", scenario]
    done = subprocess.run(
        command, cwd=home, env=scrubbed(home), capture_output=True, text=True, stdin=subprocess.DEVNULL
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-1000:]
