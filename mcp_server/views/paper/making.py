"""Makes a paper from the ledger, and checks one: its seal, what this lab or a signed journal says of it, its rows."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from mcp_server.campaign.attempt import read
from mcp_server.campaign.bench import Readable
from mcp_server.community.settings import Places
from mcp_server.ledger import posts
from mcp_server.ledger.foreign import UNUSABLE, Foreign
from mcp_server.nouns.errors import NotNow, UnknownExperiment
from mcp_server.nouns.exchanged import SHORT
from mcp_server.views.paper import seal
from mcp_server.views.paper.figures import figures
from mcp_server.views.paper.material import Material, Scope, collect
from mcp_server.views.paper.placeholders import Values, fill
from mcp_server.views.paper.values import row, values_of
from mcp_server.views.paper.writing import written
from mcp_server.views.report import rendered

LARGEST_FILE = 8_000_000  # bytes
MOST_TOLD = 8
_ROW = re.compile(r"\| #(\d{1,7}) \|")
COLUMNS = 9


@dataclass(frozen=True)
class Paper:
    """A sealed paper. figures: SVG by file name."""

    text: str
    figures: dict[str, str]
    of: Material

    @property
    def digest(self) -> str:
        return (seal.seal_of(self.text) or ("", ""))[1]

    @property
    def tells(self) -> list[int]:
        """What a journal's entry about it names: its keeps, else what failed the farthest from the noise."""
        kept = sorted(self.of.found.kept, key=lambda one: -(one.gain or 0.0))
        failed = sorted(self.of.found.failed, key=lambda one: -abs(one.widths or 0.0))
        return [one.number for one in (kept or failed)[:4]]


def make(lab: Readable, scope: Scope, discussion: str) -> Paper:
    """Write it, and remember that this lab did. Raises NotNow for a typed number, AutoresearchError, OSError."""
    of = collect(lab, scope)
    values = values_here(of)
    drawn = figures(of)
    text = written(of, values, fill(discussion, values) if discussion else "", drawn.keys())
    paper = Paper(seal.sealed(text, of.found.campaign.tag, drawn), drawn, of)
    seal.keep(lab.paths.state, paper.text, drawn)
    return paper


def values_here(of: Material) -> Values:
    """What its placeholders stand for; the year is that of the last decision, so that no clock has a say."""
    stamps = [one.experiment.decided_at or "" for one in of.told.values()]
    return values_of(of, int(max(stamps)[:4] or 0))


def html(text: str, drawn: Mapping[str, str]) -> str:
    """The paper as one file that needs no other."""
    inside = {
        name: "data:image/svg+xml;base64," + base64.b64encode(svg.encode()).decode() for name, svg in drawn.items()
    }
    title = re.sub(r"\\(.)", r"\1", text.partition("\n")[0].removeprefix("# "))
    return rendered(text, inside, title, "paper.html")


# --- checking ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Checked:
    """What became of a check. vouched: by whom; "" by nobody. problems: why it is refused; none where it is whole."""

    digest: str
    campaign: str
    vouched: str
    problems: tuple[str, ...]


def check(lab: Readable, path: Path) -> Checked:
    """Whether a paper says what was written. Raises NotNow where the file cannot be read as one."""
    if path.suffix.lower() == ".pdf":
        raise NotNow("A PDF cannot be checked. Check the paper.md or paper.html it was printed from.")
    try:
        raw = path.read_bytes()
        text = raw.decode("utf-8").replace("\r\n", "\n") if len(raw) <= LARGEST_FILE else ""
    except (OSError, UnicodeDecodeError) as error:
        raise NotNow(f"{path.name} cannot be read: {error}. Name the paper's Markdown or HTML file.") from None
    page = text.lstrip()[:15].lower().startswith("<!doctype html")
    found = _seal_in_page(text) if page else seal.seal_of(text)
    if found is None:
        said = "it ends with no seal of autoresearch, so nothing in it can be held against a ledger"
        return Checked("", "", "", (said,))
    campaign, digest = found
    original = seal.kept(lab.paths.state, digest)
    vouched = "this lab" if original is not None else _signed(lab, digest)
    problems = list(_problems(text, page, original, vouched))
    if not page:
        problems += _figures_beside(path, text)
        problems += _rows(lab, campaign, text, vouched)
    return Checked(digest, campaign, vouched, tuple(dict.fromkeys(problems))[:MOST_TOLD])


def _seal_in_page(text: str) -> tuple[str, str] | None:
    found = re.search(r"<code>(autoresearch-paper 1 [^<]{1,140})</code>", text)
    return seal.seal_of(f"\n`{found[1]}`\n") if found else None


def _problems(text: str, page: bool, original: tuple[str, dict[str, str]] | None, vouched: str) -> Iterator[str]:
    """Text against its seal, and against what this lab wrote under it."""
    if original is not None:
        yield from seal.differences(text, html(*original) if page else original[0])
    elif page:
        yield "an HTML page can be checked by the lab that wrote it alone; check the paper.md"
    elif not seal.intact(text):
        yield "its text is not what its seal was made for: something was changed after it was written"
    if not vouched:
        yield "nobody vouches for it: this lab did not write it, and no lab's signed journal names it"


def _signed(lab: Readable, digest: str) -> str:
    """The post of a signed journal that names the paper; "" where there is none."""
    places = Places.of(lab.paths.state)
    if not places.records.exists():
        return ""
    try:
        foreign = Foreign(places.records)
        try:
            told = [one for one in posts.posts(foreign) if f"sha256:{digest}" in one.post.text]
        finally:
            foreign.close()
    except UNUSABLE:
        return ""
    return f"{told[0].lab[:SHORT]}/p{told[0].post.p}" if told else ""


def _figures_beside(path: Path, text: str) -> Iterator[str]:
    """Figures that lie beside it; one that is missing says nothing wrong."""
    for name, digest in seal.figures_of(text).items():
        beside = path.parent / name
        if beside.is_file() and seal.digest_of(beside.read_bytes().decode("utf-8", "replace")) != digest:
            yield f"{name} beside it is not the figure that was drawn"


def _rows(lab: Readable, campaign: str, text: str, vouched: str) -> Iterator[str]:
    """Every row of a record against the ledger, for a campaign of this lab."""
    if vouched not in ("this lab", ""):
        return  # of another lab: its campaign may have a name that one of ours has too
    with lab.reading_all() as bench:
        if bench.ledger.campaign(campaign) is None:
            return
        for number, line in enumerate(text.splitlines(), 1):
            found = _ROW.match(line)
            if found is None or len(re.findall(r"(?<!\\)\|", line)) != COLUMNS + 1:
                continue
            try:
                told = row(read(bench.ledger, bench.ledger.experiment(campaign, int(found[1]))))
            except UnknownExperiment:
                yield f"line {number}: the ledger has no #{found[1]}"
                continue
            if told != line:
                yield from (f"line {number}, against the ledger: {one}" for one in _apart(line, told))


def _apart(line: str, told: str) -> Iterator[str]:
    """Cells that differ."""
    here, there = (re.split(r"(?<!\\)\|", one) for one in (line, told))
    for ours, theirs in zip(here, there, strict=False):
        if ours != theirs:
            yield f"“{ours.strip()}” is {theirs.strip() or 'empty'}"
