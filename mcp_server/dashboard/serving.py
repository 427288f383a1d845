"""Starts the page: an address on loopback, a token, and the link that carries it."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from pathlib import Path

import uvicorn

from mcp_server.dashboard.app import Feeds, dashboard_app
from mcp_server.faces.bearer import read_token
from mcp_server.nouns.errors import AutoresearchError
from mcp_server.repo.workspace import Workspace

HOST = "127.0.0.1"
FIRST_PORT, PORTS = 8766, 20


def listen(port: int | None) -> socket.socket:
    """A listening socket on loopback; without a port, on the first free one of a few. Raises AutoresearchError."""
    for number in [port] if port is not None else range(FIRST_PORT, FIRST_PORT + PORTS):
        listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        # a port whose last connections still linger may be taken again: a restart keeps its link
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listening.bind((HOST, number))
            listening.listen(128)
        except OSError:
            listening.close()
            continue
        return listening
    asked = f"Port {port} is" if port is not None else f"Ports {FIRST_PORT} to {FIRST_PORT + PORTS - 1} are"
    raise AutoresearchError(f"{asked} taken on this machine. Choose another with --port, or --port 0 for any.")


def serve_dashboard(
    tree: Path,
    campaign: str | None,
    port: int | None,
    announce: Callable[[str], None],
    ends: Callable[[], object] | None = None,
) -> None:
    """Serve until interrupted, or until `ends` returns; `announce` gets the link once it can be opened."""
    paths = Workspace(tree).paths
    paths.state.mkdir(parents=True, exist_ok=True)
    token = read_token(paths.state / "dashboard-token")
    with listen(port) as listening:
        number = int(listening.getsockname()[1])
        feeds = Feeds(paths.tree, campaign)
        app = dashboard_app(feeds, token, number, lambda: server.should_exit)
        config = uvicorn.Config(
            app, log_level="warning", server_header=False, ws="none", timeout_graceful_shutdown=3, access_log=False
        )
        server = uvicorn.Server(config)
        if ends is not None:

            def wait() -> None:
                ends()
                server.should_exit = True

            threading.Thread(target=wait, daemon=True).start()
        announce(f"http://{HOST}:{number}/open?token={token}")
        try:
            server.run(sockets=[listening])
        except KeyboardInterrupt:
            pass  # Ctrl-C is how a person ends it
        finally:
            feeds.close()
