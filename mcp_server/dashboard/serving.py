"""Starts a page: an address on loopback, a token, and the link that carries it."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable
from pathlib import Path

import uvicorn
from starlette.applications import Starlette

from mcp_server.dashboard.app import dashboard_app
from mcp_server.dashboard.lab import Feeds
from mcp_server.dashboard.labs import AllLabs, all_labs_app
from mcp_server.faces.bearer import read_token
from mcp_server.lab import utc_now
from mcp_server.nouns.errors import AutoresearchError, NotNow
from mcp_server.nouns.files import private_folder
from mcp_server.nouns.paths import labs_folder
from mcp_server.personal.labs import introduce
from mcp_server.repo.workspace import Workspace

HOST = "127.0.0.1"
FIRST_PORT, PORTS = 8766, 20  # of a lab's page
FIRST_OF_ALL = FIRST_PORT + PORTS  # of the page of all labs, whose address is the same whichever labs are served
Closing = Callable[[], bool]


def listen(port: int | None, first: int = FIRST_PORT) -> socket.socket:
    """A listening socket on loopback; without a port, on the first free one of a few. Raises AutoresearchError."""
    why = ""
    for number in [port] if port is not None else range(first, first + PORTS):
        try:
            # a port whose last connections still linger may be taken again: a restart keeps its link
            return socket.create_server((HOST, number), backlog=128)
        except OSError as error:
            why = str(error.strerror).partition(" (")[0]  # Python adds the address
    asked = f"Port {port}" if port is not None else f"A port of {first} to {first + PORTS - 1}"
    raise AutoresearchError(f"{asked} cannot be had: {why}. Choose another with --port, or --port 0 for any.")


def serve_dashboard(
    tree: Path,
    campaign: str | None,
    port: int | None,
    announce: Callable[[str], None],
    ends: Callable[[], object] | None = None,
) -> None:
    """Serve one lab until interrupted, or until `ends` returns; `announce` gets the link once it can be opened."""
    paths = Workspace(tree).paths
    paths.state.mkdir(parents=True, exist_ok=True)
    token = read_token(paths.state / "dashboard-token")
    introduce(paths, utc_now())
    feeds = Feeds(paths.tree, campaign)
    try:
        _serve(
            lambda number, closing: dashboard_app(feeds, token, number, closing), token, listen(port), announce, ends
        )
    finally:
        feeds.close()


def serve_all_labs(port: int | None, announce: Callable[[str], None], ends: Callable[[], object] | None = None) -> None:
    """The same for all labs of this user, whichever of them come and go meanwhile."""
    folder = labs_folder()
    if folder is None:
        raise NotNow("AUTORESEARCH_LABS is off, so no lab is known. Unset it, and open each lab once.")
    private_folder(folder)
    token, labs = read_token(folder / "dashboard-token"), AllLabs()
    try:
        served = listen(port, FIRST_OF_ALL)
        _serve(lambda number, closing: all_labs_app(labs, token, number, closing), token, served, announce, ends)
    finally:
        labs.close()


def _serve(
    app: Callable[[int, Closing], Starlette],
    token: str,
    listening: socket.socket,
    announce: Callable[[str], None],
    ends: Callable[[], object] | None,
) -> None:
    """app: of a port, and of whether the server wants to end."""
    with listening:
        number = int(listening.getsockname()[1])
        config = uvicorn.Config(
            app(number, lambda: server.should_exit),
            log_level="warning",
            server_header=False,
            ws="none",
            timeout_graceful_shutdown=3,
            access_log=False,
        )
        server = uvicorn.Server(config)
        if ends is not None:

            def wait() -> None:
                ends()
                server.should_exit = True

            threading.Thread(target=wait, daemon=True).start()
        announce(f"http://{HOST}:{number}/open?token={token}")
        with contextlib.suppress(KeyboardInterrupt):  # Ctrl-C is how a person ends it
            server.run(sockets=[listening])
