"""What a lab server answers: git's own protocol, the live feed, the pages, health, metrics, and what an admin asks."""

from __future__ import annotations

import contextlib
import logging
import shutil
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from pathlib import Path

import anyio
from anyio.to_thread import run_sync
from starlette.applications import Starlette
from starlette.authentication import requires
from starlette.middleware import Middleware
from starlette.middleware.authentication import AuthenticationMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, RedirectResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mcp_server.community.wire.lab_server import ASKED, SAYS
from mcp_server.community.wire.store import LABS
from mcp_server.hosting.audit import Audit
from mcp_server.hosting.door.administration import admin_routes
from mcp_server.hosting.door.doorkeeper import Doorkeeper, refused
from mcp_server.hosting.door.tokens import Tokens
from mcp_server.hosting.feed import MOST_LISTENERS, Feed, shortly
from mcp_server.hosting.git import GitFace
from mcp_server.hosting.leases import Leases
from mcp_server.hosting.library import Library
from mcp_server.hosting.metrics import Metrics
from mcp_server.hosting.premises import Premises, Room
from mcp_server.hosting.receiving import Receiver
from mcp_server.ledger.foreign import UNUSABLE
from mcp_server.nouns.errors import AutoresearchError

log = logging.getLogger(__name__)

LOOK_SECONDS = 1.0  # between two looks for what another server on this folder took, and for leases that are over
PACK_SECONDS = 600.0  # between two looks whether the repository is to be packed
PACKING_SECONDS = 3600.0
KINDS = {".html": "text/html; charset=utf-8", ".svg": "image/svg+xml", ".atom": "application/atom+xml"}
HEADERS = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cache-control", b"no-cache"),
)
POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src 'self'; frame-ancestors 'none'"


class LabServer:
    """The parts of one server on one folder, made when it begins and put away when it ends."""

    def __init__(self, premises: Premises, closing: Callable[[], bool]) -> None:
        self.premises, self.closing = premises, closing
        self.tokens, self.metrics, self.feed = Tokens(premises), Metrics(), Feed()
        self.audit = Audit(premises.audit, lambda: datetime.now(UTC))
        self.leases = Leases(time.time)
        self.news = anyio.Event()  # something was pushed here
        self.git = GitFace(self)

    @contextlib.asynccontextmanager
    async def at_work(self, app: Starlette) -> AsyncIterator[None]:
        room = Room(self.premises)
        self.room = room.folder
        scratch = Path(tempfile.mkdtemp(prefix="autoresearch-server-"))
        try:
            self.receiver = Receiver(self.premises, self.room, self.tokens, self.audit, self.leases)
            self.library = Library(self.premises.store, scratch, lambda: datetime.now(UTC))
            self.audit.tell("server began")
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._tend)
                tasks.start_soon(self._pack)
                yield
                tasks.cancel_scope.cancel()
            self.audit.tell("server ended")
        finally:
            room.close()
            shutil.rmtree(scratch, ignore_errors=True)

    async def _tend(self) -> None:
        """See what is new, whoever took it, and end what is over."""
        while True:
            try:
                await self._look()
            except (*UNUSABLE, AutoresearchError):  # it is tried again
                log.exception("the journals could not be looked at")
            with anyio.move_on_after(LOOK_SECONDS):
                await self.news.wait()
            self.news = anyio.Event()

    async def _look(self) -> None:
        refs = await run_sync(self.receiver.refs)
        for gone in await run_sync(self.receiver.sweep, refs):
            refs.pop(gone, None)
        news = await run_sync(self.library.read, refs)
        heads = {ref.removeprefix(LABS): oid for ref, oid in refs.items() if ref.startswith(LABS)}
        held = self.leases.live()
        self.feed.tell(heads, news, held)
        labs, attempts = await run_sync(self.library.count)
        self.metrics.labs.set(labs)
        self.metrics.attempts.set(attempts)
        self.metrics.leases.set(len(held))

    async def _pack(self) -> None:
        while True:
            await anyio.sleep(PACK_SECONDS)
            with contextlib.suppress(AutoresearchError, OSError):
                await run_sync(self._pack_if_large)

    def _pack_if_large(self) -> None:
        store = self.premises.store
        if store.is_large():
            # what nothing reaches lies in one pack of its own until it is an hour old: leases that were let go
            store.once(["-c", "gc.cruftPacks=true", "gc", "--quiet", "--prune=1.hour.ago"], seconds=PACKING_SECONDS)

    # --- answers ------------------------------------------------------------------------------------------------------

    async def health(self, request: Request) -> Response:
        """Whether pushes would be taken now."""
        try:
            await run_sync(self.receiver.refs)
            if self.premises.is_full():
                return PlainTextResponse("the disk is full\n", 503)
        except (AutoresearchError, OSError) as error:
            log.warning("not healthy: %s", error)
            return PlainTextResponse("the repository cannot be read\n", 503)
        return PlainTextResponse("ok\n")

    async def says(self, request: Request) -> Response:
        return PlainTextResponse(SAYS)

    @requires("read", status_code=403)
    async def measured(self, request: Request) -> Response:
        self.metrics.listeners.set(self.feed.listeners)
        return Response(self.metrics.text(), media_type="text/plain; version=0.0.4; charset=utf-8")

    @requires("read", status_code=403)
    async def events(self, request: Request) -> Response:
        if self.feed.listeners >= MOST_LISTENERS:
            return PlainTextResponse("Too many listen already.\n", 503, {"Retry-After": "30"})
        stream = self.feed.follow(self.closing)
        return StreamingResponse(stream, media_type="text/event-stream", headers={"X-Accel-Buffering": "no"})

    @requires("read", status_code=403)
    async def held(self, request: Request) -> Response:
        now = time.time()
        return JSONResponse({"leases": [shortly(one, now) for one in self.leases.live()]})

    @requires("read", status_code=403)
    async def page(self, request: Request) -> Response:
        """A file of the site: of the contract that is named, else of the one with the most attempts."""
        name = request.path_params.get("name", "")
        if not name:
            return RedirectResponse("index.html")
        contracts = await run_sync(self.library.contracts)
        contract = request.path_params.get("contract") or next(iter(contracts), "")
        content = await run_sync(self.library.page, contract, name) if contract in ("", *contracts) else None
        if content is None:
            return PlainTextResponse("There is no such page.\n", 404)
        kind = KINDS.get("." + name.rpartition(".")[2], "application/octet-stream")
        return Response(content, media_type=kind, headers={"Content-Security-Policy": POLICY})


class Measured:
    """Counts every answer, and adds the headers that all have."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app, self._metrics = app, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began, kind = time.perf_counter(), kind_of(scope["path"], scope.get("query_string", b""))

        async def told(message: Message) -> None:
            if message["type"] == "http.response.start":
                names = {name for name, _ in message["headers"]}
                message["headers"] = [*message["headers"], *(one for one in HEADERS if one[0] not in names)]
                self._metrics.requests.labels(kind, str(message["status"])).inc()
                self._metrics.seconds.labels(kind).observe(time.perf_counter() - began)
            await send(message)

        await self._app(scope, receive, told)


def kind_of(path: str, query: bytes) -> str:
    """What a request is for, in few words: they are a label of the metrics."""
    if path.endswith("/git-receive-pack"):
        return "push"
    if path.endswith("/git-upload-pack"):
        return "fetch"
    if path.endswith("/info/refs"):
        return "before push" if b"receive" in query else "before fetch"
    return {"/events": "feed", "/healthz": "health", "/metrics": "metrics"}.get(path, "page")


def lab_server_app(
    premises: Premises, anyone_reads: bool = False, closing: Callable[[], bool] = lambda: False
) -> Starlette:
    """The guarded app. `closing` tells open streams that the server wants to end."""
    server = LabServer(premises, closing)
    git = [
        route
        for prefix in ("", "/journals.git")
        for route in (
            Route(f"{prefix}/info/refs", server.git.refs),
            Route(f"{prefix}/git-upload-pack", server.git.fetched, methods=["POST"]),
            Route(f"{prefix}/git-receive-pack", server.git.pushed, methods=["POST"]),
        )
    ]
    return Starlette(
        lifespan=server.at_work,
        routes=[
            *git,
            Route("/healthz", server.health),
            Route(f"/{ASKED}", server.says),
            Route("/metrics", server.measured),
            Route("/events", server.events),
            Route("/leases", server.held),
            *admin_routes(server.tokens, server.audit),
            Route("/", server.page),
            Route("/contracts/{contract}/", server.page),
            Route("/contracts/{contract}/{name}", server.page),
            Route("/{name}", server.page),
        ],
        middleware=[
            Middleware(Measured, server.metrics),
            Middleware(AuthenticationMiddleware, Doorkeeper(server.tokens, anyone_reads), refused),
        ],
    )
