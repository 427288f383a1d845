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


def start(folder: Path, port: int = 0) -> Served:
    """Start it and wait until it tells its link."""
    command = [sys.executable, "-m", "mcp_server.cli", "-C", str(folder), "dashboard", "--port", str(port), "--json"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={**os.environ})
    assert process.stdout is not None
    link = json.loads(process.stdout.readline())["url"]
    return Served(process, link, int(link.split(":")[2].split("/")[0]), folder)


def stop(served: Served, how: int = signal.SIGTERM) -> None:
    served.process.send_signal(how)
    served.process.wait(timeout=120)
    if served.process.stdout is not None:
        served.process.stdout.close()


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Cache and locks in `folder`, no chart and no other lab: for what the tests of a module share."""
    places = {f"AUTORESEARCH_{name}": str(folder / name.lower()) for name in ("CACHE", "LOCKS")}
    with mock.patch.dict(os.environ, {**places, "AUTORESEARCH_CHART": "off", "AUTORESEARCH_COMMUNITY": "off"}):
        yield


@contextmanager
def serving(folder: Path) -> Iterator[Served]:
    served = start(folder)
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

    def strangers(self, origin: str) -> list[str]:
        return [url for url in self.requests if not url.startswith((f"{origin}/", "blob:", "data:"))]
