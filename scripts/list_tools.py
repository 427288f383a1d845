"""Writes scripts/tools.json: what the waiting room answers to tools/list before the server itself can start.

    python scripts/list_tools.py

A test compares names and arguments with the server's; run this after changing them. Words may lag behind: the client
is told to list again as soon as the server is there.
"""

from __future__ import annotations

import json
from pathlib import Path

import anyio
from mcp import Client

from mcp_server.server import INSTRUCTIONS, build_server

FILE = Path(__file__).resolve().parent / "tools.json"


async def listed() -> str:
    """The server's own answer to tools/list, as text."""
    async with Client(build_server(), mode="legacy") as client:
        tools = (await client.list_tools()).tools
    # without the output schemas: nothing calls back before the server is there, and its own list has them
    data = [tool.model_dump(mode="json", by_alias=True, exclude_none=True, exclude={"output_schema"}) for tool in tools]
    return json.dumps({"instructions": INSTRUCTIONS, "tools": data}, indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    FILE.write_text(anyio.run(listed), encoding="utf-8")
