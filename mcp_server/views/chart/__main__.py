"""`python -m mcp_server.views.chart`: draw the request that stands on stdin as JSON."""

from __future__ import annotations

import os
import sys

from mcp_server.views.chart.draw import draw_progress
from mcp_server.views.chart.points import REQUEST


def main() -> int:
    os.nice(10)  # a picture never takes time from an experiment
    request = REQUEST.validate_json(sys.stdin.buffer.read())
    draw_progress(request.campaigns, request.png, request.svg, request.theme, request.size, request.mark)
    return 0


if __name__ == "__main__":
    sys.exit(main())
