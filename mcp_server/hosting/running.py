"""Starts a lab server: where it listens, with which certificate, and how it ends."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import uvicorn

from mcp_server.faces.http import is_loopback
from mcp_server.hosting.app import lab_server_app
from mcp_server.hosting.premises import Premises
from mcp_server.nouns.errors import CommunityError

GRACE_SECONDS = 20  # for what is at work when the server is to end
CONNECTIONS = 1000  # at the same time


@dataclass(frozen=True)
class Listening:
    """Where and how a server is reached. behind: the addresses of proxies whose word on the caller counts."""

    host: str = "127.0.0.1"
    port: int = 8420
    certificate: Path | None = None
    key: Path | None = None
    behind: str = ""
    plain: bool = False  # without TLS beyond this machine, knowingly


def serve(premises: Premises, at: Listening, anyone_reads: bool, announce: Callable[[str], None]) -> None:
    """Serve until interrupted or told to end. Raises CommunityError."""
    if (at.certificate is None) != (at.key is None):
        raise CommunityError("A certificate needs its key: give --tls-cert and --tls-key, or neither.")
    if not (is_loopback(at.host) or at.certificate or at.behind or at.plain):
        raise CommunityError(
            f"{at.host} can be reached from other machines, and tokens would be sent in the clear. Give --tls-cert and "
            "--tls-key, or --behind ADDRESS of the proxy that has them; --plain where the network itself is private."
        )
    with _listen(at) as listening:
        app = lab_server_app(premises, anyone_reads, lambda: server.should_exit)
        config = uvicorn.Config(
            app,
            log_level="warning",
            access_log=False,
            server_header=False,
            ws="none",
            proxy_headers=bool(at.behind),
            forwarded_allow_ips=at.behind or None,
            ssl_certfile=at.certificate,
            ssl_keyfile=at.key,
            limit_concurrency=CONNECTIONS,
            timeout_graceful_shutdown=GRACE_SECONDS,
            lifespan="on",
        )
        server = uvicorn.Server(config)
        host, port = listening.getsockname()[:2]
        announce(f"http{'s' if at.certificate else ''}://{f'[{host}]' if ':' in host else host}:{port}")
        with contextlib.suppress(KeyboardInterrupt):  # Ctrl-C is how a person ends it
            server.run(sockets=[listening])


def _listen(at: Listening) -> socket.socket:
    """Raises CommunityError."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            at.host, at.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listening = socket.socket(family, kind, protocol)
    except OSError as error:
        raise CommunityError(f"{at.host} is no address of this machine: {error}. Name another with --host.") from None
    # a port whose last connections still linger may be taken again: a restart keeps its address
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind(address)
        listening.listen(1024)
    except OSError as error:
        listening.close()
        raise CommunityError(
            f"{at.host} port {at.port} cannot be listened on: {error.strerror}. Choose another with --port."
        ) from None
    return listening
