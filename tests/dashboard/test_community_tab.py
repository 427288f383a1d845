"""The community's tab of the live page in a real browser, on a lab that knows eight others."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import CliRunner

from mcp_server.cli import cli
from mcp_server.community.contract import contract_of
from mcp_server.community.settings import Places, Settings, write_settings
from mcp_server.community.trust import Role, Trust, write_trust
from mcp_server.ledger.foreign import Foreign
from tests.community.town import HOSTILE, settle, tell_of_a_paper
from tests.dashboard.pages import Served, alone, serving
from tests.dashboard.synthetic import campaign_of
from tests.dashboard.test_page import DESKTOP, a_tab, opened_page, serious_violations
from tests.dashboard.test_page import browser as browser
from tests.dashboard.test_page import profile as profile
from tests.dashboard.test_page import pytestmark as pytestmark
from tests.dashboard.test_page import tab as tab


def settled(folder: Path, each: int) -> None:
    """A lab in `folder` with a short campaign, and eight labs around it."""
    lab = campaign_of(folder, 12)
    with lab.reading() as (bench, campaign, arena):
        contract = contract_of(bench.workspace, campaign, arena)
    places = Places.of(lab.paths.state)
    write_settings(places, Settings(remote="git@example.org:team/journals.git", kind="host", name="north"))
    write_trust(places.trust, Trust(strangers=Role.BUILD))
    settle(places.records, contract, 8, each, own=0).close()
    lab.close()


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """The page of a lab whose community has told of ten thousand attempts."""
    folder = tmp_path_factory.mktemp("town")
    with alone(folder):
        settled(folder / "lab", 1250)
        with serving(folder / "lab") as served:
            yield served


@pytest.fixture(scope="module")
def site(town: Served, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same community as a folder of pages, with a paper that was reviewed."""
    with closing(Foreign(Places.of(town.folder / ".git" / "autoresearch").records)) as foreign:
        tell_of_a_paper(foreign)
    to = tmp_path_factory.mktemp("site") / "public"
    done = CliRunner().invoke(cli, ["-C", str(town.folder), "community", "site", str(to)])
    assert done.exit_code == 0, done.output
    return to


def visit(tab, town: Served):  # type: ignore[no-untyped-def]
    """The tab, drawn; afterwards nobody may have complained and nothing was asked of strangers."""
    pages = opened_page(tab, town)
    page = next(pages)
    page.click("#to-community")
    page.wait_for_selector("#results tbody tr")
    page.wait_for_selector("#line li")
    yield page
    assert next(pages, None) is None


@pytest.fixture
def page(tab, town: Served) -> Iterator[object]:  # type: ignore[no-untyped-def]
    yield from visit(tab, town)


def test_the_tab_shows_labs_map_claims_line_and_results(page) -> None:  # type: ignore[no-untyped-def]
    assert page.get_attribute("#to-community", "aria-current") == "page"
    assert page.is_hidden("#campaign-view")
    labs = page.inner_text("#labs")
    assert "this lab" in labs
    assert "south" in labs
    assert "1,250 attempts" in labs
    assert page.inner_text("#results-found") == "10,000 results"
    assert "gathered in" in page.inner_text("#line-words")
    assert page.query_selector_all("#claims li")
    assert "untouched" in page.inner_text("#map")
    page.click("#to-campaign")
    page.wait_for_selector("#table", state="visible")
    assert page.is_hidden("#community-view")


def test_a_count_of_the_map_shows_its_attempts_and_a_search_those_it_names(page) -> None:  # type: ignore[no-untyped-def]
    page.click("#map tr:has-text('MATRIX_LR') button.cell >> nth=0")
    page.wait_for_selector("#results-found:not(:has-text('10,000'))")
    assert "MATRIX_LR down: show all instead" in page.inner_text("#results-cell")
    words = [row.inner_text() for row in page.query_selector_all("#results tbody tr")]
    assert all("MATRIX_LR 0.04→0.03" in one for one in words)
    page.click("#results-cell")
    page.fill("#results-search", "window pattern")
    page.select_option("#results-status", "kept")
    page.wait_for_selector("#results tbody tr:first-child:has(.kept):has-text('window pattern')")
    assert {one.inner_text().split(",")[0] for one in page.query_selector_all("#results .mark")} == {"kept"}


def test_pages_of_results_turn_and_hostile_words_stay_words(page) -> None:  # type: ignore[no-untyped-def]
    first = page.inner_text("#results tbody tr >> nth=0")
    page.click("#results-pager button >> nth=1")
    page.wait_for_selector("#results-pager span:has-text('26 to 50 of 10,000')")
    assert page.inner_text("#results tbody tr >> nth=0") != first
    page.fill("#results-search", "pwned")
    page.wait_for_selector("#results >> text=dataset.pwned")
    assert HOSTILE in page.inner_text("#results")
    assert page.query_selector_all("#results img, #results b, #results script") == []
    assert page.evaluate("document.body.dataset.pwned") is None
    assert page.evaluate("document.getElementsByTagName('*').length") < 4000


def test_the_graph_opens_as_a_picture(page, town: Served) -> None:  # type: ignore[no-untyped-def]
    answer = page.request.get(f"{town.origin}/{page.get_attribute('#graph-link', 'href')}")
    assert answer.headers["content-type"].startswith("image/svg+xml")
    assert answer.headers["content-security-policy"].endswith("sandbox")
    assert "north (this lab)" in answer.text()


@pytest.mark.parametrize(("scheme", "width"), [("light", 1280), ("dark", 375)])
def test_the_site_opens_from_its_folder_and_axe_finds_no_serious_violation(  # type: ignore[no-untyped-def]
    browser, site: Path, scheme: str, width: int
) -> None:
    page = browser.new_page(viewport={"width": width, "height": 800}, color_scheme=scheme)
    for name in ("index", "map", "claims", "papers", "board", "results-1"):
        page.goto((site / f"{name}.html").as_uri())
        assert page.evaluate("document.documentElement.scrollWidth") <= width, name
        assert serious_violations(page) == [], name
    page.goto((site / "papers.html").as_uri())
    assert page.inner_text("h3") == "What the rate is worth"
    assert [one.inner_text() for one in page.query_selector_all("td span")] == ["refuted"]
    page.goto((site / "index.html").as_uri())
    assert page.evaluate("document.querySelector('img').naturalWidth") > 100, "the graph is shown from the folder"
    page.click("text=Results >> nth=0")
    page.wait_for_selector("caption:has-text('10,000 attempts')")
    page.close()


def test_axe_finds_no_serious_violation_and_nothing_scrolls_sideways(page) -> None:  # type: ignore[no-untyped-def]
    assert page.evaluate("document.documentElement.scrollWidth") <= DESKTOP["width"]
    assert serious_violations(page) == []


def test_nor_on_a_phone_in_the_dark(browser, town: Served) -> None:  # type: ignore[no-untyped-def]
    phone = browser.new_context(
        viewport={"width": 375, "height": 900}, color_scheme="dark", has_touch=True, is_mobile=True
    )
    for page in visit(a_tab(phone), town):
        assert page.evaluate("document.documentElement.scrollWidth") <= 375
        assert serious_violations(page) == []
    phone.close()
