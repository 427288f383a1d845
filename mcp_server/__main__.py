"""`python -m mcp_server`: the lab as an MCP server on stdio."""

import gc
import io
import sys

from mcp_server.faces.opening import Opening, take_stdin

opening = Opening(take_stdin())

gc.disable()  # an import leaves no garbage: to look for some, now and at the end, takes a quarter of the start
from mcp_server.server import main  # noqa: E402  # this import takes a second, on a busy machine many

gc.freeze()
gc.enable()
sys.stdin = io.TextIOWrapper(opening.end(), encoding="utf-8")
main()
