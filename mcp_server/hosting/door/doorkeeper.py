"""Who may come in, how often, and how much: a token by `Authorization: Bearer`, or as the password that git sends.

A right token has its own measure of requests; everybody else shares one for each address, so guessing is slow.
"""

from __future__ import annotations

import base64
import binascii
import time
from collections.abc import Callable
from datetime import UTC, datetime

from starlette.authentication import AuthCredentials, AuthenticationBackend, AuthenticationError, BaseUser
from starlette.requests import HTTPConnection
from starlette.responses import PlainTextResponse, Response

from mcp_server.community.wire.lab_server import ASKED
from mcp_server.faces.http import Bucket
from mcp_server.hosting.door.tokens import ANYBODY, May, Token, Tokens

OPEN = ("/healthz", f"/{ASKED}")  # told to everybody
STRANGERS_PER_SECOND, STRANGERS_BURST = 50.0, 200.0  # git asks without its password first
BURST = 3.0  # seconds' worth of requests that may come at once
REMEMBERED = 4096


class Caller(BaseUser):
    """Who a request is from."""

    def __init__(self, token: Token) -> None:
        self.token = token


class TooMany(AuthenticationError):
    """A caller who asks more often than its measure."""


class Doorkeeper(AuthenticationBackend):
    """Lets in whom the tokens name."""

    def __init__(
        self,
        tokens: Tokens,
        anyone_reads: bool,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._tokens, self._anyone_reads, self._now, self._clock = tokens, anyone_reads, now, clock
        self._buckets: dict[str, Bucket] = {}

    async def authenticate(self, conn: HTTPConnection) -> tuple[AuthCredentials, Caller] | None:
        """Raises TooMany or AuthenticationError."""
        given = secret_of(conn.headers.get("authorization", ""))
        token = self._tokens.known(given, self._now()) if given else None
        if token is not None:
            self._take(f"token {token.digest}", token.per_second, max(10.0, BURST * token.per_second))
            return _let_in(token)
        self._take(f"from {conn.client.host if conn.client else '?'}", STRANGERS_PER_SECOND, STRANGERS_BURST)
        if conn.scope["path"] in OPEN:
            return None
        if self._anyone_reads and not given:
            return _let_in(ANYBODY)
        raise AuthenticationError

    def _take(self, whose: str, per_second: float, burst: float) -> None:
        now = self._clock()
        bucket = self._buckets.pop(whose, None) or Bucket(now, per_second, burst)
        self._buckets[whose] = bucket  # the last one that was used is the last to be forgotten
        if len(self._buckets) > REMEMBERED:
            del self._buckets[next(iter(self._buckets))]
        if not bucket.take(now):
            raise TooMany


def _let_in(token: Token) -> tuple[AuthCredentials, Caller]:
    return AuthCredentials([str(one) for one in May if token.may.allows(one)]), Caller(token)


def secret_of(header: str) -> str:
    """The token in an Authorization header; "" where there is none."""
    scheme, _, rest = header.partition(" ")
    if scheme.lower() == "bearer":
        return rest.strip()
    if scheme.lower() != "basic":
        return ""
    try:
        return base64.b64decode(rest, validate=True).decode().partition(":")[2]
    except (binascii.Error, UnicodeDecodeError):
        return ""


def refused(conn: HTTPConnection, error: AuthenticationError) -> Response:
    """What a caller is told who may not come in."""
    if isinstance(error, TooMany):
        return PlainTextResponse("Too many requests. Wait a second.\n", 429, {"Retry-After": "1"})
    return PlainTextResponse(
        "A token is needed, as the password of any user name or as a bearer token.\n",
        401,
        {"WWW-Authenticate": 'Basic realm="autoresearch lab server", charset="UTF-8"'},
    )
