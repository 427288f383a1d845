"""The wait for an event: from a number on, or from now on; what is a state and holds already is answered at once."""

from __future__ import annotations

import time
from collections.abc import Sequence

from mcp_server.campaign.bench import Readable
from mcp_server.campaign.stop import over_by_rule
from mcp_server.campaign.waiting import POLL_SECONDS
from mcp_server.ledger.live.events import Event, EventKind


def wait_for(
    lab: Readable, kinds: Sequence[str], after: int | None = None, seconds: float | None = None
) -> Event | None:
    """The first event of these kinds of this campaign with a greater number than `after`; None when time is up.

    Without `after`, from now on; where the lab is idle, or the campaign over, the event that began that answers.
    Looking takes in what happened meanwhile, so waiting needs no server. Raises AutoresearchError.
    """
    ends = None if seconds is None else time.monotonic() + seconds
    while True:
        with lab.reading() as (bench, campaign, arena):
            ledger = bench.ledger
            if after is None:
                held = []
                if EventKind.IDLE in kinds and ledger.resting_since():
                    held += ledger.events(kinds=[EventKind.IDLE], limit=1, newest=True)
                if EventKind.STOP in kinds and over_by_rule(bench, campaign, arena):
                    held += ledger.events(kinds=[EventKind.STOP], campaign=campaign.tag, limit=1, newest=True)
                if held:
                    return held[-1]
                after = ledger.last_event()
            found = ledger.events(after, kinds, campaign.tag, limit=1)
        if found:
            return found[0]
        left = POLL_SECONDS if ends is None else min(POLL_SECONDS, ends - time.monotonic())
        if left <= 0:
            return None
        time.sleep(left)
