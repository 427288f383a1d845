"""Tool arguments that do not fit: told in our words, and an argument that no tool has is refused, not passed over.

An agent that sends `wait=60` for `wait_seconds=60` would otherwise be answered as if it had asked for something else.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from mcp.server import MCPServer
from mcp.server.mcpserver import Context
from mcp.server.mcpserver.exceptions import ToolError
from mcp_types import CallToolResult, InputRequiredResult
from pydantic import ValidationError

from mcp_server.nouns.refusals import given, nearest, place, sentence

Lifespan = TypeVar("Lifespan")


class PlainServer(MCPServer[Lifespan]):
    """The SDK's server; wrong arguments are answered with a sentence each."""

    async def call_tool(
        self, name: str, arguments: dict[str, Any], context: Context[Lifespan, Any] | None = None
    ) -> CallToolResult | InputRequiredResult:
        """Raises ToolError for arguments that the tool does not take."""
        schema = self._tool_input_schema(name)
        unknown = "" if schema is None else refusal(name, arguments, schema.get("properties", {}))
        if unknown:
            raise ToolError(unknown)
        try:
            return await super().call_tool(name, arguments, context)
        except ToolError as error:
            if isinstance(error.__cause__, ValidationError):
                raise ToolError(_explained(name, error.__cause__)) from None
            raise


def refusal(tool: str, arguments: Mapping[str, Any], known: Mapping[str, Any]) -> str:
    """What to say of arguments that the tool does not have; "" when it has them all."""
    for name in arguments:
        if name not in known:
            takes = f"It takes: {', '.join(known)}." if known else "It takes none."
            return f"{tool} has no argument `{name[:40]}`.{nearest(name, known)} {takes} Nothing was done."
    return ""


def _explained(tool: str, error: ValidationError) -> str:
    said = []
    for problem in error.errors(include_url=False):
        ours = problem["type"] == "value_error"  # a check of our own, which speaks in whole sentences
        words = sentence(problem) if ours else f"`{place(problem)}` {sentence(problem)}{given(problem)}."
        said.append(f"{tool}: {words}")
    return "\n".join(dict.fromkeys(said)) + " Nothing was done."
