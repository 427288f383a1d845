"""`python -m mcp_server`: the lab as an MCP server on stdio."""

from mcp_server.server import main

main()
