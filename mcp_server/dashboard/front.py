"""The Pareto front as the page shows it: the report's drawing and who lies on it, worked out when somebody asks.

All attempts are in it, however long ago, so it is read beside the feed, and again only when something was decided or
ran.
"""

from __future__ import annotations

import contextlib
import hashlib
import threading

from pydantic import Field

from mcp_server.arena.program import Arena
from mcp_server.campaign.attempt import read_all
from mcp_server.campaign.progress import rounded
from mcp_server.lab import Lab
from mcp_server.ledger import Ledger
from mcp_server.nouns.errors import NotNow
from mcp_server.nouns.replies import Reply
from mcp_server.nouns.text import clean_line
from mcp_server.views.front import Place, places, svg

SHOWN = 50  # rows of the table
WORDS = (
    "Nobody beats these in one metric without losing in another. A keep is a step on the front, surely worse in none."
)


class FrontRow(Reply):
    """One attempt on the front."""

    experiment: int
    description: str = ""
    values: list[float | None] = Field(description="in the order of `metrics`")
    kept: bool = False


class FrontView(Reply):
    """Who lies on the front; empty where the arena has one primary metric."""

    seen: str = Field(default="", description="another text whenever the picture is another")
    words: str = ""
    metrics: list[str] = Field(default_factory=list)
    on: list[FrontRow] = Field(default_factory=list)


def places_in(ledger: Ledger, tag: str, arena: Arena) -> tuple[Place, ...]:
    """All attempts of a campaign among its primary metrics; () where the arena has no front."""
    if not arena.front:
        return ()
    return places(read_all(ledger, ledger.experiments(tag)), ledger.secondaries(tag, list(arena.front)), arena)


class Front:
    """The front of one campaign. `lab` is the feed's."""

    def __init__(self, lab: Lab) -> None:
        self._lab = lab
        self._mutex = threading.Lock()
        self._view, self._picture = FrontView(), ""

    def view(self) -> FrontView:
        """Raises AutoresearchError."""
        with self._mutex:
            with self._lab.reading() as (bench, campaign, arena):
                waiting = [run.ticket for run in bench.ledger.open_runs()]
                stamp = bench.ledger.views_stamp(campaign.tag)[0]
                told = f"{stamp} {bench.ledger.next_number(campaign.tag)} {waiting} {campaign.program}"
                seen = hashlib.sha256(told.encode()).hexdigest()[:16]
            if seen != self._view.seen:
                # beside the lab's lock, which nobody shall wait for
                with contextlib.closing(Ledger(self._lab.paths.ledger, looking=True)) as ledger:
                    found = places_in(ledger, campaign.tag, arena)
                self._view = _view(seen, found, arena)
                self._picture = svg(found, arena) if found else ""
            return self._view

    def picture(self) -> str:
        """As SVG. Raises AutoresearchError, NotNow where there is nothing to draw."""
        self.view()
        if not self._picture:
            raise NotNow("No attempt of this campaign has several primary metrics, so there is no front to draw.")
        return self._picture


def _view(seen: str, found: tuple[Place, ...], arena: Arena) -> FrontView:
    names = [arena.metric.name, *arena.front]
    on = sorted((one for one in found if one.front), key=lambda one: one.values[names[0]])
    rows = [
        FrontRow(
            experiment=one.number,
            description=clean_line(one.description, 200),
            values=[rounded(one.values[name]) for name in names],
            kept=one.kept,
        )
        for one in on[:SHOWN]
    ]
    return FrontView(seen=seen, words=WORDS if rows else "", metrics=names if rows else [], on=rows)
