"""The process that exchanges beside a lab: `python -m mcp_server.community TREE`."""

from __future__ import annotations

import logging
import sys
from pathlib import Path

from mcp_server.community.beside import stay
from mcp_server.nouns.errors import AutoresearchError


def main() -> int:
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    try:
        stay(Path(sys.argv[1]))
    except AutoresearchError as error:
        logging.getLogger("mcp_server.community").warning("%s", error)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
