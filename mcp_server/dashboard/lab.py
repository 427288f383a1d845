"""The page of one lab and what it asks for, as routes: below /, or below /lab/NAME beside other labs.

Every address in the page is relative to the page's own, so that it does not know which of the two it is.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
from anyio.to_thread import run_sync
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import BaseRoute, Route
from starlette.templating import Jinja2Templates

from mcp_server.dashboard import community, comparison, reins
from mcp_server.dashboard.experiment import experiment_view, program_view
from mcp_server.dashboard.feed import Feed
from mcp_server.dashboard.parts import Cursor
from mcp_server.lab import Lab
from mcp_server.nouns.errors import UnknownExperiment
from mcp_server.views.pictures import picture

LOOK_SECONDS = 0.5
QUIET_SECONDS = 15.0  # a comment now and then, so that both ends notice a dead connection
RETRY_MILLISECONDS = 1000
PICTURE_POLICY = "default-src 'none'; style-src 'unsafe-inline'; sandbox"  # a picture brings its own colours


class Feeds:
    """The feeds of one work tree, by campaign; "" is the campaign this work tree is on."""

    def __init__(self, tree: Path, campaign: str | None = None) -> None:
        self.tree, self._campaign = tree, campaign
        self._open: dict[str, Feed] = {}

    def at(self, tag: str) -> Feed:
        """Raises AutoresearchError when there is no campaign of that name."""
        if tag not in self._open:
            if tag and tag not in self._campaigns():
                raise UnknownExperiment(f"There is no campaign {tag[:60]!r}. The page's menu lists those there are.")
            self._open[tag] = Feed(Lab(self.tree, campaign=tag or self._campaign))
        return self._open[tag]

    def _campaigns(self) -> list[str]:
        with self.at("").lab.reading_all() as bench:  # this work tree need not be on any of them
            return bench.ledger.active_campaigns()

    def close(self) -> None:
        for feed in self._open.values():
            feed.close()


@dataclass(frozen=True)
class Site:
    """What the routes of a lab share. feeds: of the lab that an address names; it may look at the disk.

    above: the address of the page of all labs, "" where there is none. closing: whether the server wants to end.
    """

    feeds: Callable[[Request], Feeds]
    templates: Jinja2Templates
    shared: dict[str, Any]  # what every page's template is filled with
    token: str
    closing: Callable[[], bool]
    above: str = ""

    async def feed(self, request: Request) -> Feed:
        """Of the campaign that an address names. Raises AutoresearchError."""
        return await run_sync(lambda: self.feeds(request).at(request.query_params.get("campaign", "")))


def routes(site: Site) -> list[BaseRoute]:
    """All of one lab."""

    async def index(request: Request) -> Response:
        await run_sync(site.feeds, request)  # a lab that is gone has no page
        return site.templates.TemplateResponse(request, "index.html", {**site.shared, "above": site.above})

    async def events(request: Request) -> Response:
        feed = await site.feed(request)
        return stream(request, feed.news, site.closing)

    def asked(read: Callable[[Feed, Request], Any]) -> Callable[[Request], Awaitable[Response]]:
        """What a person asks for of one campaign, as JSON."""

        async def answer(request: Request) -> Response:
            feed = await site.feed(request)
            return JSONResponse(await run_sync(read, feed, request))

        return answer

    def drawn(draw: Callable[[Feed], str]) -> Callable[[Request], Awaitable[Response]]:
        """A drawing of one campaign, under a policy of its own: opened alone it can load and run nothing either."""

        async def answer(request: Request) -> Response:
            feed = await site.feed(request)
            return _picture(await run_sync(draw, feed), "image/svg+xml")

        return answer

    async def view(request: Request) -> Response:
        feed = await site.feed(request)
        found = await run_sync(picture, feed.lab, request.path_params["number"])
        return _picture(found.content, found.media_type)

    experiment = asked(lambda feed, asks: experiment_view(feed.lab, asks.path_params["number"]).model_dump())
    program = asked(lambda feed, asks: program_view(feed.lab, asks.path_params["digest"]).model_dump())
    results = asked(lambda feed, asks: community.results(feed.lab, asks.query_params).model_dump())
    return [
        Route("/", index, methods=["GET"]),
        Route("/events", events, methods=["GET"]),
        Route("/rows/{before:int}", asked(lambda feed, asks: feed.older(asks.path_params["before"])), methods=["GET"]),
        Route("/experiments/{number:int}", experiment, methods=["GET"]),
        Route("/experiments/{number:int}/view", view, methods=["GET"]),
        Route("/programs/{digest}", program, methods=["GET"]),
        Route("/front", asked(lambda feed, asks: feed.front.view().model_dump()), methods=["GET"]),
        Route("/front.svg", drawn(lambda feed: feed.front.picture()), methods=["GET"]),
        Route("/community/results", results, methods=["GET"]),
        Route("/community/graph.svg", drawn(lambda feed: community.picture(feed.lab)), methods=["GET"]),
        *comparison.routes(lambda request: site.feeds(request).at("").lab, site.templates),
        *reins.routes(lambda request, tag: site.feeds(request).at(tag).lab, site.token),
    ]


def _picture(content: bytes | str | None, media_type: str) -> Response:
    return Response(content, media_type=media_type, headers={"Content-Security-Policy": PICTURE_POLICY})


def stream(
    request: Request, news: Callable[[Cursor | None], tuple[Cursor, dict[str, str]]], closing: Callable[[], bool]
) -> Response:
    """Server-sent events: one for each part that changed; the id lets a reconnect go on from there.

    news: what is newer than a cursor, by name; of `name/more` the event is called `name`.
    """

    async def told() -> AsyncIterator[str]:
        cursor = Cursor.read(request.headers.get("last-event-id", ""))
        yield f"retry: {RETRY_MILLISECONDS}\n\n"
        quiet = 0.0
        while not closing() and not await request.is_disconnected():
            cursor, parts = await run_sync(news, cursor)
            for name, text in parts.items():
                yield f"event: {name.partition('/')[0]}\ndata: {text}\n\n"
            if parts:
                # last, so that a stream cut in between is told those parts again
                yield f"id: {cursor}\nevent: heard\ndata: 1\n\n"
                quiet = 0.0
                continue  # what took longer to find out may be there by now
            if quiet >= QUIET_SECONDS:
                yield ": still here\n\n"
                quiet = 0.0
            await anyio.sleep(LOOK_SECONDS)
            quiet += LOOK_SECONDS

    return StreamingResponse(told(), media_type="text/event-stream", headers={"X-Accel-Buffering": "no"})
