"""The process that exchanges beside a lab: `python -m mcp_server.community TREE`."""

from __future__ import annotations

import sys

from mcp_server.community.beside import PROGRAM, stay
from mcp_server.runner.machine.leaving import beside

if __name__ == "__main__":
    sys.exit(beside(PROGRAM, stay))
