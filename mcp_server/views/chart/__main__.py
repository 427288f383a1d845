"""`python -m mcp_server.views.chart`: draw the request that stands on stdin as JSON."""

from __future__ import annotations

import contextlib
import os
import sys
from pathlib import Path

from mcp_server.arena.program import parse_program
from mcp_server.ledger import Ledger
from mcp_server.views.chart.draw import draw_progress
from mcp_server.views.chart.points import REQUEST, ChartCampaign
from mcp_server.views.publishing import chart_campaign


def read(place: Path, tag: str) -> ChartCampaign:
    """A campaign from the ledger at `place`. Raises LedgerError."""
    with contextlib.closing(Ledger(place)) as ledger:
        campaign = ledger.campaign(tag)
        assert campaign is not None
        text = ledger.program_text(campaign.program)
        assert text is not None
        return chart_campaign(ledger, campaign, parse_program(text, in_force=True).arena)


def main() -> int:
    os.nice(10)  # a picture never takes time from an experiment
    request = REQUEST.validate_json(sys.stdin.buffer.read())
    campaigns = request.campaigns if request.ledger is None else (*request.campaigns, read(request.ledger, request.tag))
    draw_progress(campaigns, request.png, request.svg, request.theme, request.size, request.mark)
    return 0


if __name__ == "__main__":
    sys.exit(main())
