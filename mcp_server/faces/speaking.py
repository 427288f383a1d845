"""One place where our errors become a model's: word for word; anything else is a bug and looks like one."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import TypeVar

from anyio.to_thread import run_sync
from mcp.server.mcpserver.exceptions import ResourceError, ToolError

from mcp_server.nouns.errors import AutoresearchError

T = TypeVar("T")


@contextlib.contextmanager
def spoken() -> Iterator[None]:
    """Our errors reach the model word for word."""
    try:
        yield
    except AutoresearchError as error:
        raise ToolError(str(error)) from None


async def call(verb: Callable[[], T]) -> T:
    """Run one verb in a worker thread. A verb takes milliseconds, so a cancelled call lets it finish."""
    with spoken():
        return await run_sync(verb)


async def read(verb: Callable[[], T]) -> T:
    """The same for a resource, whose errors the SDK tells apart from a tool's."""
    try:
        return await run_sync(verb)
    except AutoresearchError as error:
        raise ResourceError(str(error)) from None
