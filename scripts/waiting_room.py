"""Keeps an MCP client company on stdio while the server it asked for is being installed.

Clients give a server 10 to 30 seconds to answer the handshake and to list its tools, and an installation takes longer.
So the handshake is answered here, the tools are listed from `tools.json` (which `list_tools.py` writes and a test
compares), and calls are kept, with progress for those who asked for it. `lab_status` is answered after a while in any
case. Once the server can start it is given the same handshake and what was kept, the client is told to list again, and
from then on messages pass through untouched. When the installation fails every kept call is answered with the reason
and what to do, and the next `lab_status` tries again. Standard library only.
"""

from __future__ import annotations

import json
import os
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, BinaryIO

from installation import Installation, refused

Message = dict[str, Any]

METHOD_NOT_FOUND, NOT_READY = -32601, -32000
PROTOCOLS = ("2025-11-25", "2025-06-18", "2025-03-26", "2024-11-05")
TOOLS = Path(__file__).resolve().parent / "tools.json"
EMPTY: dict[str, Message] = {
    "prompts/list": {"prompts": []},
    "resources/list": {"resources": []},
    "resources/templates/list": {"resourceTemplates": []},
}
PROGRESS_SECONDS = 2.0
PATIENCE_SECONDS = 40.0  # of a lab_status: clients that nobody measured give a call a minute
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
        "instructions": f"{listed()['instructions']} It is being installed now, which happens once; calls wait for it.",
    }


def listed() -> Message:
    """What the server would say of its tools, and of itself."""
    found: Message = json.loads(TOOLS.read_text(encoding="utf-8"))
    return found


def is_status(message: Message) -> bool:
    return message.get("method") == "tools/call" and message.get("params", {}).get("name") == "lab_status"


def begun(begin: Callable[[], Installation]) -> tuple[Installation | None, str]:
    """(An installation that was started, "") or (None, why not)."""
    try:
        return begin(), ""
    except OSError as error:
        print(refused(error), file=sys.stderr, flush=True)
        return None, refused(error)


class Room:
    """The client's side of stdio until the server takes over."""

    def __init__(self, version: str, incoming: BinaryIO, outgoing: BinaryIO) -> None:
        self._version, self._incoming, self._outgoing = version, incoming, outgoing
        self._lines: queue.Queue[bytes | None] = queue.Queue()
        self._handshake: Message | None = None
        self._kept: list[tuple[float, bytes]] = []
        self._told = 0.0
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        for line in self._incoming:
            self._lines.put(line)
        self._lines.put(None)

    def _say(self, answer: Message) -> None:
        self._outgoing.write(json.dumps({"jsonrpc": "2.0", **answer}).encode() + b"\n")
        self._outgoing.flush()

    def wait(self, begin: Callable[[], Installation]) -> bool:
        """Answer handshakes until an installation has succeeded; False when the client left before.

        `begin` starts one: at once, and after a failure with the next lab_status.
        """
        making, failed = begun(begin)
        while True:
            line = self._next()
            if line is None:
                return False
            if line:
                if making is None and is_status(parse(line)):
                    making, failed = begun(begin)
                self._meet(line)
            if making is None:
                self._answer_kept(failed, wrong=True)
            elif making.process.poll() == 0:
                return True
            elif making.process.poll() is not None:
                failed, making = making.why(), None
                print(failed, file=sys.stderr, flush=True)
            else:
                self._tell(making)

    def _next(self) -> bytes | None:
        """The next line; empty when none comes for a moment, None when the client left."""
        try:
            return self._lines.get(timeout=0.1)
        except queue.Empty:
            return b""

    def _tell(self, making: Installation) -> None:
        """Progress for the calls that wait, and an answer for a lab_status that waited long enough."""
        now = time.monotonic()
        tokens = [parse(line).get("params", {}).get("_meta", {}).get("progressToken") for _, line in self._kept]
        tokens = [token for token in tokens if token is not None]
        if tokens and now - self._told >= PROGRESS_SECONDS:
            self._told = now
            for token in tokens:
                said = {"progressToken": token, "progress": round(making.seconds(), 1), "message": making.now()}
                self._say({"method": "notifications/progress", "params": said})
        late = [(at, line) for at, line in self._kept if now - at > PATIENCE_SECONDS and is_status(parse(line))]
        if late:
            rest, self._kept = [one for one in self._kept if one not in late], late
            self._answer_kept(f"{making.now()}. Call lab_status again: it waits for it.")
            self._kept = rest

    def _answer_kept(self, words: str, wrong: bool = False) -> None:
        """Answer the calls that were kept with these words; what is no request stays for the server."""
        kept, self._kept = self._kept, []
        for at, line in kept:
            message = parse(line)
            if message.get("id") is None:
                self._kept.append((at, line))
            elif message.get("method") == "tools/call":
                result: Message = {"content": [{"type": "text", "text": words}], "isError": wrong}
                if not wrong:
                    result["structuredContent"] = {"next": words}
                self._say({"id": message["id"], "result": result})
            else:
                self._say({"id": message["id"], "error": {"code": NOT_READY, "message": words}})

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
            self._say({"id": message["id"], "result": {"tools": listed()["tools"]}})
        elif method in EMPTY:
            self._say({"id": message["id"], "result": EMPTY[method]})
        else:
            self._kept.append((time.monotonic(), line))

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
            for _, line in self._kept:
                server.write(line)
            server.flush()
            while (line := self._lines.get()) is not None:
                server.write(line)
                server.flush()
            server.close()
        except BrokenPipeError:
            pass  # the server has ended; its exit code tells


def stay(begin: Callable[[], Installation], command: Sequence[str], version: str) -> int:
    """Wait for an installation, then become a pipe to the server. The server's exit code."""
    room = Room(version, sys.stdin.buffer, sys.stdout.buffer)
    return room.hand_over(command) if room.wait(begin) else os.EX_TEMPFAIL
