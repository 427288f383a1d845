"""A small real MCP server that counts: it shows that the harness itself works, apart from any lab."""

from __future__ import annotations

import time

from mcp.server import MCPServer
from mcp_types import ToolAnnotations
from pydantic import BaseModel

mcp = MCPServer("autoresearch")
counts: list[int] = []
FREE = ToolAnnotations(read_only_hint=False, destructive_hint=False, open_world_hint=False)


class Count(BaseModel):
    count: int
    waited: float = 0.0


@mcp.tool(annotations=FREE, meta={"anthropic/alwaysLoad": True})
def add(number: int) -> Count:
    """Add a number to the sum so far."""
    counts.append(number)
    return Count(count=sum(counts))


@mcp.tool(annotations=FREE, meta={"anthropic/alwaysLoad": True})
def wait(seconds: float) -> Count:
    """Answer after a while."""
    time.sleep(seconds)
    return Count(count=sum(counts), waited=seconds)


if __name__ == "__main__":
    mcp.run()
