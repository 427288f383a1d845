"""The community as a static site: a folder that opens in a browser as it lies there, with a feed for feed readers.

Plain pages without a script: labs, the line of the best, what was tried, claims, papers with their reviews, the board,
results a hundred a page.
Written whole into a folder of its own; what an earlier site left there and is not part of this one is taken away.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from xml.etree import ElementTree

from jinja2 import Environment, FileSystemLoader

from mcp_server.community import membership
from mcp_server.community.board.reading import read
from mcp_server.community.claims.hearing import heard_claims
from mcp_server.community.settings import Places
from mcp_server.community.trust import read_trust
from mcp_server.ledger import shown
from mcp_server.ledger.foreign import Foreign
from mcp_server.ledger.shown import Wanted
from mcp_server.memory.wording import signed
from mcp_server.nouns.errors import NotNow
from mcp_server.nouns.files import write_atomically
from mcp_server.nouns.replies import CommunityReply
from mcp_server.nouns.text import minute
from mcp_server.repo.workspace import Workspace
from mcp_server.views.labs.graph import svg
from mcp_server.views.labs.lineage import graph
from mcp_server.views.labs.overview import WAYS, Overview, Result, overview, results_page
from mcp_server.views.labs.papers import papers

PAGE = 100
MOST_PAGES = 50  # of results; older ones are in the records
FEED = 60  # entries
MARK = "site.autoresearch"  # lies in a folder that is ours to write
ATOM = "http://www.w3.org/2005/Atom"
TABS = (
    ("index.html", "Labs"),
    ("map.html", "What was tried"),
    ("claims.html", "Claims"),
    ("papers.html", "Papers"),
    ("board.html", "Board"),
)


def site_files(
    places: Places, foreign: Foreign, contract: str, standing: CommunityReply, now: datetime
) -> dict[str, bytes]:
    """The whole site by the names of its files. places: whose address book and board it is; standing: the labs."""
    trust = read_trust(places.trust)
    claims = heard_claims(foreign, contract, trust)
    found = overview(foreign, contract, standing, claims)
    found.board = read(places, looking=True, limit=200)
    judged = {one.name: str(one.status) for one in claims}
    picture = svg(graph(shown.kept(foreign, contract)), trust.called(foreign.labs()), judged)
    return {
        "graph.svg": picture.encode(),
        "feed.atom": _feed(found, results_page(foreign, Wanted(contract), 0, FEED).results, now),
        **{name: text.encode() for name, text in _pages(foreign, contract, found, now)},
    }


def write_site(workspace: Workspace, foreign: Foreign, contract: str, to: Path, now: datetime) -> list[str]:
    """Write the site; the names of its files. Raises NotNow, OSError."""
    if to.exists() and any(to.iterdir()) and not (to / MARK).exists():
        raise NotNow(f"{to} is not empty and no site of ours. Name a new folder; it is made.")
    files = site_files(Places.of(workspace.paths.state), foreign, contract, membership.status(workspace), now)
    to.mkdir(parents=True, exist_ok=True)
    (to / MARK).touch()
    for name, content in files.items():
        write_atomically(to / name, content)
    for path in to.iterdir():
        if path.name not in files and path.suffix in (".html", ".svg", ".atom"):
            path.unlink()
    return sorted(files)


def _pages(foreign: Foreign, contract: str, found: Overview, now: datetime) -> Iterator[tuple[str, str]]:
    folder = Path(__file__).parents[2] / "dashboard" / "templates"
    pages = Environment(loader=FileSystemLoader(folder), autoescape=True)
    pages.filters["minute"] = minute
    pages.filters["gain"] = lambda value: "" if value is None else signed(value)
    template = pages.get_template("site.html")
    ways = [way for way in WAYS if any(cell.way == way for row in found.map for cell in row.cells)]
    first = results_page(foreign, Wanted(contract), 0, PAGE)
    count = min(MOST_PAGES, max(1, -(-first.total // PAGE)))
    tabs = (*TABS, ("results-1.html", "Results"))
    told: dict[str, object] = {"found": found, "tabs": tabs, "ways": ways, "total": first.total, "pages": count}
    told["papers"] = papers(found.board.posts if found.board else [])
    told["written"] = minute(now.isoformat())
    for name, title in TABS:
        yield name, template.render(**told, here=name, title=title, page=name.partition(".")[0])
    for place in range(1, count + 1):
        results = first if place == 1 else results_page(foreign, Wanted(contract), (place - 1) * PAGE, PAGE)
        more = {"results": results.results, "place": place}
        yield (
            f"results-{place}.html",
            template.render(**told, **more, here="results-1.html", title="Results", page="results"),
        )


def _feed(found: Overview, results: list[Result], now: datetime) -> bytes:
    """The newest results and posts, papers and reviews among them, as Atom (RFC 4287)."""
    ElementTree.register_namespace("", ATOM)
    root = ElementTree.Element(f"{{{ATOM}}}feed")
    _add(root, "title", f"Community of {len(found.standing.labs)} labs")
    _add(root, "id", f"urn:autoresearch:contract:{found.contract}")
    _add(root, "updated", now.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"))
    posts = found.board.posts if found.board else []
    entries = [(one.at, one.name, one.lab, _title(one), one.lesson or one.moved) for one in results]
    entries += [(one.at, one.post, one.lab, f"{one.sort}: {one.text[:80]}", one.text) for one in posts if one.post]
    for at, name, lab, title, text in sorted(entries, reverse=True)[:FEED]:
        entry = ElementTree.SubElement(root, f"{{{ATOM}}}entry")
        _add(entry, "title", title)
        _add(entry, "id", f"urn:autoresearch:{name}")
        _add(entry, "updated", at)
        _add(ElementTree.SubElement(entry, f"{{{ATOM}}}author"), "name", found.names.get(lab, lab))
        _add(entry, "content", text)
    written: bytes = ElementTree.tostring(root, encoding="utf-8", xml_declaration=True)
    return written


def _title(one: Result) -> str:
    gain = f" {signed(one.gain)}" if one.gain is not None else ""
    return f"{one.name} {one.status}{gain}: {one.text}"


def _add(parent: ElementTree.Element, name: str, text: str) -> None:
    ElementTree.SubElement(parent, f"{{{ATOM}}}{name}").text = text
