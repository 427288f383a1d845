"""The page of all labs: what it says of each, that it changes none, who may ask it, and a walk in a real browser."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from starlette.routing import Mount
from starlette.testclient import TestClient

from mcp_server.campaign.reins.hands import Reins
from mcp_server.campaign.trees import company
from mcp_server.dashboard import labs as page_of_all
from mcp_server.dashboard.app import HERE, cookie_name
from mcp_server.dashboard.glance import Card, Glance, State, phase_of, state_of
from mcp_server.dashboard.labs import AllLabs, all_labs_app
from mcp_server.dashboard.reins import page_token
from mcp_server.lab import Lab, utc_now
from mcp_server.nouns.records import RunState
from mcp_server.personal.labs import MOST, introduce, known_labs
from tests.dashboard.pages import CHROMIUM, QUIET, Agent, Heard, serving, stop
from tests.labs import begun, edit, finish, make_lab, until

TOKEN, PORT = "t" * 40, 8786
ORIGIN = f"http://127.0.0.1:{PORT}"
FIRST_PAINT = 300_000  # bytes
FRONT = "metrics: {loss: {direction: minimize}, knob: {direction: minimize}}\n"


def joined(lab: Lab) -> Lab:
    introduce(lab.paths, utc_now())
    return lab


def glance_of(lab: Lab) -> Glance:
    joined(lab)
    return Glance(next(one for one in known_labs() if one.common == lab.paths.common), utc_now)


def files_of(lab: Lab) -> dict[str, tuple[int, int]]:
    """Every file of the repository with when it was written, and how long it is."""
    found = [Path(place) / name for place, _, names in os.walk(lab.paths.tree) for name in names]
    return {str(file): (file.lstat().st_mtime_ns, file.lstat().st_size) for file in found}


# --- one lab at a glance ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("told", "phases", "state"),
    [
        ({}, ["waiting", "training"], State.RUNNING),
        ({"paused": "by a person"}, ["training"], State.RUNNING),
        ({}, ["queued", "ended"], State.ENDED),
        ({}, ["died"], State.DIED),
        ({}, ["waiting"], State.QUEUED),
        ({"paused": "by a person"}, ["queued"], State.PAUSED),
        ({"to_decide": [3]}, ["field"], State.DECIDE),
        ({"over": "3 experiments"}, [], State.OVER),
        ({"over": "3 experiments", "to_decide": [3]}, [], State.DECIDE),
        ({}, ["field"], State.FIELD),
        ({}, [], State.IDLE),
        ({"campaign": ""}, [], State.BARE),
    ],
)
def test_the_word_for_a_lab_follows_from_its_runs_and_then_from_why_nothing_runs(
    told: dict[str, Any], phases: list[str], state: State
) -> None:
    card = Card(**{"key": "lab-1", "name": "lab", "folder": "~/lab", "campaign": "first", **told})
    assert state_of(card, phases) is state


def test_where_a_run_is_follows_from_its_files() -> None:
    assert phase_of(RunState.RUNNING, True, True, False, "training") == "training"
    assert phase_of(RunState.QUEUED, True, False, False, None) == "starting"
    assert phase_of(RunState.RUNNING, False, True, True, None) == "ended"
    assert phase_of(RunState.RUNNING, False, True, False, None) == "died"
    assert phase_of(RunState.QUEUED, False, False, False, None) == "queued"
    assert phase_of(RunState.PENDING, False, False, False, None) == "field"


def test_a_look_changes_nothing_and_says_what_lies_there_for_the_next_verb(tmp_path: Path) -> None:
    lab = begun(make_lab(tmp_path / "lab"))
    lab.commit_or_revert(1)
    Reins(lab).add_idea("try four, then five")
    edit(lab, KNOB=2.0)
    number = lab.run_experiment("halfway").experiment
    with lab.reading() as (bench, campaign, _):
        folder = bench.paths.run(campaign.tag, number, 1)
    lab.close()  # nobody is there any more
    until(lambda: folder.result.exists())
    glance = glance_of(lab)
    until(lambda: glance.look().state is State.ENDED)
    before = files_of(lab)
    now, card = glance.look(), glance.card
    assert files_of(lab) == before
    assert not (lab.paths.state / "lab.db-wal").exists()
    assert (now.attended, now.runs, now.problems[0][:27]) == (False, [], "A run of experiment 2 has e")
    assert (card.campaign, card.best, card.experiments, card.kept, card.last) == ("first", 4.0, 2, 0, 2)
    assert (card.ideas, card.ideas_waiting, card.curve) == (["try four, then five"], 1, [[1, 4.0]])
    with company.attending(lab.paths.state):
        assert glance.look().attended
    finish(lab, number)
    assert glance.look().state is State.DECIDE
    assert lab.commit_or_revert(number).decision == "kept"
    assert glance.look().state is State.IDLE
    card = glance.card
    assert (card.best, card.claimed_gain, card.kept) == (1.0, 3.0, 1)
    assert [(one.kind, one.experiment) for one in card.events] == [("keep", 2), ("decision", 1)]
    lab.close()


def test_what_a_person_or_a_rule_stopped_is_told_and_a_row_of_crashes_too(tmp_path: Path) -> None:
    lab = begun(make_lab(tmp_path / "lab", more="stop: {experiments: 3}\n"))
    lab.commit_or_revert(1)
    Reins(lab).pause("until noon")
    glance = glance_of(lab)
    assert glance.look().state is State.PAUSED
    assert "until noon" in glance.card.paused
    Reins(lab).resume()
    for turn in range(2):
        (lab.paths.tree / "train.py").write_text(f"raise SystemExit({turn + 1})\n")
        number = lab.run_experiment(f"crash {turn}").experiment
        finish(lab, number)
        lab.commit_or_revert(number)
    assert glance.look().state is State.OVER
    assert "3 experiments" in glance.card.over
    assert "The last 2 experiments have no score (crashed)." in glance.card.problems
    lab.close()


def test_a_ledger_of_another_version_is_said_and_left_as_it_is(tmp_path: Path) -> None:
    lab = joined(begun(make_lab(tmp_path / "lab")))
    lab.close()
    [known] = known_labs()
    for version, said in ((3, "brings it up to date"), (999, "upgrade autoresearch")):
        with closing(sqlite3.connect(lab.paths.ledger)) as db:
            db.execute(f"PRAGMA user_version = {version}")
        glance = Glance(known, utc_now)
        assert glance.look().state is State.SHUT
        assert said in glance.card.problems[0]
        with closing(sqlite3.connect(lab.paths.ledger)) as db:
            assert db.execute("PRAGMA user_version").fetchone() == (version,)


# --- the app ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def site(tmp_path: Path) -> Iterator[tuple[Lab, AllLabs, TestClient]]:
    lab = joined(begun(make_lab(tmp_path / "lab")))
    labs = AllLabs()
    app = all_labs_app(labs, TOKEN, PORT)
    yield lab, labs, TestClient(app, base_url=ORIGIN, cookies={cookie_name(PORT): TOKEN})
    labs.close()
    lab.close()


def test_each_labs_own_page_is_served_below_and_its_reins_alone_take_a_post(
    site: tuple[Lab, AllLabs, TestClient],
) -> None:
    lab, labs, client = site
    [key] = json.loads(labs.news(None)[1]["labs"])["keys"]
    at = f"/lab/{key}"
    assert "← all labs" in client.get(f"{at}/").text
    assert client.get(f"{at}/experiments/1").json()["page"]["row"]["experiment"] == 1
    assert "on" not in client.get(f"{at}/front").json()  # the arena has one primary metric
    assert "Campaigns compared" in client.get(f"{at}/compare").text
    ours = {"origin": ORIGIN, "x-autoresearch-page": page_token(TOKEN)}
    refused = [
        client.post(f"{at}/reins", json={"verb": "pause"}),
        client.post(f"{at}/reins", json={"verb": "pause"}, headers={**ours, "origin": "http://evil.example"}),
        TestClient(client.app, base_url=ORIGIN).post(f"{at}/reins", json={"verb": "pause"}, headers=ours),
        TestClient(client.app, base_url=ORIGIN).get("/"),
    ]
    assert [answer.status_code for answer in refused] == [403, 403, 401, 401]
    assert client.post(f"{at}/reins", json={"verb": "pause"}, headers=ours).json()["done"].startswith("Paused")
    assert lab.lab_status().paused
    for route in client.app.routes:  # type: ignore[attr-defined]
        inner = route.routes if isinstance(route, Mount) and route.path.startswith("/lab") else [route]
        for one in inner:
            assert one.path == "/reins" or (getattr(one, "methods", None) or set()) <= {"GET", "HEAD"}, one


def test_a_lab_that_is_gone_is_told_and_one_that_was_moved_is_followed(
    site: tuple[Lab, AllLabs, TestClient], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lab, labs, client = site
    monkeypatch.setattr(page_of_all, "LOOK_SECONDS", 0.0)
    monkeypatch.setattr(page_of_all, "LIST_SECONDS", 0.0)
    cursor, told = labs.news(None)
    [key] = json.loads(told["labs"])["keys"]
    lab.close()
    lab.paths.tree.rename(tmp_path / "moved")
    cursor, told = labs.news(cursor)
    [gone] = json.loads(told["labs"])["gone"]
    assert (gone["key"], gone["name"], "moved" in gone) == (key, "lab", False)
    page = client.get(f"/lab/{key}/", headers={"accept": "text/html"})
    assert (page.status_code, "any more" in page.text, "To the labs that are" in page.text) == (404, True, True)
    assert client.get(f"/lab/{key}/events").status_code == 404
    assert client.get("/lab/never-was-there/front").json()["error"].startswith("There is no lab")
    joined(Lab(tmp_path / "moved"))
    _, told = labs.news(cursor)
    listed = json.loads(told["labs"])
    assert listed["gone"][0]["moved"].endswith("/moved")
    assert listed["gone"][0]["moved_key"] in listed["keys"]
    assert not [name for name in labs.news(None)[1] if name.endswith(key)]  # who comes now hears nothing of its past


def test_all_labs_that_are_remembered_are_told_in_less_than_a_first_visit_may_take(
    site: tuple[Lab, AllLabs, TestClient],
) -> None:
    _, labs, client = site
    told = labs.news(None)[1]
    key = json.loads(told["labs"])["keys"][0]
    words, number = "x" * 180, [123456, -1234.567891]
    event = {"at": "2026-03-01T12:00:00.000+00:00", "kind": "decision", "words": words, "experiment": 123456}
    long = {
        **dict.fromkeys(("key", "name", "folder", "campaign", "metric", "unit"), "x" * 40),
        **dict.fromkeys(("goal", "front"), "x" * 110),
        **dict.fromkeys(("best", "baseline", "claimed_gain", "honest_gain"), -1234.567891),
        **{"curve": [number] * 32, "events": [event] * 3, "ideas": ["x" * 110] * 2, "problems": [words]},
    }
    card = len(json.dumps(Card(**long).model_dump())) + len(told[f"now/{key}"]) + 100
    named = ("labs.js", "labs.css", "dom.js", "live.js", "page.css", "icon.svg")
    sent = sum(int(client.get(path).headers["content-length"]) for path in ("/", "/palette.css"))
    sent += sum((HERE / "static" / name).stat().st_size for name in named)
    assert len(told[f"lab/{key}"]) < card
    assert sent + MOST * card < FIRST_PAINT


# --- a walk -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def watched() -> Iterator[tuple[Any, Heard]]:
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed: pip install playwright")
    if CHROMIUM is None:
        pytest.skip("chromium is not installed: apt-get install chromium")
    heard = Heard()
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, headless=True, args=QUIET)
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        page.set_default_timeout(120_000)
        page.on("console", lambda said: heard.complaints.append(said.text) if said.type == "error" else None)
        page.on("pageerror", lambda error: heard.complaints.append(str(error)))
        page.on("request", lambda request: heard.requests.append(request.url))
        yield page, heard
        browser.close()


def test_a_walk_through_the_page_of_all_labs(watched: tuple[Any, Heard], tmp_path: Path) -> None:
    """Labs join, run, lose their server and get another, are paused on their own page, are moved and deleted."""
    from tests.dashboard.test_page import serious_violations  # it is skipped where axe is not installed

    page, heard = watched
    (tmp_path / "nowhere").mkdir()
    with serving(tmp_path / "nowhere") as served:  # outside of any repository: all labs
        page.goto(served.link)
        page.wait_for_selector("#none:not([hidden])")
        first = begun(make_lab(tmp_path / "night", more=FRONT))
        second = joined(begun(make_lab(tmp_path / "other")))
        agent = Agent(first.paths.tree)
        agent.call("lab_status")  # a server that opened the lab has it join
        night, other = ("[data-key^='night-']", "[data-key^='other-']")
        page.wait_for_selector(f".lab{night}:has-text('a server is here')")
        page.wait_for_selector(f".lab{other}:has-text('no server')")
        assert page.inner_text("#summary") == "2 labs · 0 running"
        assert page.title() == "All labs · autoresearch"
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme=scheme)
            assert serious_violations(page) == []
        first.commit_or_revert(1)
        edit(first, KNOB=2.0, SECONDS=600.0)
        agent.call("run_experiment", description="a <b>long</b> one", wait_seconds=0)
        page.wait_for_selector(f".lab{night}:has-text('1 on the front of loss and knob')")
        page.wait_for_selector(f".lab{night}[data-state=running] progress")
        said = page.inner_text(f".lab{night} .now")
        assert "#2 a <b>long</b> one" in said
        assert "cpu · since" in said
        page.wait_for_selector(f".lab{night}:has-text('any-client, since')")
        agent.end(signal.SIGKILL)
        page.wait_for_selector(f".lab{night}:has-text('no server: what runs goes on')")
        assert page.get_attribute(f".lab{night}", "data-state") == "running"
        agent = Agent(first.paths.tree)
        agent.call("lab_status")
        page.wait_for_selector(f".lab{night}:has-text('a server is here')")
        # its own page, behind the same link: what is done there shows on the page of all
        page.click(f".lab{night} .now a")
        page.wait_for_selector("#experiment-body .facts")
        page.keyboard.press("Escape")
        page.wait_for_selector("#front-table tbody tr")
        assert page.evaluate("document.querySelector('#front').decode().then(() => true)")
        page.wait_for_selector("#running .cancel")
        page.click("#running .cancel")
        page.click("#pause")
        page.wait_for_selector("#paused:not([hidden])")
        page.click("text=← all labs")
        page.wait_for_selector(f".lab{night} .notice:has-text('A person paused the campaign')")
        until(lambda: first.read_score(2).status == "cancelled")
        agent.end()
        first.commit_or_revert(2)
        page.wait_for_selector(f".lab{night}[data-state=paused]")
        second.close()
        shutil.rmtree(tmp_path / "other")
        page.wait_for_selector(f"#gone li{other}:has-text('other was in')")
        assert page.query_selector(f".lab{other}") is None
        first.close()
        (tmp_path / "night").rename(tmp_path / "day")
        joined(Lab(tmp_path / "day"))
        page.wait_for_selector(f"#gone li{night}:has-text('it is now in') a")
        page.wait_for_selector(".lab[data-key^='day-'][data-state=paused]")
        stop(served, signal.SIGINT)
        assert served.process.returncode == 0
        page.wait_for_selector("#link[data-state=lost]")
    allowed = "net::ERR_CONNECTION_REFUSED", "net::ERR_INCOMPLETE_CHUNKED_ENCODING", "net::ERR_CONNECTION_RESET"
    assert [said for said in heard.complaints if not any(word in said for word in allowed)] == []
    assert heard.strangers(served.origin) == []
