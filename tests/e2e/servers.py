"""Our server as real clients start it: on stdio as a process, on HTTP with its own command."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

from mcp import StdioServerParameters

from tests.labs import until

TOKEN = "a-token-for-these-tests-only"


def stdio(lab: Path) -> StdioServerParameters:
    """The server for `lab`, as a client starts it."""
    environment = {
        name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "CLAUDE_PROJECT_DIR")
    }
    return StdioServerParameters(command=sys.executable, args=["-P", "-m", "mcp_server"], cwd=lab, env=environment)


@contextlib.contextmanager
def http(lab: Path, folder: Path) -> Iterator[str]:
    """`autoresearch serve --http` for `lab`; its address, once it answers. The bearer token is TOKEN."""
    token = folder / "token"
    token.write_text(TOKEN)
    token.chmod(0o600)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    command = [
        sys.executable,
        "-P",
        "-m",
        "mcp_server.cli",
        "serve",
        "--http",
        "--port",
        port,
        "--token-file",
        str(token),
    ]
    with (folder / "serve.log").open("wb") as log:
        server = subprocess.Popen(command, cwd=lab, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    url = f"http://127.0.0.1:{port}/mcp"
    try:
        until(lambda: server.poll() is not None or _answers(url))
        assert server.poll() is None, (folder / "serve.log").read_text()
        yield url
    finally:
        server.terminate()
        server.wait()


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5):
            return True
    except urllib.error.HTTPError as error:
        error.close()
        return True
    except OSError:
        return False
