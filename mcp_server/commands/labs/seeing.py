"""The community as a picture and as a site: graph, site."""

from __future__ import annotations

from pathlib import Path

import click
from pydantic import Field

from mcp_server.commands import asking
from mcp_server.commands.names import Place
from mcp_server.community import membership
from mcp_server.community.claims.desk import Desk
from mcp_server.community.elsewhere import opened
from mcp_server.community.settings import Places
from mcp_server.community.trust import read_trust
from mcp_server.ledger import shown
from mcp_server.nouns.errors import NotNow
from mcp_server.nouns.replies import Reply
from mcp_server.repo.drawn import keep_out, leave
from mcp_server.repo.workspace import Workspace
from mcp_server.views.labs.graph import svg
from mcp_server.views.labs.lineage import graph as graph_of
from mcp_server.views.labs.site import write_site

USUAL = Path("graph.svg")


class GraphReply(Reply):
    """A picture that was written."""

    file: str
    notes: list[str] = Field(default_factory=list)
    attempts: int = Field(default=0, description="kept attempts of all labs")
    labs: int = 0
    next: str = ""


@click.command()
@click.option("--out", type=asking.Here(dir_okay=False), default=USUAL, show_default=True, metavar="FILE.svg")
@asking.replying
def graph(at: Place, out: Path, as_json: bool) -> None:
    """Draw the kept attempts of all labs: who builds on what, and what was taken over from whom.

    One SVG file that needs nothing else and follows the reader's light or dark scheme. A lane for each lab, the best
    first; the thick line leads to the best, adoptions are dashed. A mark says in words what it is.

    \b
    Examples:
      autoresearch community graph
      autoresearch community graph --out docs/labs.svg
    """
    if out.suffix.lower() != ".svg":
        raise NotNow(f"{out.name} is no SVG file. Name it FILE.svg.")
    workspace = Workspace(at.folder)
    places = Places.of(workspace.paths.state)
    with opened(places) as foreign:
        if foreign is None:
            raise NotNow("No lab has told of anything here yet. `autoresearch community join FOLDER` or URL first.")
        contract = membership.contract_here(workspace, foreign, at.campaign)
        found = graph_of(shown.kept(foreign, contract))
        claims = Desk(workspace.paths.state, workspace).view(foreign, contract).claims
        names = read_trust(places.trust).called(foreign.labs())
        picture = svg(found, names, {one.name: str(one.status) for one in claims})
    to = out.absolute()
    if out == at.folder / USUAL:
        keep_out(workspace, to.resolve())
    _, moved = leave(workspace, to.parent, {to.name: picture.encode()})
    reply = GraphReply(file=str(to), notes=moved)
    reply.attempts, reply.labs = len(found.kept), len({one.lab for one in found.kept.values()})
    reply.next = f"{reply.attempts:,} kept attempts of {reply.labs} labs are drawn in {out}."
    asking.answer(reply, as_json, asking.problems(moved), asking.hint(reply.next))


class SiteReply(Reply):
    """A site that was written."""

    folder: str
    files: list[str] = Field(default_factory=list)
    next: str = ""


@click.command()
@click.argument("folder", type=asking.Here(file_okay=False))
@asking.replying
def site(at: Place, folder: Path, as_json: bool) -> None:
    """Write the community as plain pages: labs, what was tried, claims, graph, board, results, an Atom feed.

    The folder opens in a browser as it is, needs no server and has no script. Writing it again brings it up to date.

    \b
    Examples:
      autoresearch community site public
    """
    workspace, to = Workspace(at.folder), folder.absolute()
    with opened(Places.of(workspace.paths.state)) as foreign:
        if foreign is None:
            raise NotNow("No lab has told of anything here yet. `autoresearch community join FOLDER` or URL first.")
        contract = membership.contract_here(workspace, foreign, at.campaign)
        try:
            files = write_site(workspace, foreign, contract, to, membership.utc_now())
        except OSError as error:
            raise NotNow(f"{folder} cannot be written: {error}. Choose another place.") from None
    reply = SiteReply(folder=str(to), files=files, next=f"Open {folder / 'index.html'} in a browser.")
    asking.answer(reply, as_json, asking.hint(reply.next))
