"""The pages and what they ask for, over HTTP on loopback, behind a token link, with a strict content policy.

Only by a loopback name, only with the cookie that the link sets, and only GET: what writes is in `reins`, behind more
guards. Nothing comes from elsewhere: scripts, styles and the chart library are files of this package and of plotly's,
and the policy forbids the browser all else.
"""

from __future__ import annotations

import functools
import gzip
import hmac
import importlib.util
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from anyio.to_thread import run_sync
from starlette.applications import Starlette
from starlette.authentication import AuthenticationBackend, AuthenticationError
from starlette.datastructures import MutableHeaders
from starlette.middleware import Middleware
from starlette.middleware.authentication import AuthenticationMiddleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import HTTPConnection, Request
from starlette.responses import FileResponse, JSONResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.templating import Jinja2Templates
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mcp_server.dashboard import lab, reins
from mcp_server.dashboard.lab import Feeds, Site
from mcp_server.nouns.errors import AutoresearchError, UnknownExperiment
from mcp_server.views.chart.style import PALETTES

HERE = Path(__file__).parent
TEMPLATES = Jinja2Templates(directory=HERE / "templates")
LOOPBACK = ["127.0.0.1", "localhost"]
COOKIE_SECONDS = 30 * 24 * 3600

POLICY = "; ".join(
    (
        *("default-src 'self'", "object-src 'none'", "base-uri 'none'", "form-action 'none'", "frame-ancestors 'none'"),
        "require-trusted-types-for 'script'",
    )
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}


def dashboard_app(feeds: Feeds, token: str, port: int, closing: Callable[[], bool] = lambda: False) -> Starlette:
    """The page of one lab. `closing` tells open streams that the server wants to end."""
    site = Site(lambda request: feeds, TEMPLATES, page_of(token), token, closing)
    return guarded(lab.routes(site), token, port)


def guarded(routes: Sequence[BaseRoute], token: str, port: int) -> Starlette:
    """These pages with what all of them need, behind every guard."""

    async def enter(request: Request) -> Response:
        if not hmac.compare_digest(request.query_params.get("token", "").encode(), token.encode()):
            return STRANGER
        answer = RedirectResponse("/", 303)
        answer.set_cookie(cookie_name(port), token, max_age=COOKIE_SECONDS, httponly=True, samesite="strict", path="/")
        return answer

    return Starlette(
        routes=[
            Route("/open", enter, methods=["GET"]),
            Route("/palette.css", palette, methods=["GET"]),
            Route("/plotly.min.js", plotly, methods=["GET"]),
            Mount("/static", StaticFiles(directory=HERE / "static")),
            *routes,
        ],
        middleware=[
            Middleware(TrustedHostMiddleware, allowed_hosts=LOOPBACK, www_redirect=False),
            Middleware(Headed),
            Middleware(AuthenticationMiddleware, Linked(token, cookie_name(port)), lambda conn, error: STRANGER),
            Middleware(GZipMiddleware, minimum_size=1000),  # all but the stream of news, which is small and must flow
        ],
        exception_handlers={AutoresearchError: spoken},
    )


# --- who may come in --------------------------------------------------------------------------------------------------


class Headed:
    """Adds the headers that every answer has."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        await self._app(scope, receive, with_headers)


class Linked(AuthenticationBackend):
    """Lets in who came by the link, which has set a cookie."""

    def __init__(self, token: str, cookie: str) -> None:
        self._token, self._cookie = token, cookie

    async def authenticate(self, conn: HTTPConnection) -> None:
        """Raises AuthenticationError."""
        given = conn.cookies.get(self._cookie, "").encode()
        if conn.scope["path"] != "/open" and not hmac.compare_digest(given, self._token.encode()):
            raise AuthenticationError


STRANGER = PlainTextResponse(
    "This page needs the link that `autoresearch dashboard` prints: it carries a token only you can read.\n", 401
)


def cookie_name(port: int) -> str:
    """Cookies do not tell ports apart, so two labs' pages would overwrite each other's."""
    return f"autoresearch-{port}"


async def spoken(request: Request, error: Exception) -> Response:
    """An error of ours in its own words: as a page for who came by a link, as JSON for who asks for data."""
    status = 404 if isinstance(error, UnknownExperiment) else 503
    if "text/html" in request.headers.get("accept", ""):
        return TEMPLATES.TemplateResponse(request, "gone.html", {"words": str(error)}, status)
    return JSONResponse({"error": str(error)}, status)


# --- what every page needs --------------------------------------------------------------------------------------------


def page_of(token: str) -> dict[str, Any]:
    """What the pages' templates are filled with."""
    library = plotly_script()
    styles = unwanted_styles(library) if library else []
    return {
        "library": library is not None,
        "styles": styles,
        "scripts": imports_of("main.js"),
        "page_token": reins.page_token(token),
    }


async def palette(request: Request) -> Response:
    return Response(palette_css(), media_type="text/css")


async def plotly(request: Request) -> Response:
    library, headers = plotly_script(), {"Cache-Control": "private, max-age=86400", "Vary": "Accept-Encoding"}
    if library is None:
        return PlainTextResponse("plotly is not installed\n", 404)
    if "gzip" not in request.headers.get("accept-encoding", ""):
        return FileResponse(library, media_type="text/javascript", headers=headers)
    content = await run_sync(packed, library)
    return Response(content, media_type="text/javascript", headers={**headers, "Content-Encoding": "gzip"})


@functools.cache
def plotly_script() -> Path | None:
    """The chart library as its Python package ships it; found without importing it."""
    found = importlib.util.find_spec("plotly")
    for folder in (found.submodule_search_locations or []) if found else []:
        script = Path(folder) / "package_data" / "plotly.min.js"
        if script.is_file():
            return script
    return None


@functools.cache
def packed(library: Path) -> bytes:
    """Once for all visitors: a third of a second of the processor, in which nobody would be answered."""
    return gzip.compress(library.read_bytes(), 6)


@functools.cache
def imports_of(script: str) -> list[str]:
    """The scripts that a page's own asks for, so that the browser may ask for all of them at once."""
    return re.findall(r'from "\./(\w+\.js)"', (HERE / "static" / script).read_text(encoding="utf-8"))


def unwanted_styles(library: Path) -> list[str]:
    """Ids of inline styles (for maps) that the library would add on loading, unless an element of that id is there."""
    return re.findall(r'getElementById\("([0-9a-f]{64})"\)', library.read_text(encoding="utf-8"))


def palette_css() -> str:
    """The colours of progress.png, so that both pictures say the same by the same colour."""

    def block(name: str) -> str:
        palette = PALETTES["dark" if name == "dark" else "light"]
        plain = {"background": palette.background, "text": palette.text, "faint": palette.faint}
        lines = [*plain.items(), ("grid", palette.grid), ("line", palette.line), *palette.kinds.items()]
        return "".join(f"--{word}:{colour};" for word, colour in lines)

    return f":root{{{block('light')}}}@media (prefers-color-scheme:dark){{:root{{{block('dark')}}}}}\n"
