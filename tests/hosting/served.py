"""A lab server in a process of its own, as its users meet it: by its command and over HTTP."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from mcp_server.hosting.door.tokens import May, Tokens
from mcp_server.hosting.premises import Premises


@dataclass
class Served:
    """One server that runs."""

    url: str
    process: subprocess.Popen[str]
    folder: Path

    def token(self, name: str, may: May = May.PUBLISH, push_mb: float = 32.0, per_second: float = 1000.0) -> str:
        made = Tokens(Premises(self.folder)).add(name, may, datetime.now(UTC), push_mb=push_mb, per_second=per_second)
        return made

    def place(self, token: str) -> str:
        """What a lab joins."""
        scheme, _, rest = self.url.partition("://")
        return f"{scheme}://lab:{token}@{rest}"

    def ask(self, path: str, token: str = "", method: str = "GET", body: bytes | None = None) -> tuple[int, bytes]:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        asked = urllib.request.Request(self.url + path, data=body, headers=headers, method=method)
        try:
            with urllib.request.urlopen(asked, timeout=120) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read()

    def end(self, how: int = signal.SIGTERM) -> int:
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.process.pid, how)
        return self.process.wait(timeout=120)


@contextlib.contextmanager
def serving(folder: Path, *options: str, port: int = 0) -> Iterator[Served]:
    """A server on a folder, until it is ended."""
    command = [sys.executable, "-m", "mcp_server.cli", "community", "serve", str(folder), "--port", str(port), *options]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    assert process.stdout is not None
    try:
        said = process.stdout.readline().split()
        assert said[:2] == ["Lab", "server:"], said
        yield Served(said[2], process, folder)
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()
        process.stdout.close()
