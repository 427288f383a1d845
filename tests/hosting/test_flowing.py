"""A fetch is one of few: who takes what it asked for keeps its place, and nobody else does."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import anyio
import pytest
from starlette.types import Message

from mcp_server.community.wire.store import make_bare
from mcp_server.hosting.app import LabServer
from mcp_server.hosting.git import READER_BYTES, Flowing, GitFace
from mcp_server.hosting.premises import Premises
from mcp_server.nouns.errors import GitError

SCOPE = {"type": "http", "method": "POST", "path": "/git-upload-pack", "headers": [], "asgi": {"spec_version": "2.3"}}


async def flow(pieces: list[bytes], seconds_each: float, patience: float) -> tuple[int, int]:
    """(bytes that a reader got who takes so long for each piece, places that are free afterwards)."""
    places, got = anyio.Semaphore(1), 0

    async def answer() -> AsyncIterator[bytes]:
        async with places:
            for piece in pieces:
                yield piece

    async def send(message: Message) -> None:
        nonlocal got
        if message["type"] == "http.response.body":
            await anyio.sleep(seconds_each)
            got += len(message.get("body", b""))

    async def receive() -> Message:
        await anyio.sleep_forever()
        raise AssertionError

    response = Flowing(answer())
    response.patience = patience
    with anyio.fail_after(20):
        await response(SCOPE, receive, send)
    return got, places.value


@pytest.mark.parametrize(
    ("pieces", "seconds_each", "patience", "gets"),
    [
        ([b"x" * 1000] * 5, 0.0, 5.0, 5000),  # all of it
        ([b"x" * 1000] * 5, 60.0, 0.05, 0),  # it takes nothing
        ([b"x"] * 1000, 0.03, 0.1, None),  # a byte now and then
        ([b"x" * READER_BYTES] * 4, 0.1, 0.3, 4 * READER_BYTES),  # longer than the patience, and fast enough
    ],
    ids=["takes it", "takes nothing", "takes a byte now and then", "takes long for very much"],
)
def test_a_reader_that_does_not_take_what_it_asked_for_gives_its_place_back(
    pieces: list[bytes], seconds_each: float, patience: float, gets: int | None
) -> None:
    got, free = anyio.run(flow, pieces, seconds_each, patience)
    assert free == 1
    assert got == gets or (gets is None and got < 100)


def test_what_git_could_not_say_once_is_asked_again(tmp_path: Path) -> None:
    """Its empty answer was remembered, and every fetch until the next start got it."""
    folder = tmp_path / "journals.git"
    folder.mkdir()
    face = GitFace(cast("LabServer", SimpleNamespace(premises=Premises(folder))))
    with pytest.raises(GitError):
        anyio.run(face._fetchable, "version=2")
    folder.rmdir()
    make_bare(folder)
    assert b"ls-refs" in anyio.run(face._fetchable, "version=2")
