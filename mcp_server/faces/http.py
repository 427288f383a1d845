"""Face: the same tools over HTTP, for agents on other machines; loopback unless told otherwise.

Every request needs the bearer token of a file that only its owner can read; Host and Origin are checked, bodies and
rates are bounded. Without TLS of its own: put a reverse proxy or an SSH tunnel before it when it leaves the machine.
"""

from __future__ import annotations

import contextlib
import hmac
import ipaddress
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import uvicorn
from mcp.server import MCPServer
from mcp.server.transport_security import TransportSecuritySettings
from starlette.authentication import AuthenticationBackend, AuthenticationError
from starlette.middleware.authentication import AuthenticationMiddleware
from starlette.requests import HTTPConnection
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp

from mcp_server.faces.bearer import read_token
from mcp_server.nouns.errors import AutoresearchError

BODY_LIMIT_BYTES = 1 << 20
REQUESTS_PER_SECOND, BURST = 20.0, 60.0
CALLERS_REMEMBERED = 1024


class Bucket:
    """A token bucket: `burst` requests at once, then so many a second. Time is an argument."""

    def __init__(self, now: float, per_second: float = REQUESTS_PER_SECOND, burst: float = BURST) -> None:
        self.level, self.at, self.per_second, self.burst = burst, now, per_second, burst

    def take(self, now: float) -> bool:
        self.level = min(self.burst, self.level + (now - self.at) * self.per_second)
        self.at = now
        if self.level < 1:
            return False
        self.level -= 1
        return True


class TooMany(AuthenticationError):
    """A caller who asks more often than is good for the others."""


class Doorkeeper(AuthenticationBackend):
    """A bearer token and a rate limit by caller; the limit comes first, so guessing is slow."""

    def __init__(self, token: str, now: Callable[[], float] = time.monotonic) -> None:
        self._token, self._now = token, now
        self._buckets: dict[str, Bucket] = {}

    async def authenticate(self, conn: HTTPConnection) -> None:
        """Raises TooMany or AuthenticationError."""
        caller = conn.client.host if conn.client else "?"
        if caller not in self._buckets:
            if len(self._buckets) >= CALLERS_REMEMBERED:
                self._buckets.clear()
            self._buckets[caller] = Bucket(self._now())
        if not self._buckets[caller].take(self._now()):
            raise TooMany
        given = conn.headers.get("authorization", "").encode("latin-1")
        if not hmac.compare_digest(given, f"Bearer {self._token}".encode()):
            raise AuthenticationError


def refused(conn: HTTPConnection, error: AuthenticationError) -> Response:
    """What a caller is told who may not enter."""
    if isinstance(error, TooMany):
        return PlainTextResponse("Too many requests. Wait a second.\n", 429, {"Retry-After": "1"})
    return PlainTextResponse("A bearer token is needed.\n", 401, {"WWW-Authenticate": "Bearer"})


def is_loopback(host: str) -> bool:
    """Whether an address stays on this machine."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def http_app(server: MCPServer[Any], token: str, host: str, names: tuple[str, ...] = ()) -> ASGIApp:
    """The guarded app. `names`: host names under which it may be called besides loopback's and `host`."""
    known = dict.fromkeys(("127.0.0.1", "localhost", "[::1]", f"[{host}]" if ":" in host else host, *names))
    security = TransportSecuritySettings(
        allowed_hosts=[f"{name}:*" for name in known] + list(known),
        allowed_origins=[f"{scheme}://{name}:*" for scheme in ("http", "https") for name in known],
    )
    app = server.streamable_http_app(transport_security=security, max_request_body_size=BODY_LIMIT_BYTES, host=host)
    return AuthenticationMiddleware(app, Doorkeeper(token), refused)


def serve_http(
    server: MCPServer[Any],
    token_file: Path,
    host: str = "127.0.0.1",
    port: int = 8765,
    names: tuple[str, ...] = (),
    *,
    chosen_token: bool = False,
) -> None:
    """Serve until interrupted. Raises AutoresearchError when asked to leave loopback without a chosen token."""
    if not is_loopback(host) and not chosen_token:
        raise AutoresearchError(
            f"{host} can be reached from other machines. Make a token first and name its file with --token-file, so "
            "that leaving this machine is a decision and not an accident."
        )
    token = read_token(token_file)
    app = http_app(server, token, host, names)
    try:
        listening = socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except OSError as error:
        why = str(error.strerror).partition(" (")[0]  # Python adds the address
        raise AutoresearchError(
            f"Port {port} of {host} cannot be had: {why}. Choose another with --port, or --host."
        ) from None
    with listening, contextlib.suppress(KeyboardInterrupt):  # Ctrl-C is how a person ends it
        uvicorn.Server(uvicorn.Config(app, log_level="warning", server_header=False)).run(sockets=[listening])
