"""Keeps an MCP client company on stdio while the server it asked for is being installed.

Clients give a server 10 to 30 seconds to answer the handshake and to list its tools, and an installation takes longer.
So the handshake is answered here, the tools are listed from `tools.json` (which `list_tools.py` writes and a test
compares), and calls are kept. Once the server can start it is given the same handshake and what was kept, the client is
told to list again, and from then on messages pass through untouched. Standard library only.
"""

from __future__ import annotations

import json
import os
import queue
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any, BinaryIO

Message = dict[str, Any]

METHOD_NOT_FOUND = -32601
PROTOCOLS = ("2025-11-25", "2025-06-18", "2025-03-26", "2024-11-05")
TOOLS = Path(__file__).resolve().parent / "tools.json"
EMPTY: dict[str, Message] = {
    "prompts/list": {"prompts": []},
    "resources/list": {"resources": []},
    "resources/templates/list": {"resourceTemplates": []},
}
CHANGED = tuple(f"notifications/{name}/list_changed" for name in ("tools", "prompts", "resources"))


def parse(line: bytes) -> Message:
    """One message; empty when the line is none."""
    try:
        found = json.loads(line)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def greeting(request: Message, version: str) -> Message:
    """The answer to a handshake, in a version that server and client both speak."""
    asked = request.get("params", {}).get("protocolVersion")
    return {
        "protocolVersion": asked if asked in PROTOCOLS else PROTOCOLS[0],
        "capabilities": {name: {"listChanged": True} for name in ("tools", "resources", "prompts")},
        "serverInfo": {"name": "autoresearch", "title": "autoresearch", "version": version},
        "instructions": "The server is being installed, which happens once; calls wait until it is ready.",
    }


class Room:
    """The client's side of stdio until the server takes over."""

    def __init__(self, version: str, incoming: BinaryIO, outgoing: BinaryIO) -> None:
        self._version, self._incoming, self._outgoing = version, incoming, outgoing
        self._lines: queue.Queue[bytes | None] = queue.Queue()
        self._handshake: Message | None = None
        self._kept: list[bytes] = []
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        for line in self._incoming:
            self._lines.put(line)
        self._lines.put(None)

    def _say(self, answer: Message) -> None:
        self._outgoing.write(json.dumps({"jsonrpc": "2.0", **answer}).encode() + b"\n")
        self._outgoing.flush()

    def wait(self, installation: subprocess.Popen[bytes]) -> bool:
        """Answer handshakes until the installation has ended; False when it failed or the client left."""
        while installation.poll() is None:
            try:
                line = self._lines.get(timeout=0.1)
            except queue.Empty:
                continue
            if line is None:
                return False
            self._meet(line)
        return installation.returncode == 0

    def _meet(self, line: bytes) -> None:
        message = parse(line)
        method = message.get("method")
        if method == "initialize":
            self._handshake = message
            self._say({"id": message["id"], "result": greeting(message, self._version)})
        elif method == "server/discover":
            # the newer, stateless handshake: a client that is told so falls back to the one above
            self._say({"id": message["id"], "error": {"code": METHOD_NOT_FOUND, "message": "still installing"}})
        elif method == "ping":
            self._say({"id": message["id"], "result": {}})
        elif method == "tools/list":
            self._say({"id": message["id"], "result": json.loads(TOOLS.read_text(encoding="utf-8"))})
        elif method in EMPTY:
            self._say({"id": message["id"], "result": EMPTY[method]})
        else:
            self._kept.append(line)

    def hand_over(self, command: Sequence[str]) -> int:
        """Start the server, bring it to where the client believes it to be, and pass everything on. Its exit code."""
        server = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert server.stdin is not None
        assert server.stdout is not None
        if self._handshake is not None:
            server.stdin.write(json.dumps(self._handshake).encode() + b"\n")
            server.stdin.flush()
            server.stdout.readline()  # its own greeting; the client has had one
            for method in CHANGED:
                self._say({"method": method})
        threading.Thread(target=self._feed, args=(server.stdin,), daemon=True).start()
        for line in server.stdout:
            self._outgoing.write(line)
            self._outgoing.flush()
        return server.wait()

    def _feed(self, server: BinaryIO) -> None:
        try:
            for line in self._kept:
                server.write(line)
            server.flush()
            while (line := self._lines.get()) is not None:
                server.write(line)
                server.flush()
            server.close()
        except BrokenPipeError:
            pass  # the server has ended; its exit code tells


def stay(installation: subprocess.Popen[bytes], command: Sequence[str], version: str) -> int:
    """Wait for an installation, then become a pipe to the server. The server's exit code."""
    room = Room(version, sys.stdin.buffer, sys.stdout.buffer)
    if not room.wait(installation):
        return installation.poll() or os.EX_TEMPFAIL
    return room.hand_over(command)
