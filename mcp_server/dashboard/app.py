"""The page and what it asks for, over HTTP on loopback, behind a token link, with a strict content policy.

Only by a loopback name, only with the cookie that the link sets, and only GET: what writes is in `reins`, behind more
guards. Nothing comes from elsewhere: scripts,
styles and the chart library are files of this package and of plotly's, and the policy forbids the browser all else.
"""

from __future__ import annotations

import hmac
import importlib.util
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import anyio
from anyio.to_thread import run_sync
from starlette.applications import Starlette
from starlette.authentication import AuthenticationBackend, AuthenticationError
from starlette.datastructures import MutableHeaders
from starlette.middleware import Middleware
from starlette.middleware.authentication import AuthenticationMiddleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import HTTPConnection, Request
from starlette.responses import (
    FileResponse,
    JSONResponse,
    PlainTextResponse,
    RedirectResponse,
    Response,
    StreamingResponse,
)
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.templating import Jinja2Templates
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mcp_server.dashboard import community, comparison, reins
from mcp_server.dashboard.experiment import experiment_view, program_view
from mcp_server.dashboard.feed import Cursor, Feed
from mcp_server.lab import Lab
from mcp_server.nouns.errors import AutoresearchError, UnknownExperiment
from mcp_server.views.chart.style import PALETTES
from mcp_server.views.pictures import picture

HERE = Path(__file__).parent
LOOPBACK = ["127.0.0.1", "localhost"]
LOOK_SECONDS = 0.5
QUIET_SECONDS = 15.0  # a comment now and then, so that both ends notice a dead connection
RETRY_MILLISECONDS = 1000
COOKIE_SECONDS = 30 * 24 * 3600

POLICY = "; ".join(
    (
        *("default-src 'self'", "object-src 'none'", "base-uri 'none'", "form-action 'none'", "frame-ancestors 'none'"),
        "require-trusted-types-for 'script'",
    )
)
PICTURE_POLICY = "default-src 'none'; style-src 'unsafe-inline'; sandbox"  # a picture brings its own colours
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}


class Feeds:
    """The feeds of one work tree, by campaign; "" is the campaign this work tree is on."""

    def __init__(self, tree: Path, campaign: str | None = None) -> None:
        self._tree, self._campaign = tree, campaign
        self._open: dict[str, Feed] = {}
        self._known: set[str] = set()

    def at(self, tag: str) -> Feed:
        """Raises AutoresearchError when there is no campaign of that name."""
        if tag not in self._open:
            if tag and tag not in self._campaigns():
                raise UnknownExperiment(f"There is no campaign {tag[:60]!r}. The page's menu lists those there are.")
            self._open[tag] = Feed(Lab(self._tree, campaign=tag or self._campaign))
        return self._open[tag]

    def _campaigns(self) -> list[str]:
        with self.at("").lab.reading() as (bench, _, _):
            return bench.ledger.active_campaigns()

    def close(self) -> None:
        for feed in self._open.values():
            feed.close()


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


def dashboard_app(feeds: Feeds, token: str, port: int, closing: Callable[[], bool] = lambda: False) -> Starlette:
    """The app. `closing` tells open streams that the server wants to end."""
    templates, library = Jinja2Templates(directory=HERE / "templates"), plotly_script()

    async def enter(request: Request) -> Response:
        if not hmac.compare_digest(request.query_params.get("token", "").encode(), token.encode()):
            return STRANGER
        answer = RedirectResponse("/", 303)
        answer.set_cookie(cookie_name(port), token, max_age=COOKIE_SECONDS, httponly=True, samesite="strict", path="/")
        return answer

    async def index(request: Request) -> Response:
        return templates.TemplateResponse(request, "index.html", page_of(library, token))

    async def plotly(request: Request) -> Response:
        if library is None:
            return PlainTextResponse("plotly is not installed\n", 404)
        return FileResponse(library, media_type="text/javascript", headers={"Cache-Control": "private, max-age=86400"})

    async def events(request: Request) -> Response:
        feed = await run_sync(feeds.at, request.query_params.get("campaign", ""))
        cursor = Cursor.read(request.headers.get("last-event-id", ""))
        stream = _events(request, feed, cursor, closing)
        return StreamingResponse(stream, media_type="text/event-stream", headers={"X-Accel-Buffering": "no"})

    def asked(read: Callable[[Feed, dict[str, Any]], Any]) -> Callable[[Request], Awaitable[Response]]:
        """What a person asks for of one campaign, as JSON."""

        async def answer(request: Request) -> Response:
            feed = await run_sync(feeds.at, request.query_params.get("campaign", ""))
            return JSONResponse(await run_sync(read, feed, request.path_params))

        return answer

    experiment = asked(lambda feed, given: experiment_view(feed.lab, given["number"]).model_dump())
    program = asked(lambda feed, given: program_view(feed.lab, given["digest"]).model_dump())
    return Starlette(
        routes=[
            Route("/", index, methods=["GET"]),
            Route("/open", enter, methods=["GET"]),
            Route("/palette.css", palette, methods=["GET"]),
            Route("/plotly.min.js", plotly, methods=["GET"]),
            *comparison.routes(lambda: feeds.at("").lab, templates),
            Route("/events", events, methods=["GET"]),
            Route("/rows/{before:int}", asked(lambda feed, given: feed.older(given["before"])), methods=["GET"]),
            Route("/experiments/{number:int}", experiment, methods=["GET"]),
            Route("/experiments/{number:int}/view", _views(feeds), methods=["GET"]),
            Route("/programs/{digest}", program, methods=["GET"]),
            *_of_others(feeds),
            *reins.routes(lambda tag: feeds.at(tag).lab, token),
            Mount("/static", StaticFiles(directory=HERE / "static")),
        ],
        middleware=[
            Middleware(TrustedHostMiddleware, allowed_hosts=LOOPBACK, www_redirect=False),
            Middleware(Headed),
            Middleware(AuthenticationMiddleware, Linked(token, cookie_name(port)), lambda conn, error: STRANGER),
            Middleware(GZipMiddleware, minimum_size=1000),  # all but the stream of news, which is small and must flow
        ],
        exception_handlers={AutoresearchError: spoken},
    )


def page_of(library: Path | None, token: str) -> dict[str, Any]:
    """What the page's template is filled with."""
    styles = unwanted_styles(library) if library else []
    return {"library": library is not None, "styles": styles, "page_token": reins.page_token(token)}


def _views(feeds: Feeds) -> Callable[[Request], Awaitable[Response]]:
    """The picture of an attempt, under a policy of its own: opened alone it can load and run nothing either."""

    async def view(request: Request) -> Response:
        feed = await run_sync(feeds.at, request.query_params.get("campaign", ""))
        found = await run_sync(picture, feed.lab, request.path_params["number"])
        headers = {"Content-Security-Policy": PICTURE_POLICY}
        return Response(found.content, media_type=found.media_type, headers=headers)

    return view


def _of_others(feeds: Feeds) -> list[Route]:
    """What the page asks about other labs."""

    async def results(request: Request) -> Response:
        def view() -> dict[str, Any]:
            feed = feeds.at(request.query_params.get("campaign", ""))
            return community.results(feed.lab, request.query_params).model_dump()

        return JSONResponse(await run_sync(view))

    async def drawing(request: Request) -> Response:
        feed = await run_sync(feeds.at, request.query_params.get("campaign", ""))
        drawn = await run_sync(community.picture, feed.lab)
        return Response(drawn, media_type="image/svg+xml", headers={"Content-Security-Policy": PICTURE_POLICY})

    return [
        Route("/community/results", results, methods=["GET"]),
        Route("/community/graph.svg", drawing, methods=["GET"]),
    ]


async def palette(request: Request) -> Response:
    return Response(palette_css(), media_type="text/css")


async def spoken(request: Request, error: Exception) -> Response:
    """An error of ours as JSON, in its own words."""
    return JSONResponse({"error": str(error)}, 404 if isinstance(error, UnknownExperiment) else 503)


async def _events(
    request: Request, feed: Feed, cursor: Cursor | None, closing: Callable[[], bool]
) -> AsyncIterator[str]:
    """Server-sent events: one for each part that changed; the id lets a reconnect go on from there."""
    yield f"retry: {RETRY_MILLISECONDS}\n\n"
    quiet = 0.0
    while not closing() and not await request.is_disconnected():
        cursor, news = await run_sync(feed.news, cursor)
        for name, text in news.items():
            yield f"event: {name}\ndata: {text}\n\n"
        if news:
            # last, so that a stream cut in between is told those parts again
            yield f"id: {cursor}\nevent: heard\ndata: 1\n\n"
            quiet = 0.0
        elif quiet >= QUIET_SECONDS:
            yield ": still here\n\n"
            quiet = 0.0
        await anyio.sleep(LOOK_SECONDS)
        quiet += LOOK_SECONDS


def plotly_script() -> Path | None:
    """The chart library as its Python package ships it; found without importing it."""
    found = importlib.util.find_spec("plotly")
    for folder in (found.submodule_search_locations or []) if found else []:
        script = Path(folder) / "package_data" / "plotly.min.js"
        if script.is_file():
            return script
    return None


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
