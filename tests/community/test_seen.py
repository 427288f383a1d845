"""What people see of a community: the map, claims, the line of the best, a page of results, the graph."""

from __future__ import annotations

import re
import time
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest
from click.testing import CliRunner

from mcp_server.cli import cli
from mcp_server.community.board.reading import support
from mcp_server.community.claims.status import claims, words_of
from mcp_server.community.contract import contract_of
from mcp_server.ledger import shown
from mcp_server.ledger.foreign import Foreign
from mcp_server.ledger.measured import measured
from mcp_server.ledger.shown import Kept, Wanted
from mcp_server.nouns import exchanged
from mcp_server.nouns.attempt import Attempt
from mcp_server.nouns.replies import CommunityReply
from mcp_server.views.browsing import learnings_text
from mcp_server.views.findings import gather
from mcp_server.views.labs.graph import MOST_NODES, layout, svg
from mcp_server.views.labs.lineage import graph
from mcp_server.views.labs.overview import overview, results_page, tried_map
from mcp_server.views.publishing import point_of
from mcp_server.views.report import markdown
from tests.community.past import Past, replace_experiment
from tests.community.town import HOSTILE, lab_id, settle

CONTRACT = "c" * 32
NORTH, SOUTH = lab_id(0), lab_id(1)


def kept(lab: str, n: int, base: int | None = None, gain: float | None = 0.1, adopted: str = "") -> Kept:
    above = f"{lab}/{base}" if base else ""
    role = "attempt" if base or adopted else "baseline"
    names = (adopted,) if adopted else ()
    return Kept(f"{lab}/{n}", lab, n, False, role, above, names, "", "", gain, f"2026-01-0{n}", f"attempt {n}")


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Foreign:
    return settle(tmp_path_factory.mktemp("town") / "records.db", CONTRACT, 8, 120, own=0)


def test_the_best_line_gathers_the_gains_of_its_own_steps_and_names_what_was_adopted() -> None:
    found = graph(
        [
            kept(NORTH, 1, gain=None),
            kept(NORTH, 2, 1, 0.3),
            kept(NORTH, 4, 2, 0.1, adopted=f"{SOUTH}/3"),
            kept(SOUTH, 1, gain=None),
            kept(SOUTH, 3, 1, 0.35),
        ]
    )
    assert found.tips == [f"{NORTH}/4", f"{SOUTH}/3"]
    assert found.line(found.tips[0]) == [f"{NORTH}/1", f"{NORTH}/2", f"{NORTH}/4"]
    assert found.gathered[f"{NORTH}/4"] == pytest.approx(0.4)
    assert found.adopted[f"{NORTH}/4"] == (f"{SOUTH}/3",)


def test_a_direction_that_began_at_another_labs_attempt_goes_on_there() -> None:
    found = graph([kept(NORTH, 1, gain=None), kept(NORTH, 2, 1, 0.3), kept(SOUTH, 1, adopted=f"{NORTH}/2", gain=0.2)])
    assert found.line(f"{SOUTH}/1") == [f"{NORTH}/1", f"{NORTH}/2", f"{SOUTH}/1"]
    assert found.gathered[f"{SOUTH}/1"] == pytest.approx(0.5)


def test_records_that_name_each_other_in_a_circle_or_nothing_at_all_are_drawn_all_the_same() -> None:
    found = graph(
        [
            kept(NORTH, 1, adopted=f"{SOUTH}/3"),
            kept(SOUTH, 1, adopted=f"{NORTH}/1"),
            kept(SOUTH, 3, 1, adopted=f"{NORTH}/1"),
            kept(lab_id(2), 2, 1),
        ]
    )
    assert len(found.kept) == 4
    ElementTree.fromstring(svg(found, {}))


def test_the_map_has_every_constant_by_direction_and_those_nobody_moved(town: Foreign) -> None:
    rows = {row.name: row for row in tried_map(town, CONTRACT)}
    assert {"ROPE_BASE", "DROPOUT"} == {name for name, row in rows.items() if not row.cells}
    cells = {cell.way: cell for cell in rows["MATRIX_LR"].cells}
    assert list(cells) == ["down", "up"]
    tried = sum(cell.tried + cell.failed for cell in cells.values())
    assert tried == shown.results(town, Wanted(CONTRACT, constant="MATRIX_LR"), 0, 1)[0]
    assert {"SL", "other"} & {cell.way for cell in rows["WINDOW_PATTERN"].cells} == {"other"}


def test_a_page_of_results_is_found_by_words_lab_outcome_and_cell(town: Foreign) -> None:
    every = results_page(town, Wanted(CONTRACT), 0, 25)
    assert (every.total, len(every.results)) == (960, 25)
    last = results_page(town, Wanted(CONTRACT), 950, 25)
    assert len(last.results) == 10
    crashed = results_page(town, Wanted(CONTRACT, status="crashed", lab=SOUTH), 0, 200)
    assert crashed.results
    assert {(one.lab, one.status, one.gain) for one in crashed.results} == {(SOUTH[:8], "crashed", None)}
    found = results_page(town, Wanted(CONTRACT, words="weight DECAY 0.1", constant="WEIGHT_DECAY", way="down"), 0, 200)
    assert found.total
    assert all(one.moved == "WEIGHT_DECAY 0.2→0.1" for one in found.results)
    for odd in ('"', "a OR NOT (", "'; DROP TABLE records", "*", "\x00"):
        results_page(town, Wanted(CONTRACT, words=odd), 0, 5)


def test_the_graph_is_a_picture_of_its_own_with_words_and_nothing_foreign_in_it(town: Foreign) -> None:
    names = {row.lab: row.name for row in town.labs()} | {SOUTH: '<script>alert("x")</script>'}
    picture = svg(graph(shown.kept(town, CONTRACT)), names)
    root = ElementTree.fromstring(picture)
    space = "{http://www.w3.org/2000/svg}"
    assert not root.findall(f".//{space}script")
    assert "prefers-color-scheme:dark" in picture
    assert "xlink" not in picture
    assert "http" not in picture.replace("http://www.w3.org/2000/svg", "")
    assert "north (this lab)" in [text.text for text in root.findall(f"{space}text")]
    marks = len(root.findall(f".//{space}circle/{space}title")) + len(root.findall(f".//{space}path/{space}title"))
    assert marks == len(shown.kept(town, CONTRACT))


def test_a_graph_of_thousands_keeps_each_labs_line_and_says_what_is_left_out() -> None:
    records = [kept(lab, n, n - 1 if n > 1 else None) for lab in (NORTH, SOUTH) for n in range(1, 2001)]
    found = graph(records)
    placed = layout(found)
    assert len(placed.nodes) == MOST_NODES
    assert placed.left_out == 4000 - MOST_NODES
    assert set(found.tips) <= placed.nodes.keys()
    assert "3,400 of them not drawn" in svg(found, {})


def test_ten_thousand_attempts_are_shown_at_once(tmp_path: Path) -> None:
    """Ratios of one run: a page of a town a hundred times as large takes no hundred times as long."""
    small = settle(tmp_path / "small.db", CONTRACT, 8, 25)
    large = settle(tmp_path / "large.db", CONTRACT, 8, 1250)

    def taken(foreign: Foreign) -> float:
        rounds = []
        for _ in range(5):
            began = time.process_time()
            results_page(foreign, Wanted(CONTRACT, words="matrix"), 100, 25)
            rounds.append(time.process_time() - began)
        return min(rounds)

    assert taken(large) < 25 * max(taken(small), 0.001)
    found = overview(large, CONTRACT, CommunityReply(joined=""))
    assert len(found.model_dump_json()) < 200_000


def test_the_command_writes_the_graph_and_learnings_and_report_say_what_others_found(tmp_path: Path) -> None:
    north = Past(tmp_path / "north")
    tree = north.lab.paths.tree
    alone = CliRunner().invoke(cli, ["-C", str(tree), "community", "graph"])
    assert alone.exit_code == 1
    assert "join" in alone.output
    with north.lab.reading() as (bench, campaign, arena):
        contract = contract_of(bench.workspace, campaign, arena)
    north.places.folder.mkdir(parents=True)
    settle(north.places.records, contract, 3, 60).close()
    done = CliRunner().invoke(cli, ["-C", str(tree), "community", "graph", "--out", "seen.svg", "--json"])
    assert done.exit_code == 0, done.output
    ElementTree.fromstring((tree / "seen.svg").read_text())
    assert "3 labs" in done.output
    north.lab.lab_status()
    page = (tree / "learnings.md").read_text()
    assert "## From other labs" in page
    assert "does little at this size" in page
    assert page == learnings_text(north.lab)
    north.lab.append_learnings("A lesson of our own.")
    assert len(north.ledger.learnings()) == 1, "what others told is no lesson of ours"
    report = markdown(gather(north.lab), chart=False)
    assert "## What other labs found" in report
    assert HOSTILE not in report


def test_the_site_is_a_folder_of_plain_pages_and_a_feed(tmp_path: Path) -> None:
    north = Past(tmp_path / "north")
    with north.lab.reading() as (bench, campaign, arena):
        contract = contract_of(bench.workspace, campaign, arena)
    north.places.folder.mkdir(parents=True)
    settle(north.places.records, contract, 3, 60, own=0).close()
    tree = str(north.lab.paths.tree)
    done = CliRunner().invoke(cli, ["-C", tree, "community", "site", "public"])
    assert done.exit_code == 0, done.output
    folder = north.lab.paths.tree / "public"
    pages = {path.name: path.read_text() for path in folder.glob("*.html")}
    plain = {"index.html", "map.html", "claims.html", "papers.html", "board.html"}
    assert set(pages) == plain | {"results-1.html", "results-2.html"}
    for name, text in pages.items():
        assert "<script" not in text
        assert "http" not in text.replace("http-equiv", ""), name
        for target in re.findall(r'(?:href|src)="([^"]+)"', text):
            assert (folder / target).exists(), f"{name} leads to {target}"
    assert "this lab" in pages["index.html"]
    assert "&lt;img src=x" in pages["results-2.html"], "words of strangers stay words"
    entries = ElementTree.parse(folder / "feed.atom").getroot().findall("{http://www.w3.org/2005/Atom}entry")
    assert len(entries) == 60
    assert CliRunner().invoke(cli, ["-C", tree, "community", "site", "public"]).exit_code == 0
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "index.html").write_text("mine")
    refused = CliRunner().invoke(cli, ["-C", tree, "community", "site", "../mine"])
    assert refused.exit_code == 1
    assert (tmp_path / "mine" / "index.html").read_text() == "mine"


def test_the_chart_says_from_whom_a_keep_was_adopted(tmp_path: Path) -> None:
    north = Past(tmp_path / "north")
    one = replace_experiment(north.ledger.experiment("first", 1), repeats=f"{SOUTH}/12", description="a longer warm-up")
    point = point_of(Attempt.of(one, north.ledger.runs("first", 1)), 1.0)
    assert (point.adopted, point.label) == ("22222222/12", "22222222/12: a longer warm-up")


def test_claims_are_shown_with_what_others_got_of_them(tmp_path: Path) -> None:
    foreign = Foreign(tmp_path / "records.db")
    plain = {"contract": CONTRACT, "code": "1" * 32, "edit": "e" * 32, "at": "2026-01-01T00:00:00Z", "status": "kept"}
    measured_so = {"score": 0.9, "against": 1.0, "gain": 0.1, "low": 0.05, "high": 0.15}
    first = exchanged.Attempt(n=2, mark="1" * 16, text="the winner", **plain, **measured_so)
    again = exchanged.Attempt(n=7, mark="2" * 16, text="repeated", of=f"{NORTH}/2", **plain, **measured_so)
    with foreign.writing():
        foreign.take(NORTH, "0" * 40, [(first, ())], [], name="north")
        foreign.take(SOUTH, "1" * 40, [(again, ())], [], name="south")
    judged = claims(measured(foreign, CONTRACT))
    found = overview(foreign, CONTRACT, CommunityReply(joined=""), judged)
    (claim,) = found.claims
    assert (claim.name, claim.status, claim.text) == (f"{NORTH[:8]}/2", "replicated", "the winner")
    assert "1 of 1 labs" in claim.record
    assert found.records[NORTH[:8]] == "claims: 1 replicated"
    picture = svg(graph(shown.kept(foreign, CONTRACT)), {}, {one.name: str(one.status) for one in judged})
    assert "replicated" in picture
    assert "[replicated 1 of 1 labs" in support(foreign, [f"{NORTH}/2"], {one.name: words_of(one) for one in judged})[0]
    foreign.close()
