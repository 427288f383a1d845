"""Git's smart HTTP: fetches go to git's own `upload-pack` and flow through; pushes are checked by `receiving`."""

from __future__ import annotations

import logging
import tempfile
import zlib
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

import anyio
from anyio import CapacityLimiter
from anyio.to_thread import run_sync
from starlette.authentication import requires
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.types import Message, Send

from mcp_server.community.wire.store import LABS, LEASES
from mcp_server.hosting import smart
from mcp_server.hosting.smart import Malformed
from mcp_server.nouns.errors import AutoresearchError, GitError
from mcp_server.repo.command import last_words

if TYPE_CHECKING:
    from mcp_server.hosting.app import LabServer

log = logging.getLogger(__name__)

ASKED_BYTES = 8 * 2**20  # of what a fetch says it has and wants
IN_MEMORY_BYTES = 2**20  # of a push; more lies in a file
CHUNK = 64 * 1024
PUSHES, FETCHES = 4, 32  # at the same time; more wait
BODY_SECONDS = 600.0  # for a body to come in
READER_SECONDS, READER_BYTES = 60.0, 2**20  # for which a reader is waited for, and what it takes of an answer meanwhile
VISIBLE = tuple(
    part
    for names in ("refs", f"!{LABS.rstrip('/')}", f"!{LEASES.rstrip('/')}")
    for part in ("-c", f"uploadpack.hideRefs={names}")
)


class TooLarge(Exception):
    """More came than may."""


class Flowing(StreamingResponse):
    """An answer to a reader who takes it. Who does not is sent away, since a git waits for each and places are few."""

    patience = READER_SECONDS

    async def stream_response(self, send: Send) -> None:
        left, taken = self.patience, 0

        async def told(message: Message) -> None:
            nonlocal left, taken
            began = anyio.current_time()
            with anyio.fail_after(left):
                await send(message)
            left, taken = left - (anyio.current_time() - began), taken + len(message.get("body", b""))
            if taken >= READER_BYTES:
                left, taken = self.patience, 0

        try:
            await super().stream_response(told)
        except TimeoutError:
            log.warning("a reader of a fetch was sent away: it took %d bytes in %.0f s", taken, self.patience)
        finally:
            await self.body_iterator.aclose()  # type: ignore[attr-defined]  # its place is free now, and not some day


class GitFace:
    """Answers to the git of a lab."""

    def __init__(self, server: LabServer) -> None:
        self._server = server
        self._store = server.premises.store
        self._pushing = CapacityLimiter(PUSHES)
        self._fetching = anyio.Semaphore(FETCHES)
        self._abilities: bytes | None = None  # what `upload-pack` says of itself in version 2: always the same

    @requires("read", status_code=403)
    async def refs(self, request: Request) -> Response:
        """What is here, as a fetch or a push asks first."""
        service = request.query_params.get("service", "")
        try:
            if service == "git-receive-pack":
                if "publish" not in request.auth.scopes:
                    return PlainTextResponse("This token may not publish.\n", 403)
                content = smart.announcement(await run_sync(self._server.receiver.refs))
            elif service == "git-upload-pack":
                content = await self._fetchable(_version(request))
            else:
                return PlainTextResponse("A git that speaks smart HTTP is needed.\n", 403)
        except (AutoresearchError, OSError) as error:
            log.warning("refs could not be told: %s", error)
            return PlainTextResponse("The repository cannot be read.\n", 503, {"Retry-After": "10"})
        return Response(content, media_type=f"application/x-{service}-advertisement")

    async def _fetchable(self, version: str) -> bytes:
        if version == "version=2" and self._abilities is not None:
            return self._abilities
        words = [*VISIBLE, "upload-pack", "--stateless-rpc", "--advertise-refs", str(self._store.git_dir)]
        answer = await run_sync(lambda: self._store.once(words, environment={"GIT_PROTOCOL": version}))
        if answer.code != 0:  # and what it did not say is not remembered
            raise GitError(f"git upload-pack failed: {last_words(answer.error)}.")
        if version == "version=2":
            self._abilities = answer.out
            return answer.out
        return smart.packet("# service=git-upload-pack\n") + b"0000" + answer.out

    @requires("read", status_code=403)
    async def fetched(self, request: Request) -> Response:
        """Refs or objects: what git answers flows through."""
        try:
            with await self._body(request, ASKED_BYTES) as body:
                asked = body.read()
        except (TooLarge, TimeoutError, zlib.error):
            return PlainTextResponse("That asks for too much.\n", 413)
        answer = self._flowing(asked, _version(request))
        return Flowing(answer, media_type="application/x-git-upload-pack-result")

    async def _flowing(self, asked: bytes, version: str) -> AsyncIterator[bytes]:
        words = [*VISIBLE, "upload-pack", "--stateless-rpc", "--strict", "--timeout=120", str(self._store.git_dir)]
        environment = {"GIT_PROTOCOL": version}
        async with self._fetching:
            with self._store.running(words, stdin=(asked,), environment=environment) as (_, out):
                while chunk := await run_sync(out.read1, CHUNK):  # type: ignore[attr-defined]  # a pipe of Popen is buffered; IO does not say so
                    yield chunk

    @requires("publish", status_code=403)
    async def pushed(self, request: Request) -> Response:
        """Journals and leases that are to move."""
        token, server = request.user.token, self._server
        limit = int(token.push_mb * 1e6)
        try:
            body = await self._body(request, limit)
        except TooLarge:
            return PlainTextResponse(f"A push of this token has at most {token.push_mb:g} MB.\n", 413)
        except (TimeoutError, zlib.error):
            return PlainTextResponse("The push did not come in whole.\n", 400)
        with body:
            size = body.seek(0, 2)
            body.seek(0)
            server.metrics.pushed.inc(size)
            caller = request.client.host if request.client else ""
            try:
                taken = await run_sync(server.receiver.take, token, body, limit, caller, limiter=self._pushing)
            except Malformed as error:
                return PlainTextResponse(f"That is no push: {error}.\n", 400)
            except (AutoresearchError, OSError) as error:
                return PlainTextResponse(f"Nothing was taken: {error}\n", 503, {"Retry-After": "10"})
        server.metrics.moved.labels("accepted").inc(len(taken.accepted))
        server.metrics.moved.labels("refused").inc(len(taken.refused))
        if taken.accepted:
            server.news.set()
        return Response(taken.report, media_type="application/x-git-receive-pack-result")

    async def _body(self, request: Request, limit: int) -> tempfile.SpooledTemporaryFile[bytes]:
        """The body as it was before git packed it. Raises TooLarge, TimeoutError, zlib.error."""
        found = tempfile.SpooledTemporaryFile(IN_MEMORY_BYTES, dir=str(self._server.room))  # noqa: SIM115 (who asked closes it)
        packed = zlib.decompressobj(31) if request.headers.get("content-encoding") in ("gzip", "x-gzip") else None
        size = 0
        try:
            with anyio.fail_after(BODY_SECONDS):
                async for chunk in request.stream():
                    plain = packed.decompress(chunk, limit - size + 1) if packed else chunk
                    size += len(plain)
                    if size > limit:
                        raise TooLarge
                    found.write(plain)
        except BaseException:
            found.close()
            raise
        found.seek(0)
        return found


def _version(request: Request) -> str:
    """The version of the protocol that was asked for, in git's words; nothing else of the header is heeded."""
    said = request.headers.get("git-protocol", "").split(":")
    return next((one for one in ("version=2", "version=1") if one in said), "version=0")
