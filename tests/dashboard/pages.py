"""A real dashboard process and a real headless Chromium for the tests of the page."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest import mock

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
QUIET = [
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
]


@dataclass
class Served:
    """A running `autoresearch dashboard`."""

    process: subprocess.Popen[str]
    link: str
    port: int
    folder: Path

    @property
    def origin(self) -> str:
        return f"http://127.0.0.1:{self.port}"


def start(folder: Path, port: int = 0, *more: str) -> Served:
    """Start it and wait until it tells its link."""
    asked = ["dashboard", "--port", str(port), "--json", *more]
    command = [sys.executable, "-m", "mcp_server.cli", "-C", str(folder), *asked]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={**os.environ})
    assert process.stdout is not None
    link = json.loads(process.stdout.readline())["url"]
    return Served(process, link, int(link.split(":")[2].split("/")[0]), folder)


def stop(served: Served, how: int = signal.SIGTERM) -> None:
    served.process.send_signal(how)
    served.process.wait(timeout=120)
    if served.process.stdout is not None:
        served.process.stdout.close()


class Agent:
    """A real server process on a lab, as a client of that name has it."""

    def __init__(self, folder: Path, client: str = "any-client") -> None:
        command = [sys.executable, "-m", "mcp_server"]
        self.process = subprocess.Popen(command, cwd=folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self._id = 0
        who = {"name": client, "version": "1"}
        self.ask("initialize", {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": who})
        self._say({"jsonrpc": "2.0", "method": "notifications/initialized"})

    def call(self, tool: str, **arguments: object) -> dict[str, Any]:
        """What a tool answers."""
        found = self.ask("tools/call", {"name": tool, "arguments": arguments})
        assert not found.get("isError"), found
        told: dict[str, Any] = found["structuredContent"]
        return told

    def ask(self, method: str, params: dict[str, Any]) -> dict[str, Any]:
        self._id += 1
        self._say({"jsonrpc": "2.0", "id": self._id, "method": method, "params": params})
        assert self.process.stdout is not None
        while True:  # news of progress comes between
            found = json.loads(self.process.stdout.readline())
            if found.get("id") == self._id:
                return dict(found["result"])

    def _say(self, message: dict[str, Any]) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(message) + "\n")
        self.process.stdin.flush()

    def end(self, how: int | None = None) -> None:
        """As a client ends it; or by a signal."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        if how is not None:
            self.process.send_signal(how)
        self.process.stdin.close()
        self.process.wait(timeout=120)
        self.process.stdout.close()


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Cache and locks in `folder`, no chart and no other lab: for what the tests of a module share."""
    places = {f"AUTORESEARCH_{name}": str(folder / name.lower()) for name in ("CACHE", "LOCKS", "LABS")}
    with mock.patch.dict(os.environ, {**places, "AUTORESEARCH_CHART": "off", "AUTORESEARCH_COMMUNITY": "off"}):
        yield


@contextmanager
def serving(folder: Path, *more: str) -> Iterator[Served]:
    served = start(folder, 0, *more)
    try:
        yield served
    finally:
        if served.process.poll() is None:
            stop(served)


@dataclass
class Heard:
    """What a page did that it must not do, as the browser tells."""

    complaints: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)
    # origins of earlier pages of this tab, which listen until they are left
    before: set[str] = field(default_factory=set)

    def strangers(self, origin: str) -> list[str]:
        known = tuple(f"{one}/events" for one in self.before - {origin})
        self.before.add(origin)
        return [url for url in self.requests if not url.startswith((f"{origin}/", "blob:", "data:", *known))]
