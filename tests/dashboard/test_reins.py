"""A person's hand on a campaign, from the page: every button in a real browser, and everybody else kept out."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from mcp_server.dashboard.app import cookie_name, dashboard_app
from mcp_server.dashboard.lab import Feeds
from mcp_server.dashboard.reins import page_token
from mcp_server.lab import Lab
from tests.dashboard.pages import CHROMIUM, QUIET, serving
from tests.labs import begun, edit, git, make_lab, until

TOKEN, PORT = "t" * 40, 8766
ORIGIN = f"http://127.0.0.1:{PORT}"
OURS = {"origin": ORIGIN, "x-autoresearch-page": page_token(TOKEN), "content-type": "application/json"}


@pytest.fixture
def site(tmp_path: Path) -> Iterator[tuple[Lab, TestClient]]:
    lab = begun(make_lab(tmp_path / "lab"))
    feeds = Feeds(lab.paths.tree)
    app = dashboard_app(feeds, TOKEN, PORT)
    yield lab, TestClient(app, base_url=ORIGIN, cookies={cookie_name(PORT): TOKEN})
    feeds.close()
    lab.close()


def post(client: TestClient, wish: dict[str, Any], **headers: str | None) -> Any:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    given = {name: value for name, value in {**OURS, **named}.items() if value is not None}
    return client.post("/reins", content=json.dumps(wish), headers=given)


def test_an_address_names_a_campaign_also_where_the_work_tree_is_on_none(tmp_path: Path) -> None:
    lab = begun(make_lab(tmp_path / "lab"))
    git(lab.paths.tree, "worktree", "add", "-q", "../bare", "main")
    feeds = Feeds(tmp_path / "bare")
    client = TestClient(dashboard_app(feeds, TOKEN, PORT), base_url=ORIGIN, cookies={cookie_name(PORT): TOKEN})
    try:
        assert client.get("/experiments/1?campaign=first").json()["page"]["score"]["score"] == 4.0
        assert "no campaign 'other'" in client.get("/experiments/1?campaign=other").json()["error"]
        assert "on no campaign" in client.get("/experiments/1").json()["error"]
    finally:
        feeds.close()
        lab.close()


def test_only_the_page_itself_may_act(site: tuple[Lab, TestClient]) -> None:
    lab, client = site
    pause = {"verb": "pause"}
    refused = [
        post(client, pause, origin=None),
        post(client, pause, origin="http://evil.example"),
        post(client, pause, origin=f"http://127.0.0.1:{PORT + 1}"),
        post(client, pause, origin="null"),
        post(client, pause, x_autoresearch_page=None),
        post(client, pause, x_autoresearch_page=TOKEN),
        post(client, pause, content_type="text/plain"),
        post(client, pause, content_type="application/x-www-form-urlencoded"),
        post(client, pause, sec_fetch_site="cross-site"),
        post(client, pause, sec_fetch_site="same-site"),
    ]
    assert [answer.status_code for answer in refused] == [403] * len(refused)
    stranger = TestClient(client.app, base_url=ORIGIN)
    assert post(stranger, pause).status_code == 401
    rebound = TestClient(client.app, base_url="http://evil.example:8766", cookies={cookie_name(PORT): TOKEN})
    assert post(rebound, pause).status_code == 400
    assert client.get("/reins").status_code == 405
    assert lab.lab_status().paused == ""
    assert post(client, pause).json()["done"].startswith("Paused")
    assert "A person paused the campaign" in lab.lab_status().paused


def test_what_cannot_be_done_is_said_and_nothing_else_of_the_page_takes_a_post(site: tuple[Lab, TestClient]) -> None:
    _, client = site
    for wish, status in (
        ({"verb": "commit"}, 400), ({"verb": "note", "text": "a" * 3000}, 400), ({"verb": "note"}, 409),
        ({"verb": "pause", "more": 1}, 400), ({"verb": "resume"}, 409), ({"verb": "pin"}, 409),
        ({"verb": "pin", "number": 7}, 409), ({"verb": "cancel", "number": 99}, 404), ({"verb": "withdraw"}, 409),
        ({"verb": "note", "text": "x" * 20_000}, 413),
    ):  # fmt: skip
        answer = post(client, wish)
        assert (answer.status_code, bool(answer.json()["error"])) == (status, True), wish
    for route in client.app.routes:  # type: ignore[attr-defined]
        methods = getattr(route, "methods", None) or set()
        assert route.path == "/reins" or methods <= {"GET", "HEAD"}, route


sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed: pip install playwright")


@pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed: apt-get install chromium")
def test_every_button_does_what_it_says_in_a_browser(tmp_path: Path) -> None:
    lab = begun(make_lab(tmp_path / "lab"))
    with serving(lab.paths.tree) as served, sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, headless=True, args=QUIET)
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        page.set_default_timeout(60_000)
        page.goto(served.link)
        page.click("#pause")
        page.wait_for_selector("#paused:not([hidden])")
        assert "A person paused" in page.inner_text("#paused")
        page.click("#pause")
        page.wait_for_selector("#paused", state="hidden")
        page.fill("#veto-why", "it reads the clock <b>")
        page.click("#veto")
        page.wait_for_selector("#vetoes li")
        assert page.inner_text("#vetoes li") == "The next keep is vetoed: it reads the clock <b>"
        page.fill("#note", "Leave <i>SPREAD</i> alone.")
        page.press("#note", "Enter")
        page.wait_for_selector("#notes-left li")
        assert "waits for the agent's next reply" in page.inner_text("#notes-left li")
        for text in ("try four", "try five"):
            page.fill("#idea", text)
            page.click("#idea-form button")
            page.wait_for_selector(f"#ideas li:has-text('{text}')")
        page.click("#ideas li[data-idea='2'] button:has-text('pin')")
        page.wait_for_selector("#ideas li.pinned:first-child[data-idea='2']")
        page.click("#ideas li[data-idea='1'] button:has-text('park')")
        page.wait_for_selector("#ideas li.parked[data-idea='1']")
        assert lab.lab_status().ideas == ["idea 2 (pinned, by a person): try five"]
        assert lab.notes("claude-code") == ["Leave <i>SPREAD</i> alone."]
        page.wait_for_selector("#notes-left .delivered")
        assert "delivered to claude-code" in page.inner_text("#notes-left li")
        edit(lab, SECONDS=60.0)
        number = lab.run_experiment("idea 2: slow").experiment
        page.wait_for_selector("#running .cancel")
        page.screenshot(path=tmp_path / "reins.png", full_page=True)
        page.click("#running .cancel")
        until(lambda: lab.read_score(number).status == "cancelled")
        browser.close()
    lab.close()
