"""What a token with the role admin may do over HTTP: see the audit log, make tokens and revoke them."""

from __future__ import annotations

from datetime import UTC, datetime

from anyio.to_thread import run_sync
from pydantic import Field, ValidationError
from starlette.authentication import requires
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from mcp_server.hosting.audit import Audit
from mcp_server.hosting.door.tokens import May, Tokens
from mcp_server.nouns.errors import CommunityError
from mcp_server.nouns.records import Record
from mcp_server.nouns.refusals import first

BODY_BYTES = 4096
MOST_LINES = 500


class Wanted(Record):
    """A token that is asked for."""

    name: str
    may: May
    lab: str = Field(default="", pattern=r"^([0-9a-f]{32})?$")
    days: float | None = Field(default=None, gt=0, le=36_500)
    per_second: float = Field(default=20.0, gt=0, le=10_000)
    push_mb: float = Field(default=32.0, gt=0, le=4096)


def admin_routes(tokens: Tokens, audit: Audit) -> list[Route]:
    """The routes below /admin."""

    @requires("admin", status_code=403)
    async def log(request: Request) -> Response:
        asked = request.query_params.get("most", "100")
        most = min(MOST_LINES, int(asked)) if asked.isdecimal() and len(asked) < 6 else 100
        return JSONResponse({"audit": await run_sync(audit.tail, most)})

    @requires("admin", status_code=403)
    async def listed(request: Request) -> Response:
        return JSONResponse({"tokens": [one.model_dump(exclude={"digest"}) for one in await run_sync(tokens.all)]})

    @requires("admin", status_code=403)
    async def made(request: Request) -> Response:
        body = b""
        async for chunk in request.stream():
            body += chunk
            if len(body) > BODY_BYTES:
                return PlainTextResponse("Too large.\n", 413)
        try:
            wanted = Wanted.model_validate_json(body)
        except ValidationError as error:
            return JSONResponse({"error": first(error)}, 422)
        given = wanted.model_dump(exclude={"name", "may"})

        def make() -> str:
            audit.tell("token made", token=wanted.name, may=wanted.may, by=request.user.token.name)
            return tokens.add(wanted.name, wanted.may, datetime.now(UTC), **given)

        try:
            return JSONResponse({"name": wanted.name, "token": await run_sync(make)}, 201)
        except CommunityError as error:
            return JSONResponse({"error": str(error)}, 409)

    @requires("admin", status_code=403)
    async def revoked(request: Request) -> Response:
        name = request.path_params["name"]

        def revoke() -> None:
            audit.tell("token revoked", token=name, by=request.user.token.name)
            tokens.revoke(name)

        try:
            await run_sync(revoke)
        except CommunityError as error:
            return JSONResponse({"error": str(error)}, 404)
        return Response(status_code=204)

    return [
        Route("/admin/audit", log),
        Route("/admin/tokens", listed, methods=["GET"]),
        Route("/admin/tokens", made, methods=["POST"]),
        Route("/admin/tokens/{name}", revoked, methods=["DELETE"]),
    ]
