"""A broken or hostile lab beside a good one: what lies in its folder is said or left out, and the good one is shown."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from mcp_server.dashboard import labs as page_of_all
from mcp_server.dashboard.labs import HANGS, AllLabs
from mcp_server.lab import Lab, utc_now
from mcp_server.personal.labs import introduce
from tests.dashboard.pages import CHROMIUM, QUIET, Heard, serving
from tests.labs import begun, edit, finish, make_lab, until

HOSTILE = "<img src=x onerror=\"document.title='owned'\"><script>document.title='owned'</script>"


def sql(*words: str) -> Callable[[Lab], None]:
    def write(lab: Lab) -> None:
        with closing(sqlite3.connect(lab.paths.ledger)) as db:
            for one in words:
                db.execute(one)
            db.commit()

    return write


def ledger(content: bytes) -> Callable[[Lab], None]:
    return lambda lab: lab.paths.ledger.write_bytes(content) and None


def cut(lab: Lab) -> None:
    os.truncate(lab.paths.ledger, lab.paths.ledger.stat().st_size // 2)


def no_folder(lab: Lab) -> None:
    lab.paths.ledger.unlink()
    lab.paths.ledger.mkdir()


def nested(lab: Lab) -> None:
    (lab.paths.state / "sessions").mkdir(exist_ok=True)
    (lab.paths.state / "sessions" / "deep").write_text("[" * 200_000)
    (lab.paths.state / "attended.lock").mkdir()


def rule(words: str) -> Callable[[Lab], None]:
    return sql(f"UPDATE programs SET text = '{words}'")


BROKEN = {
    "a ledger of noise": ledger(b"\x00\xff" * 4096),
    "an empty ledger": ledger(b""),
    "half a ledger": cut,
    "a folder for a ledger": no_folder,
    "no name": sql("DELETE FROM lab"),
    "no tables": sql("ALTER TABLE experiments RENAME TO other", "DROP TABLE IF EXISTS events"),
    "scores that are no numbers": sql("UPDATE runs SET score = 9e999"),
    "results that are no JSON": sql("UPDATE runs SET result = '{'"),
    "results of another kind": sql("UPDATE runs SET result = '[1]'"),
    "rules that are no YAML": rule("---\n: : [\n---\n"),
    "rules of nested lists": rule("---\ngoal: " + "[" * 5000 + "\n---\n"),
    "times that are no times": sql("UPDATE experiments SET opened_at = 'yesterday'"),
    "a lock that is a folder": nested,
}


@contextmanager
def beside(folder: Path) -> Iterator[tuple[Lab, AllLabs]]:
    """A good lab that is closed, and the page of all."""
    for name in ("good", "bad"):
        lab = begun(make_lab(folder / name))
        introduce(lab.paths, utc_now())
        lab.close()
    labs = AllLabs()
    yield lab, labs
    labs.close()


def told(labs: AllLabs) -> dict[str, dict[str, Any]]:
    """The labs that are shown, by folder name: card and now in one."""
    parts = {name: json.loads(text, parse_constant=pytest.fail) for name, text in labs.news(None)[1].items()}
    keys = [key for key in parts["labs"]["keys"] if f"now/{key}" in parts]
    return {key.rpartition("-")[0]: {**parts[f"now/{key}"], "card": parts[f"lab/{key}"]} for key in keys}


def both(labs: AllLabs) -> dict[str, dict[str, Any]]:
    """Once both are told."""
    found: dict[str, dict[str, Any]] = until(lambda: len(seen := told(labs)) == 2 and seen)
    return found


@pytest.mark.parametrize("what", list(BROKEN))
def test_whatever_lies_in_a_labs_folder_the_others_are_shown(what: str, tmp_path: Path) -> None:
    with beside(tmp_path) as (bad, _):
        BROKEN[what](bad)
        with closing(AllLabs()) as labs:
            found: dict[str, dict[str, Any]] = until(lambda: "good" in (seen := told(labs)) and seen)
            assert found["good"]["state"] == "idle"
            assert len(json.dumps(found)) < 10_000
            if found.get("bad", {}).get("state") == "cannot be read":
                assert found["bad"]["card"]["problems"]


def test_a_lab_that_does_not_answer_keeps_nobody_waiting_and_is_read_again_when_it_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("LOOK_SECONDS", "LIST_SECONDS"):
        monkeypatch.setattr(page_of_all, name, 0.0)
    monkeypatch.setattr(page_of_all, "HANG_SECONDS", 1.0)
    with beside(tmp_path) as (bad, labs):
        assert {one["state"] for one in both(labs).values()} == {"idle"}
        monkeypatch.setattr("mcp_server.ledger.store.BUSY_SECONDS", 300.0)
        with closing(sqlite3.connect(bad.paths.ledger, isolation_level=None)) as db:
            # somebody holds it for themselves, and whoever reads it waits, as for a disk that is gone
            db.execute("PRAGMA locking_mode = EXCLUSIVE")
            db.execute("UPDATE programs SET text = text")
            until(lambda: told(labs)["bad"]["state"] == "does not answer")
            assert told(labs)["bad"]["problems"] == [HANGS]
            with closing(Lab(tmp_path / "good")) as good:
                edit(good, KNOB=2.0)
                number = good.run_experiment("the good one goes on").experiment
                until(lambda: told(labs)["good"]["card"]["experiments"] == 2)
                finish(good, number)
        until(lambda: told(labs)["bad"]["state"] == "idle")


def test_words_of_a_lab_are_shown_as_words_and_its_name_leads_nowhere_else(tmp_path: Path) -> None:
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed: pip install playwright")
    if CHROMIUM is None:
        pytest.skip("chromium is not installed: apt-get install chromium")
    with beside(tmp_path) as (bad, _):
        bad.close()
    sql(
        f"UPDATE programs SET text = replace(text, 'bring KNOB to three', '{HOSTILE.replace(chr(39), chr(34))}')",
    )(bad)
    folder = tmp_path / '"><img src=x onerror=alert(1)>\u202e..%2f'
    shutil.move(bad.paths.tree, folder)
    with closing(Lab(folder)) as moved:
        introduce(moved.paths, utc_now())
    heard = Heard()
    (tmp_path / "nowhere").mkdir()
    with serving(tmp_path / "nowhere") as served, sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, headless=True, args=QUIET)
        page = browser.new_page()
        page.set_default_timeout(120_000)
        page.on("console", lambda said: heard.complaints.append(said.text) if said.type == "error" else None)
        page.on("request", lambda request: heard.requests.append(request.url))
        page.goto(served.link)
        page.wait_for_selector(".lab:has-text('onerror=alert') .goal:has-text('<script>')")
        page.wait_for_selector("#gone li:has-text('it is now in')")
        assert page.title() == "All labs · autoresearch"
        assert page.query_selector(".lab img, .lab script, #gone img") is None
        page.click(".lab:has-text('onerror=alert') h2 a")
        page.wait_for_selector("#table tbody tr")
        browser.close()
    assert heard.complaints == []
    assert heard.strangers(served.origin) == []
