"""A lab server: labs join it by URL with plain git, and what they push is checked before anybody sees it."""

from __future__ import annotations

import contextlib
import importlib
import json
import subprocess
import threading
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from benchmarks.community.races import at_once, racers
from mcp_server.community.settings import read_settings
from mcp_server.community.wire.store import LABS, LEASES
from mcp_server.hosting.door.tokens import May
from tests.community.past import Past
from tests.community.stranger import QUIET, Stranger
from tests.dashboard.pages import CHROMIUM
from tests.dashboard.test_page import browser as browser
from tests.dashboard.test_page import serious_violations
from tests.hosting.served import Served, serving
from tests.labs import git


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serving(tmp_path_factory.mktemp("served") / "journals") as one:
        yield one


def joined(server: Served, folder: Path, name: str) -> Past:
    lab = Past(folder / name)
    lab.join(server.place(server.token(f"{folder.name}-{name}")), "server")
    return lab


def refs(server: Served) -> dict[str, str]:
    found = git(server.folder, "for-each-ref", "--format=%(refname) %(objectname)").splitlines()
    return dict(line.split(" ") for line in found)


def pushed(stranger: Stranger, place: str, *moves: str) -> str:
    """What a plain git says to a push; "" where all of it was taken."""
    words = ["git", "-C", str(stranger.remote), "push", "--porcelain", place, *moves]
    done = subprocess.run(words, capture_output=True, text=True, env={**QUIET, "GIT_TERMINAL_PROMPT": "0"})
    return "" if done.returncode == 0 else done.stdout + done.stderr


def stranger(folder: Path) -> Stranger:
    """Somebody with a key and a git of their own."""
    git(folder, "init", "-q", "--bare", "own.git")
    return Stranger(folder / "own.git", folder / "stranger")


def test_labs_exchange_through_it_as_through_any_git_host(tmp_path: Path, server: Served) -> None:
    north, south = joined(server, tmp_path, "north"), joined(server, tmp_path, "south")
    north.attempt("kept", "raise it", gain=3.0, score=1.0, KNOB=2.0)
    assert (report := north.exchange()).pushed, report.trouble
    assert south.exchange().received >= 2
    south.attempt("discarded", "lower it", KNOB=0.5)
    assert south.exchange().pushed
    assert north.exchange().received == 2
    assert {lab for lab, *_ in north.table()} == {lab for lab, *_ in south.table()}
    assert {f"{LABS}{lab}" for lab, *_ in north.table()} <= set(refs(server))


def test_join_finds_that_it_is_a_lab_server_and_exchanges_as_often_as_it_bears(tmp_path: Path, server: Served) -> None:
    from mcp_server.community import membership

    lab = Past(tmp_path / "lab")
    place = server.place(server.token("joins"))
    reply = membership.join(lab.workspace, membership.Wishes(place=f"{place}/journals.git"), tmp_path)
    assert reply.sync is not None
    assert not reply.sync.trouble
    settings = read_settings(lab.places)
    assert settings is not None
    assert settings.kind == "server"
    assert "arlab_" not in reply.model_dump_json()


def test_nobody_comes_in_without_a_token_and_no_token_does_more_than_it_may(tmp_path: Path, server: Served) -> None:
    one, reader = stranger(tmp_path), server.token("a-reader", May.READ)
    move = f"{one.journal(one.record())}:{LABS}{one.lab}"
    assert server.ask("/info/refs?service=git-upload-pack")[0] == 401
    assert server.ask("/info/refs?service=git-upload-pack", "arlab_guessed")[0] == 401
    assert server.ask("/info/refs?service=git-upload-pack", reader)[0] == 200
    assert "403" in pushed(one, server.place(reader), move)
    for path in ("/admin/audit", "/admin/tokens"):
        assert server.ask(path, reader)[0] == 403
    assert server.ask("/metrics")[0] == 401
    assert server.ask("/healthz") == (200, b"ok\n")
    assert f"{LABS}{one.lab}" not in refs(server)


def test_a_token_publishes_the_journal_of_one_lab_which_only_grows(tmp_path: Path, server: Served) -> None:
    one, token = stranger(tmp_path), server.token("one-lab")
    place, ref = server.place(token), f"{LABS}{one.lab}"
    first = one.journal(one.record())
    assert pushed(one, place, f"{first}:{ref}") == ""
    second = one.journal(one.record(2), on=first)
    assert pushed(one, place, f"{second}:{ref}") == ""
    assert "non-fast-forward" in pushed(one, place, f"+{first}:{ref}")
    assert "non-fast-forward" in pushed(one, place, f"+{one.journal(one.record(3))}:{ref}"), "another history"
    assert "never taken away" in pushed(one, place, f":{ref}")
    one.key = one.other
    assert "for lab" in pushed(one, place, f"{one.journal(one.record())}:{LABS}{one.lab}")
    assert refs(server)[ref] == second
    relay = server.place(server.token("relay", May.ADMIN))
    assert pushed(one, relay, f"{one.journal(one.record())}:{LABS}{one.lab}") == "", "it is signed, whoever carries it"


@pytest.mark.parametrize("ref", ["refs/heads/main", "refs/tags/x", "refs/autoresearch/forks/x/y", f"{LEASES}short",
                                 f"{LABS}../../heads/x", "refs/autoresearch/labs/abc"])  # fmt: skip
def test_nothing_but_journals_and_leases_is_kept(tmp_path: Path, server: Served, ref: str) -> None:
    one, before = stranger(tmp_path), refs(server)
    token = server.token(f"odd-{abs(hash(ref))}")
    assert pushed(one, server.place(token), f"{one.journal(one.record())}:{ref}") != ""
    assert refs(server) == before


HOSTILE = ["unsigned", "wrong_key", "link", "submodule", "git_folder", "git_folder_in_capitals", "huge_file",
           "two_bases", "another_file", "ten_megabytes_on_a_line", "path_upwards", "no_beginning"]  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_journal_is_refused_at_the_door(tmp_path: Path, server: Served, name: str) -> None:
    one = stranger(tmp_path)
    importlib.import_module(f"tests.community.hostile.{name}").make(one)
    offered = git(one.remote, "for-each-ref", "--format=%(refname)").split()
    before = refs(server)
    said = pushed(one, server.place(server.token(f"hostile-{name}")), *(f"{ref}:{ref}" for ref in offered))
    assert said != ""
    assert refs(server) == before
    audit = json.loads(server.ask("/admin/audit", server.token(f"auditor-{name}", May.ADMIN))[1])["audit"]
    refused = [line for line in audit if line["what"] == "refused" and line["token"] == f"hostile-{name}"]
    assert refused or "rejected" not in said, "a push that its own git would not send was never refused here"


def test_of_any_race_for_a_lease_one_wins_and_only_its_holder_lets_it_go(tmp_path: Path, server: Served) -> None:
    place = server.place(server.token("racers", May.ADMIN))
    with ThreadPoolExecutor(4) as pool, racers(tmp_path, place, 4, kind="server") as labs:
        for code in ("00" * 16, "11" * 16):
            answers = at_once(labs, code, pool)
            assert sum(one["runs"] for one in answers) == 1, answers
    held = json.loads(server.ask("/leases", server.token("looks", May.READ))[1])["leases"]
    assert len(held) == 2
    one, ref = stranger(tmp_path), next(name for name in refs(server) if name.startswith(LEASES))
    place = server.place(server.token("a-thief"))
    assert pushed(one, place, f"{one.journal(one.record())}:{LABS}{one.lab}") == ""
    assert "holds it" in pushed(one, place, f":{ref}")
    assert ref in refs(server)


def test_a_push_beyond_its_size_and_requests_beyond_the_measure_are_refused(tmp_path: Path, server: Served) -> None:
    one = stranger(tmp_path)
    content = bytes(range(256)) * 300
    code = one.code({"train.py": content})
    move = f"{one.journal(one.record(commit=code), brings=[code])}:{LABS}{one.lab}"
    assert "413" in pushed(one, server.place(server.token("small", push_mb=0.0005)), move)
    assert pushed(one, server.place(server.token("large")), move) == ""
    slow = server.token("slow", May.READ, per_second=0.5)
    assert {server.ask("/leases", slow)[0] for _ in range(14)} == {200, 429}


def test_a_token_that_is_revoked_is_worth_nothing_with_the_next_request(server: Served) -> None:
    admin, reader = server.token("boss", May.ADMIN), server.token("leaves", May.READ)
    assert server.ask("/leases", reader)[0] == 200
    assert server.ask("/admin/tokens/leaves", admin, "DELETE")[0] == 204
    assert server.ask("/leases", reader)[0] == 401
    made = server.ask("/admin/tokens", admin, "POST", json.dumps({"name": "comes", "may": "read"}).encode())
    assert made[0] == 201
    assert server.ask("/leases", json.loads(made[1])["token"])[0] == 200
    listed = server.ask("/admin/tokens", admin)[1].decode()
    assert "comes" in listed
    assert json.loads(made[1])["token"] not in listed + (server.folder / "autoresearch" / "tokens.json").read_text()
    bad = server.ask("/admin/tokens", admin, "POST", b'{"name": "x y", "may": "read"}')
    assert bad[0] == 409
    audit = json.loads(server.ask("/admin/audit", admin)[1])["audit"]
    assert {"token made", "token revoked"} <= {line["what"] for line in audit}


def test_the_feed_tells_of_a_push_and_the_pages_and_metrics_show_it(tmp_path: Path, server: Served) -> None:
    north, reader = joined(server, tmp_path, "north"), server.token("follows", May.READ)
    asked = urllib.request.Request(f"{server.url}/events", headers={"Authorization": f"Bearer {reader}"})
    heard: list[str] = []
    with urllib.request.urlopen(asked, timeout=120) as stream:
        assert stream.headers["content-type"].startswith("text/event-stream")
        while "event: heads" not in heard:
            heard.append(stream.readline().decode().strip())
        pusher = threading.Thread(target=north.exchange)
        pusher.start()
        while "event: journal" not in heard:
            heard.append(stream.readline().decode().strip())
        told = json.loads(stream.readline().decode().removeprefix("data: "))
        pusher.join()
    (lab,) = [one for one, n, _, line in north.table() if north.places and one == told["lab"] and n == 1]
    assert (told["lab"], told["attempts"]) == (lab, 1)
    status, page = server.ask("/index.html", reader)
    assert status == 200
    assert b"Labs" in page
    for name in ("feed.atom", "claims.html", "papers.html", "graph.svg", "results-1.html"):
        assert server.ask(f"/{name}", reader)[0] == 200, name
    assert server.ask("/nothing.html", reader)[0] == 404
    assert server.ask("/index.html")[0] == 401
    text = server.ask("/metrics", reader)[1].decode()
    from prometheus_client.parser import text_string_to_metric_families

    found = {one.name: one for one in text_string_to_metric_families(text)}
    assert found["autoresearch_lab_server_labs"].samples[0].value >= 1
    assert any(one.labels["kind"] == "push" for one in found["autoresearch_lab_server_requests"].samples)
    assert reader not in text


def test_a_page_for_everybody_is_a_choice(tmp_path: Path) -> None:
    with serving(tmp_path / "open", "--anyone-reads") as one:
        assert one.ask("/index.html")[0] == 200
        assert one.ask("/info/refs?service=git-upload-pack")[0] == 200
        assert one.ask("/info/refs?service=git-receive-pack")[0] == 403
        assert one.end() in (0, -15)


def test_beyond_this_machine_it_wants_a_certificate_a_proxy_or_a_word(tmp_path: Path) -> None:
    with contextlib.suppress(AssertionError), serving(tmp_path / "far", "--host", "0.0.0.0") as one:
        pytest.fail(f"it served {one.url}")


@pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed: apt-get install chromium")
def test_the_same_pages_live_in_a_browser_are_accessible(browser, tmp_path: Path, server: Served) -> None:  # type: ignore[no-untyped-def]
    north = joined(server, tmp_path, "north")
    north.attempt("kept", "raise it", gain=3.0, score=1.0, KNOB=2.0)
    north.exchange()
    reader = {"username": "lab", "password": server.token("a-browser", May.READ)}
    for scheme, width in (("light", 1280), ("dark", 375)):
        profile = browser.new_context(
            viewport={"width": width, "height": 800}, color_scheme=scheme, http_credentials=reader
        )
        page = profile.new_page()
        page.goto(f"{server.url}/")
        assert page.url.endswith("/index.html")
        for name in ("What was tried", "Claims", "Papers", "Board", "Results", "Labs"):
            page.click(f"nav >> text={name} >> nth=0")
            page.wait_for_selector(f"nav [aria-current]:has-text('{name}')")
            assert page.evaluate("document.documentElement.scrollWidth") <= width, name
            assert serious_violations(page) == [], name
        assert page.evaluate("document.querySelector('img').naturalWidth") > 100, "the graph is shown"
        profile.close()
