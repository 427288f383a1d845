"""The live page in a real browser: what a person sees, on a real lab."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.testclient import TestClient

from mcp_server.dashboard.app import plotly_script
from mcp_server.dashboard.lab import stream
from mcp_server.dashboard.parts import Cursor
from tests.dashboard.pages import CHROMIUM, QUIET, Heard, Served, alone, serving, start, stop
from tests.dashboard.synthetic import campaign_of
from tests.labs import attempt, begun, edit, finish, git, make_lab

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed: pip install playwright")
axe = pytest.importorskip("axe_core_python", reason="axe is not installed: pip install axe-core-python")
pytestmark = [
    pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed: apt-get install chromium"),
    pytest.mark.skipif(plotly_script() is None, reason="plotly is not installed: pip install plotly"),
]
HOSTILE = (
    '<img src=x onerror="document.body.dataset.pwned=1"><script>document.body.dataset.pwned=1</script>'
    "<b>bold</b>{{7*7}} <a href='javascript:document.body.dataset.pwned=1'>click</a>"
)
VIEW = """\
import os, pathlib
drawn = '<svg width="300" height="80"><script>evil()</script><rect width="9" height="9"/></svg>'
(pathlib.Path(os.environ["AUTORESEARCH_VIEW"]) / "view.svg").write_text(drawn)
"""
DESKTOP = {"width": 1280, "height": 900}
PATIENCE = 60_000  # milliseconds; a safety net on a busy machine


@pytest.fixture(scope="module")
def browser() -> Iterator[object]:
    with sync_api.sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=CHROMIUM, headless=True, args=QUIET)
        yield opened
        opened.close()


@pytest.fixture(scope="module")
def night(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """The page of a campaign of 126 experiments; experiment 120 has a hostile name."""
    folder = tmp_path_factory.mktemp("night")
    with alone(folder):
        lab = campaign_of(folder / "lab", 126, {120: HOSTILE})
        lab.append_learnings(HOSTILE, 120, ["<i>tag</i>"])
        with lab.reading() as (bench, campaign, _):
            log = bench.paths.run(campaign.tag, 120, 1).log
        log.parent.mkdir(parents=True)
        log.write_text(f"step 1\n{HOSTILE}\x1b[31m\n")
        lab.close()
        with serving(folder / "lab") as served:
            yield served


@pytest.fixture(scope="module")
def profile(browser) -> Iterator[object]:  # type: ignore[no-untyped-def]
    """A fresh profile that the tests share."""
    inside = browser.new_context(viewport=DESKTOP)
    yield inside
    inside.close()


@pytest.fixture(scope="module")
def tab(profile) -> tuple[object, Heard]:  # type: ignore[no-untyped-def]
    return a_tab(profile)


def a_tab(profile) -> tuple[object, Heard]:  # type: ignore[no-untyped-def]
    """A place for pages, and what is heard of it. What is opened there next is drawn in a fifth of the processor time
    of the first page, for the browser has compiled the chart library there."""
    heard, found = Heard(), profile.new_page()
    found.set_default_timeout(PATIENCE)
    found.on("console", lambda said: heard.complaints.append(said.text) if said.type == "error" else None)
    found.on("pageerror", lambda error: heard.complaints.append(str(error)))
    found.on("request", lambda request: heard.requests.append(request.url))
    return found, heard


@pytest.fixture
def page(tab: tuple[object, Heard], night: Served) -> Iterator[object]:
    yield from opened_page(tab, night)


def opened_page(tab, served: Served) -> Iterator[object]:  # type: ignore[no-untyped-def]
    """A page that has drawn itself; afterwards, nobody may have complained and no request left the origin."""
    found, heard = tab
    found.mouse.move(0, 0)
    heard.complaints.clear()
    heard.requests.clear()
    found.goto(served.link)
    found.wait_for_selector("#table tbody tr")
    found.wait_for_selector("#legend li")  # told when the chart library has drawn
    yield found
    allowed = "net::ERR_CONNECTION_REFUSED", "net::ERR_INCOMPLETE_CHUNKED_ENCODING", "net::ERR_CONNECTION_RESET"
    complaints = [said for said in heard.complaints if not any(word in said for word in allowed)]
    assert complaints == []
    assert heard.strangers(served.origin) == []


def serious_violations(page) -> list[tuple[str, str]]:  # type: ignore[no-untyped-def]
    """Rule and first place of each that axe finds."""
    page.evaluate((Path(axe.__file__).parent / "axe.min.js").read_text(encoding="utf-8"))
    found = page.evaluate("axe.run(document, {resultTypes: ['violations']})")["violations"]
    return [(one["id"], one["nodes"][0]["html"]) for one in found if one["impact"] in ("serious", "critical")]


def leave_the_experiment(page) -> None:  # type: ignore[no-untyped-def]
    """Close the dialog, and wait until it has put address and focus back, which browsers do a moment later."""
    page.keyboard.press("Escape")
    hold(page, "location.hash === ''")


def hold(page, script: str) -> None:  # type: ignore[no-untyped-def]
    """Wait until it is true. The page's own rules forbid the browser's way: it would have to evaluate text there."""
    while not page.evaluate(script):
        page.wait_for_timeout(10)


def centre_of(page, selector: str) -> tuple[float, float]:  # type: ignore[no-untyped-def]
    box = page.query_selector(selector).bounding_box()
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


def test_the_page_loads_with_totals_chart_and_table(page) -> None:  # type: ignore[no-untyped-def]
    page.wait_for_selector("#link[data-state=live]")
    assert page.inner_text("#name") == "first"
    assert "token" not in page.url
    assert "126 experiments" in page.inner_text("#chart-words")
    assert "kept, confirmed" in page.inner_text("#legend")
    assert page.inner_text("#found") == "126 experiments"
    drawn = page.evaluate("document.querySelectorAll('#chart .points path').length")
    assert drawn == 126


def test_the_chart_library_is_asked_for_when_the_table_is_there(tab, night: Served) -> None:  # type: ignore[no-untyped-def]
    tab[0].add_init_script(
        """new MutationObserver((_, watch) => {
          if (!document.querySelector("#table tbody tr")) return;
          watch.disconnect();
          window.rowsAt = performance.now();
        }).observe(document, { childList: true, subtree: true });"""
    )
    pages = opened_page(tab, night)
    page = next(pages)
    library = "performance.getEntriesByType('resource').filter((one) => one.name.endsWith('plotly.min.js'))"
    assert page.evaluate(f"{library}.length") == 1
    assert page.evaluate(f"window.rowsAt < {library}[0].startTime")
    assert next(pages, None) is None


def test_what_takes_longer_to_find_out_follows_what_was_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mcp_server.dashboard.lab.LOOK_SECONDS", 3600.0)  # between looks that found nothing
    tellings = iter([{"rows": "[]"}, {"status": "{}"}])
    left = [True]

    def news(cursor: Cursor | None) -> tuple[Cursor, dict[str, str]]:
        told = next(tellings)
        left[0] = "rows" in told
        return Cursor("a", 1), told

    async def events(request: Request) -> Response:
        return stream(request, news, lambda: not left[0])

    with TestClient(Starlette(routes=[Route("/", events)])) as client:
        heard = client.get("/").text
    assert heard.index("event: rows") < heard.index("event: heard") < heard.index("event: status")


def test_a_filter_and_a_search_leave_the_rows_they_name(page) -> None:  # type: ignore[no-untyped-def]
    page.select_option("#outcome", "crashed")
    words = {cell.inner_text() for cell in page.query_selector_all("#table .mark")}
    assert words == {"crashed"}
    page.select_option("#outcome", "")
    page.fill("#search", "warmdown_ratio schedule")
    rows = page.query_selector_all("#table tbody tr")
    assert rows
    assert all("WARMDOWN_RATIO" in row.inner_text() for row in rows)


def test_sorting_by_score_puts_the_best_first_and_what_has_none_last(page) -> None:  # type: ignore[no-untyped-def]
    page.click("#table th[data-key=score] button")
    page.click("#table th[data-key=score] button")
    assert page.get_attribute("#table th[data-key=score]", "aria-sort") == "ascending"
    scores = [float(cell.inner_text()) for cell in page.query_selector_all("#table tbody td:nth-child(3)")]
    assert scores == sorted(scores)


def test_an_experiment_opens_with_verdict_diff_curve_log_and_the_way_back(page) -> None:  # type: ignore[no-untyped-def]
    page.click("#table tr[data-experiment='126'] td.words")
    page.wait_for_selector("#experiment-body .facts")
    told = page.inner_text("#experiment-body")
    assert "reason" in told
    assert "Training loss" in told
    page.wait_for_selector("#experiment-body .curve .main-svg")
    assert page.query_selector("#experiment-body .diff .added") is not None
    assert "git restore --source refs/autoresearch/first/126 -- train.py" in told
    leave_the_experiment(page)
    assert page.is_hidden("#experiment")


def test_hostile_words_stay_words(page) -> None:  # type: ignore[no-untyped-def]
    assert HOSTILE in page.inner_text("#lessons")
    page.evaluate("location.hash = 'experiment-120'")
    page.wait_for_selector("#experiment-body .facts")
    assert HOSTILE in page.inner_text("#experiment-title")
    assert page.inner_text("#experiment-body").count(HOSTILE) == 2  # in what was learned and in the log
    leave_the_experiment(page)
    page.focus("#chart-frame")
    for _ in range(7):  # from the last experiment back to the hostile one
        page.keyboard.press("ArrowLeft")
    assert HOSTILE in page.inner_text("#tip")
    for place in ("#table", "#tip", "#experiment", "#lessons"):
        assert page.query_selector_all(f"{place} img, {place} script, {place} i") == []
    assert page.evaluate("document.body.dataset.pwned") is None


def test_a_mouse_over_a_mark_tells_what_it_was_and_a_click_opens_it(page) -> None:  # type: ignore[no-untyped-def]
    x, y = centre_of(page, "#chart .subplot.xy .points path >> nth=-1")  # the baseline is drawn last
    page.mouse.move(x - 40, y - 40)
    page.mouse.move(x, y, steps=4)
    page.wait_for_selector("#tip", state="visible")
    told = page.inner_text("#tip")
    assert told.startswith("#1 ")
    assert "kept, baseline" in told
    page.mouse.click(x, y)
    page.wait_for_selector("#experiment-body .facts")
    assert page.url.endswith("#experiment-1")
    assert page.is_hidden("#tip")


def test_a_drag_zooms_into_a_stretch_and_a_button_shows_the_whole_again(page) -> None:  # type: ignore[no-untyped-def]
    frame = page.query_selector("#chart .nsewdrag").bounding_box()
    page.mouse.move(frame["x"] + 0.2 * frame["width"], frame["y"] + 0.05 * frame["height"])
    page.mouse.down()
    page.mouse.move(frame["x"] + 0.4 * frame["width"], frame["y"] + 0.95 * frame["height"], steps=6)
    page.mouse.up()
    page.wait_for_selector("#whole", state="visible")
    hold(page, "document.querySelectorAll('#chart .points path').length < 60")
    page.click("#whole")
    hold(page, "document.querySelectorAll('#chart .points path').length === 126")
    assert page.is_hidden("#whole")


def test_the_way_back_to_an_attempt_is_copied_by_its_button(page, profile, night: Served) -> None:  # type: ignore[no-untyped-def]
    profile.grant_permissions(["clipboard-read", "clipboard-write"], origin=night.origin)
    page.evaluate("location.hash = 'experiment-126'")
    page.wait_for_selector("#experiment-body .command button")
    page.click("#experiment-body .command button >> nth=0")
    page.wait_for_selector("#experiment-body .command button >> text=Copied")
    shown = page.inner_text("#experiment-body .command pre >> nth=0")
    assert page.evaluate("navigator.clipboard.readText()") == shown
    profile.clear_permissions()


def test_the_page_can_be_used_by_keyboard_alone(page) -> None:  # type: ignore[no-untyped-def]
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    reached = set()
    for _ in range(20):
        page.keyboard.press("Tab")
        reached.add(page.evaluate("document.activeElement.id || document.activeElement.tagName"))
    assert {"chart-frame", "search", "outcome", "BUTTON", "A"} <= reached
    page.focus("#chart-frame")
    page.keyboard.press("End")
    page.keyboard.press("ArrowLeft")
    assert page.inner_text("#chart-said").startswith("experiment 125, ")
    page.keyboard.press("Enter")
    page.wait_for_selector("#experiment-body .facts")
    for _ in range(12):  # the rest of the page is out of reach while the experiment is open
        page.keyboard.press("Tab")
        here = page.evaluate("document.activeElement.closest('dialog')?.id ?? document.activeElement.tagName")
        assert here in ("experiment", "BODY")


def test_a_phone_sees_everything_without_scrolling_sideways(browser, night: Served) -> None:  # type: ignore[no-untyped-def]
    phone = browser.new_context(viewport={"width": 375, "height": 740}, has_touch=True, is_mobile=True)
    pages = opened_page(a_tab(phone), night)
    page = next(pages)
    assert page.evaluate("document.documentElement.scrollWidth") <= 375
    page.tap("#table tr[data-experiment='126'] td.words")
    page.wait_for_selector("#experiment-body .facts")
    assert page.evaluate("document.querySelector('dialog').scrollWidth") <= 375
    assert next(pages, None) is None
    phone.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_no_serious_violation(page, scheme: str) -> None:  # type: ignore[no-untyped-def]
    page.emulate_media(color_scheme=scheme)
    for number in (None, 126):
        if number:
            page.evaluate(f"location.hash = 'experiment-{number}'")
            page.wait_for_selector("#experiment-body .facts")
        assert serious_violations(page) == []


def test_a_real_run_is_followed_while_it_runs_and_after_the_server_was_killed(tab, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    lab = make_lab(tmp_path / "lab", more="view: python view.py\n")
    (tmp_path / "lab" / "view.py").write_text(VIEW)
    git(tmp_path / "lab", "add", "view.py")
    git(tmp_path / "lab", "commit", "-qm", "a view")
    begun(lab)
    lab.commit_or_revert(1)
    served = start(tmp_path / "lab")
    pages = opened_page(tab, served)
    try:
        page = next(pages)
        edit(lab, KNOB=2.0, SECONDS=600.0)
        number = lab.run_experiment("a long one").experiment
        page.wait_for_selector(f"#running a[href='#experiment-{number}'], #queue tbody tr")
        page.wait_for_selector("#running article.run progress")
        assert "#2 a long one" in page.inner_text("#running")
        stop(served, signal.SIGKILL)
        page.wait_for_selector("#link:not([data-state=live])")
        lab.cancel_experiment(number)
        finish(lab, number)
        lab.commit_or_revert(number)
        assert attempt(lab, "halfway", KNOB=2.5, SECONDS=0.0).decision == "kept"
        served = start(tmp_path / "lab", served.port)
        page.wait_for_selector("#table tr[data-experiment='3'] .mark.kept")
        page.wait_for_selector("#link[data-state=live]")
        assert page.inner_text("#found") == "3 experiments"
        assert "Nothing" not in page.inner_text("#lessons") or page.query_selector_all("#lessons li")
        lab.append_learnings("halfway is better")
        page.wait_for_selector("#lessons >> text=halfway is better")
        page.evaluate("location.hash = 'experiment-3'")
        page.wait_for_selector("#experiment-body img.view")
        drawn = "document.querySelector('img.view')"
        assert page.evaluate(f"{drawn}.decode().then(() => {drawn}.naturalWidth)") == 300
        assert "Left out of the picture: script" in page.inner_text("#experiment-body")
        policy = page.evaluate(f"fetch({drawn}.src).then((told) => told.headers.get('content-security-policy'))")
        assert "default-src 'none'" in policy
        assert next(pages, None) is None
    finally:
        if served.process.poll() is None:
            stop(served)
        lab.close()


@pytest.mark.parametrize("count", [3_200, pytest.param(10_000, marks=pytest.mark.slow)])
def test_thousands_of_experiments_stay_smooth(tab, tmp_path: Path, count: int) -> None:  # type: ignore[no-untyped-def]
    """A few thousand marks and a page of rows are all a browser ever draws, however long the campaign."""
    campaign_of(tmp_path / "lab", count).close()
    with serving(tmp_path / "lab") as served:
        pages = opened_page(tab, served)
        page = next(pages)
        assert page.inner_text("#found") == f"{count:,} experiments"
        assert page.evaluate("document.querySelectorAll('#chart .points path').length") <= 3000
        assert page.evaluate("document.querySelectorAll('#table tbody tr').length") <= 25
        assert page.evaluate("document.getElementsByTagName('*').length") < 6000
        assert next(pages, None) is None
