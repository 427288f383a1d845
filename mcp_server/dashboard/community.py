"""What the page shows of other labs: an overview when something in it changed, and pages of results when asked for.

Where nobody joined, or the records cannot be read, there is nothing to show; the rest of the page goes on.
"""

from __future__ import annotations

from collections.abc import Mapping

from mcp_server.arena.program import Arena
from mcp_server.community import membership
from mcp_server.community.board.reading import read
from mcp_server.community.claims.desk import Desk
from mcp_server.community.contract import noted_contract
from mcp_server.community.elsewhere import opened
from mcp_server.community.settings import Places
from mcp_server.community.trust import read_trust
from mcp_server.lab import Lab
from mcp_server.ledger import shown
from mcp_server.ledger.shown import Wanted
from mcp_server.nouns.errors import NotNow
from mcp_server.nouns.rows import Campaign
from mcp_server.views.labs.graph import svg
from mcp_server.views.labs.lineage import graph
from mcp_server.views.labs.overview import Overview, ResultsPage, lab_named, overview, results_page

PAGE = 25
THREADS = 40
MOST_ASKED = 200  # characters of a question


class Look:
    """The overview of one campaign's contract, gathered anew when something in it changed."""

    def __init__(self, lab: Lab) -> None:
        self._lab, self._seen = lab, ""

    def news(self, campaign: Campaign, arena: Arena, *, anew: bool) -> Overview | None:
        """None while nothing changed. anew: tell it in any case."""
        places = Places.of(self._lab.paths.state)
        with opened(places) as foreign:
            files = [
                path.stat().st_mtime_ns if path.exists() else 0
                for path in (places.settings, places.trust, places.marks, places.outbox)
            ]
            seen = f"{campaign.tag} {files} {shown.stamp(foreign) if foreign else ''}"
            if seen == self._seen and not anew:
                return None
            standing = membership.status(self._lab.workspace)
            self._seen = seen
            if foreign is None:
                return Overview(standing=standing)
            contract = noted_contract(foreign, self._lab.workspace, campaign, arena)
            claims = Desk(self._lab.paths.state, self._lab.workspace).view(foreign, contract).claims
            found = overview(foreign, contract, standing, claims)
        found.board = read(places, looking=True, limit=THREADS)
        return found


def picture(lab: Lab) -> str:
    """The kept attempts of all labs as SVG. Raises AutoresearchError."""
    with lab.reading() as (_, campaign, arena):
        pass
    with opened(Places.of(lab.paths.state)) as foreign:
        if foreign is None:
            raise NotNow("This lab has joined no community yet, so there is no graph of its labs.")
        contract = noted_contract(foreign, lab.workspace, campaign, arena)
        claims = Desk(lab.paths.state, lab.workspace).view(foreign, contract).claims
        names = read_trust(Places.of(lab.paths.state).trust).called(foreign.labs())
        return svg(graph(shown.kept(foreign, contract)), names, {one.name: str(one.status) for one in claims})


def results(lab: Lab, asked: Mapping[str, str]) -> ResultsPage:
    """A page of the feed. asked: q, lab, status, constant, way, first. Raises AutoresearchError."""
    with lab.reading() as (_, campaign, arena):
        pass
    with opened(Places.of(lab.paths.state)) as foreign:
        if foreign is None:
            return ResultsPage()
        whose = asked.get("lab", "")
        wanted = Wanted(
            contract=noted_contract(foreign, lab.workspace, campaign, arena),
            words=asked.get("q", "")[:MOST_ASKED],
            lab=(lab_named([row.lab for row in foreign.labs()], whose) or "none") if whose else "",
            status=asked.get("status", ""),
            constant=asked.get("constant", "")[:MOST_ASKED],
            way=asked.get("way", ""),
        )
        first = asked.get("first", "0")
        return results_page(foreign, wanted, int(first) if first.isdecimal() and len(first) < 9 else 0, PAGE)
