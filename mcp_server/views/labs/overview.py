"""The community at a glance: labs with freshness and trust, what was tried, claims, the line of the best.

Read from the records alone. Words in it are strangers': cleaned when they came in, and shown as words.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

from pydantic import Field

from mcp_server.community.claims.standing import standings
from mcp_server.community.claims.status import Claim, words_of
from mcp_server.community.statements import dead, words
from mcp_server.ledger import shown
from mcp_server.ledger.foreign import Foreign, Known, Pooled
from mcp_server.ledger.shown import Wanted
from mcp_server.nouns.exchanged import SHORT, short
from mcp_server.nouns.replies import CommunityReply, Reply, ThreadsReply
from mcp_server.nouns.text import clean_line
from mcp_server.views.labs.lineage import Graph, graph

MOST_CONSTANTS = 400  # of the map that a page is sent; the least tried are left out
MOST_STEPS = 60  # of a line, the latest
MOST_CLAIMS = 100
SELDOM = 0.1  # a direction that helped less often than this is hardly worth a run
WAYS = ("down", "up", "off", "on", "other")


class Cell(Reply):
    """What all attempts that moved one constant one way, and nothing else, came to."""

    way: str
    tried: int = Field(default=0, description="with a measured gain")
    helped: int = 0
    failed: int = Field(default=0, description="ended without a score")
    labs: int = 0
    kind: str = Field(description="helped, seldom, dead, open or failed")
    gain: float | None = None
    words: str = ""


class MapRow(Reply):
    """One constant of the map; without cells nobody moved it."""

    name: str
    cells: list[Cell] = Field(default_factory=list)
    tried: int = 0


class Told(Reply):
    """One attempt of some lab."""

    name: str = Field(description="LAB/n, as the commands take it")
    lab: str
    own: bool = False
    text: str = ""
    gain: float | None = None
    machine: str = ""
    at: str = ""


class ClaimRow(Told):
    """One gain that a lab tells of, and what others say of it."""

    widths: float | None = None
    status: str = "claimed"
    record: str = Field(default="", description="what other labs got of it")


class Step(Told):
    """One kept attempt on the line to the best."""

    role: str = ""
    gathered: float = 0.0
    adopted: list[str] = Field(default_factory=list, description="what it takes over from other labs")


class Result(Told):
    """One attempt of some lab, as the feed shows it."""

    status: str
    label: str = ""
    lesson: str = ""
    moved: str = ""
    widths: float | None = None
    score: float | None = None
    reason: str = ""
    adopted: str = ""


class ResultsPage(Reply):
    """A page of the feed."""

    total: int = 0
    first: int = 0
    results: list[Result] = Field(default_factory=list)


class Overview(Reply):
    """The community as the live page shows it."""

    standing: CommunityReply
    contract: str = ""
    names: dict[str, str] = Field(default_factory=dict, description="what labs are called, by their short ids")
    records: dict[str, str] = Field(default_factory=dict, description="what came of each lab's claims")
    statuses: dict[str, int] = Field(default_factory=dict)
    constants: int = 0
    map: list[MapRow] = Field(default_factory=list)
    claims: list[ClaimRow] = Field(default_factory=list)
    line: list[Step] = Field(default_factory=list)
    earlier: int = Field(default=0, description="steps of the line that are left out")
    board: ThreadsReply | None = None


def overview(foreign: Foreign, contract: str, standing: CommunityReply, claims: Sequence[Claim] = ()) -> Overview:
    """Everything but the feed, of one contract. claims: as this lab judges them."""
    rows = tried_map(foreign, contract)
    found = graph(shown.kept(foreign, contract))
    line = steps(found, found.tips[0]) if found.tips else []
    return Overview(
        standing=standing,
        contract=contract,
        names={lab.lab: lab.name for lab in standing.labs if lab.name},
        statuses=shown.statuses(foreign, contract),
        constants=len(rows),
        map=rows[:MOST_CONSTANTS],
        claims=claim_rows(foreign, claims),
        records=standing_words(claims),
        line=line[-MOST_STEPS:],
        earlier=max(0, len(line) - MOST_STEPS),
    )


def tried_map(foreign: Foreign, contract: str) -> list[MapRow]:
    """Constants by directions, the most tried first; then those of our code that nobody moved."""
    rows: dict[str, MapRow] = {}
    for one in foreign.pooled(contract):
        row = rows.setdefault(one.name, MapRow(name=clean_line(one.name, 60)))
        row.cells.append(_cell(one))
        row.tried += one.tried + one.failed
    for row in rows.values():
        row.cells.sort(key=lambda cell: WAYS.index(cell.way) if cell.way in WAYS else len(WAYS))
    found = sorted(rows.values(), key=lambda row: (-row.tried, row.name))
    untouched = [name for name in json.loads(foreign.noted(f"constants {contract}") or "[]") if name not in rows]
    return [*found, *(MapRow(name=clean_line(name, 60)) for name in untouched)]


def _cell(one: Pooled) -> Cell:
    seldom = one.helped < SELDOM * one.tried
    kind = (
        "seldom"
        if one.helped and seldom
        else "helped"
        if one.helped
        else "failed"
        if not one.tried
        else "dead"
        if dead(one)
        else "open"
    )
    return Cell(
        way=one.way,
        tried=one.tried,
        helped=one.helped,
        failed=one.failed,
        labs=one.labs,
        kind=kind,
        gain=one.gain,
        words=words(one),
    )


def claim_rows(foreign: Foreign, claims: Sequence[Claim]) -> list[ClaimRow]:
    """Gains that labs tell of with what others got of them: what waits for a replication first, the largest first."""
    ordered = sorted(claims, key=lambda one: (not one.open, -one.first.gain, one.name))
    return [_claim(foreign, one) for one in ordered[:MOST_CLAIMS]]


def _claim(foreign: Foreign, one: Claim) -> ClaimRow:
    known = foreign.attempt(one.first.lab, one.first.n)
    return ClaimRow(
        name=short(one.name),
        lab=one.first.lab[:SHORT],
        own=one.first.own,
        text=known.attempt.text if known else "",
        gain=one.first.gain,
        widths=known.attempt.widths if known else None,
        status=str(one.status),
        record=words_of(one) if one.tried else "",
        machine=one.first.machine,
        at=one.first.at,
    )


def standing_words(claims: Sequence[Claim]) -> dict[str, str]:
    """What came of each lab's claims, by its short id."""
    found = {}
    for lab, one in standings(claims).items():
        counts = (("replicated", one.replicated), ("refuted", one.refuted), ("not judged", one.claimed))
        found[lab[:SHORT]] = "claims: " + ", ".join(f"{count} {words}" for words, count in counts if count)
    return found


def steps(found: Graph, tip: str) -> list[Step]:
    """The line from its beginning to `tip`."""
    return [_step(found, name) for name in found.line(tip)]


def _step(found: Graph, name: str) -> Step:
    one = found.kept[name]
    above = found.kept.get(found.above.get(name, ""))
    from_there = [above.name] if above is not None and above.lab != one.lab else []
    return Step(
        name=short(name),
        lab=one.lab[:SHORT],
        own=one.own,
        role=one.role,
        text=one.text,
        gain=one.gain if one.role != "baseline" else None,
        gathered=found.gathered[name],
        adopted=[short(other) for other in (*from_there, *found.adopted.get(name, ()))],
        machine=one.machine,
        at=one.at,
    )


def results_page(foreign: Foreign, wanted: Wanted, first: int, limit: int) -> ResultsPage:
    """A page of the feed, the newest first."""
    total, found = shown.results(foreign, wanted, max(0, first), limit)
    return ResultsPage(total=total, first=max(0, first), results=[_result(one) for one in found])


def _result(one: Known) -> Result:
    a = one.attempt
    moved = ", ".join(f"{name} {before}→{after}" for name, before, after in a.knobs[:4])
    return Result(
        name=short(f"{one.lab}/{a.n}"),
        lab=one.lab[:SHORT],
        own=one.own,
        status=a.status,
        label=a.label if a.status == "kept" else "",
        text=a.text,
        lesson=a.lesson,
        moved=clean_line(moved, 200),
        gain=a.gain if a.compared and a.role != "baseline" else None,
        widths=a.widths if a.compared else None,
        score=a.score,
        reason=a.reason if a.score is None else "",
        machine=a.machine,
        adopted=short(a.of) if a.of else "",
        at=a.at,
    )


def lab_named(labs: Sequence[str], asked: str) -> str:
    """The whole id of a lab from its beginning; "" where none or several begin so."""
    found = [lab for lab in labs if asked and lab.startswith(asked)]
    return found[0] if len(found) == 1 else ""
