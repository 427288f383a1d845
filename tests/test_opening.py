"""A server that takes long to start still serves a client that asks first in the newer protocol, then in the older."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from mcp_server.faces.opening import PATIENCE_SECONDS, Opening, settled

PROTOCOL, CLIENT = "io.modelcontextprotocol/protocolVersion", "io.modelcontextprotocol/clientInfo"
META = {PROTOCOL: "2026-07-28", CLIENT: {"name": "any", "version": "1"}}
META["io.modelcontextprotocol/clientCapabilities"] = {}
DISCOVER = {"jsonrpc": "2.0", "id": 0, "method": "server/discover", "params": {"_meta": META}}
INITIALIZE = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "initialize",
    "params": {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "any", "version": "1"}},
}
SLOW = """
import os, sys, time, importlib.abc
class Late(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        while name == "mcp_server.server" and not os.path.exists("go on"):
            time.sleep(0.01)
        return None
sys.meta_path.insert(0, Late())
import runpy
runpy.run_module("mcp_server", run_name="__main__")
"""


def line(message: object) -> bytes:
    return json.dumps(message).encode() + b"\n"


def test_what_is_answered_before_the_server_can() -> None:
    discover, initialize, other = line(DISCOVER), line(INITIALIZE), line({"jsonrpc": "2.0", "id": 1, "method": "ping"})
    assert settled([], 100) is None
    assert settled([discover], 0.1) is None  # the server will be there in a moment
    assert settled([discover], PATIENCE_SECONDS + 0.1) is False
    assert settled([discover, initialize], 0.1) is False  # the client has given up on it
    assert settled([discover, other], 0.1) is None
    for first in (initialize, other, b"no json\n", b"[1]\n", b'{"method": "server/discover"}\n'):
        assert settled([first], 0.0) is True


@contextmanager
def started(folder: Path, *, late: bool = False) -> Iterator[subprocess.Popen[bytes]]:
    """Our server; `late`: with an import that takes until there is a file `go on`."""
    root = str(Path(__file__).parent.parent)
    command = [sys.executable, "-c", SLOW]
    if not late:
        (folder / "go on").touch()
    environment = {**os.environ, "PYTHONPATH": root}
    with subprocess.Popen(
        command, cwd=folder, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as server:
        yield server
        assert server.stdin is not None
        server.stdin.close()


def asked(server: subprocess.Popen[bytes], *messages: object) -> None:
    assert server.stdin is not None
    server.stdin.write(b"".join(map(line, messages)))
    server.stdin.flush()


def answer(server: subprocess.Popen[bytes]) -> dict[str, Any]:
    assert server.stdout is not None
    found: dict[str, Any] = json.loads(server.stdout.readline())
    return found


def test_a_client_that_falls_back_is_served_in_the_older_protocol(tmp_path: Path) -> None:
    with started(tmp_path, late=True) as server:
        asked(server, DISCOVER)
        refused = answer(server)
        assert refused["id"] == 0
        assert refused["error"]["code"] == -32601
        (tmp_path / "go on").touch()  # it answered before the import was done
        asked(server, INITIALIZE, {"jsonrpc": "2.0", "method": "notifications/initialized"})
        assert answer(server)["result"]["protocolVersion"] == "2025-06-18"
        asked(server, {"jsonrpc": "2.0", "id": 2, "method": "tools/list"})
        assert len(answer(server)["result"]["tools"]) == 8


@pytest.mark.parametrize("asks", [[DISCOVER, INITIALIZE], [INITIALIZE]], ids=["gave up already", "never asked"])
def test_what_came_before_the_server_reaches_it(tmp_path: Path, asks: list[object]) -> None:
    with started(tmp_path) as server:
        asked(server, *asks)
        answers = [answer(server) for _ in asks]
        assert [one["id"] for one in answers] == list(range(2 - len(asks), 2))
        assert answers[-1]["result"]["serverInfo"]["name"] == "autoresearch"


def test_a_server_in_time_speaks_the_newer_protocol(tmp_path: Path) -> None:
    with started(tmp_path) as server:
        asked(server, DISCOVER)
        found = answer(server)
        # on a machine too busy to start in time the fallback is right, too
        assert "result" in found or found["error"]["code"] == -32601


def test_a_line_that_comes_in_pieces_is_whole_and_the_end_is_told() -> None:
    (incoming, client), (ours, outgoing) = os.pipe(), os.pipe()
    opening = Opening(incoming, outgoing)
    whole = line(INITIALIZE)
    os.write(client, whole[:20])
    time.sleep(0.05)
    os.write(client, whole[20:] + b"half")
    stdin = opening.end()
    os.write(client, b" a line\n")
    os.close(client)
    assert stdin.readlines() == [whole, b"half a line\n"]
    for descriptor in (incoming, ours, outgoing):
        os.close(descriptor)
