"""News: what happens is told once, can be waited for, and goes where the user says and nowhere else."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from mcp_server.arena.program import parse_program
from mcp_server.faces import notifying
from mcp_server.lab import Lab
from mcp_server.ledger.live.events import Event, EventKind
from mcp_server.nouns.errors import ArenaError
from mcp_server.nouns.files import is_locked
from mcp_server.personal import beside
from mcp_server.personal.beside import lock_of
from mcp_server.personal.channels import Channel, channels_of
from mcp_server.personal.delivering import Post
from mcp_server.personal.file import personal_file, read_section
from tests.labs import attempt, begun, decide, edit, make_lab, told, until

COMMAND = [sys.executable, "-m", "mcp_server.cli"]


def events_of(lab: Lab) -> list[dict[str, object]]:
    return [json.loads(line) for line in lab.paths.events.read_text().splitlines()]


def kinds_of(lab: Lab) -> list[tuple[object, object]]:
    return [(one["kind"], one.get("experiment")) for one in events_of(lab) if one["kind"] != "idle"]


def waiting(lab: Lab, *options: str) -> subprocess.Popen[str]:
    command = [*COMMAND, "-C", str(lab.paths.tree), "wait", *options]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


class Heard(list[tuple[str, dict[str, str], str]]):
    """(path, headers, body) of every request that a server on loopback got."""

    url = ""
    refuse = 0  # so many requests are answered 500 first


@contextlib.contextmanager
def listening() -> Iterator[Heard]:
    heard = Heard()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            heard.append((self.path, dict(self.headers), body))
            heard.refuse -= 1
            self.send_response(500 if heard.refuse >= 0 else 200)
            self.end_headers()

        def log_message(self, *words: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    heard.url = f"http://127.0.0.1:{server.server_port}"
    yield heard
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1")


# --- events -----------------------------------------------------------------------------------------------------------


def test_each_thing_that_happens_is_told_once_and_the_file_mends_itself(tmp_path: Path) -> None:
    lab = begun(make_lab(tmp_path / "lab", more="stop: {experiments: 4}\n"))
    attempt(lab, "two", KNOB=2.0)
    attempt(lab, "nine", KNOB=9.0)
    path = lab.paths.tree / "train.py"
    path.write_text(path.read_text() + "raise SystemExit(3)\n")
    decide(lab, lab.run_experiment("bad").experiment)
    told = kinds_of(lab)
    assert told.count(("stop", None)) == 1
    assert [one for one in told if one != ("stop", None)] == [
        ("decision", 1), ("verdict", 2), ("keep", 2), ("decision", 2), ("verdict", 3), ("decision", 3), ("crash", 4),
        ("decision", 4),
    ]  # fmt: skip
    told_once = lab.paths.events.read_bytes()
    numbers = [one["event"] for one in events_of(lab)]
    assert numbers == list(range(1, len(numbers) + 1))
    lab.close()
    # whoever comes next, and whatever became of the file: the same events, each once
    for damage in (told_once[:-20], b"", told_once + b"not ours\n", None):
        if damage is None:
            lab.paths.events.unlink()
        else:
            lab.paths.events.write_bytes(damage)
        with contextlib.closing(Lab(tmp_path / "lab")) as again:
            from mcp_server.campaign.news import stream

            stream._whole.clear()  # as in another process
            again.lab_status()
        assert lab.paths.events.read_bytes() == told_once
    assert all(Event.model_validate(one).kind in set(EventKind) for one in events_of(lab))


def test_the_past_of_an_older_lab_is_no_news(tmp_path: Path) -> None:
    lab = begun(make_lab(tmp_path / "lab"))
    attempt(lab, "two", KNOB=2.0)
    lab.close()
    with sqlite3.connect(lab.paths.ledger) as db:
        for table in ("events", "units", "orders", "ideas", "spending"):  # of later steps
            db.execute(f"DROP TABLE {table}")
        db.execute("ALTER TABLE campaigns DROP COLUMN heard")
        db.execute("PRAGMA user_version = 12")
    db.close()
    lab.paths.events.unlink()
    with contextlib.closing(Lab(tmp_path / "lab")) as later:
        attempt(later, "two and a half", KNOB=2.5)
        assert kinds_of(later) == [("verdict", 3), ("keep", 3), ("decision", 3)]


# --- waiting ----------------------------------------------------------------------------------------------------------


def test_a_keep_that_is_waited_for_is_one_line_of_json(tmp_path: Path) -> None:
    lab = begun(make_lab(tmp_path / "lab"))
    keeps = waiting(lab, "--for", "keep", "--after", "0")
    verdicts = waiting(lab, "--for", "verdict,crash", "--after", "0", "--timeout", "300")
    attempt(lab, "two", KNOB=2.0)
    said, _ = keeps.communicate(timeout=300)
    assert keeps.returncode == 0
    assert said.count("\n") == 1
    found = json.loads(said)
    assert (found["version"], found["kind"], found["experiment"], found["change"]) == (1, "keep", 2, 3.0)
    judged, _ = verdicts.communicate(timeout=300)
    assert json.loads(judged)["decision"] == "keep"
    after = str(found["event"])
    late = waiting(lab, "--for", "keep", "--after", after, "--timeout", "0")
    said, complaint = late.communicate(timeout=300)
    assert (late.returncode, said) == (124, "")
    assert "No keep within 0 s." in complaint
    idle = waiting(lab, "--for", "idle")
    assert json.loads(idle.communicate(timeout=300)[0])["kind"] == "idle"
    lab.close()


def test_ctrl_c_ends_a_wait_without_a_trace_and_a_wrong_kind_is_named(tmp_path: Path) -> None:
    lab = begun(make_lab(tmp_path / "lab"))
    lab.close()
    process = waiting(lab, "--for", "stop")
    until(lambda: b"mcp_server.cli" in Path(f"/proc/{process.pid}/cmdline").read_bytes())
    until(lambda: _opened(process.pid, lab.paths.ledger))
    time.sleep(0.3)  # it is in its wait by now, or about to be
    process.send_signal(signal.SIGINT)
    said, complaint = process.communicate(timeout=60)
    assert (process.returncode, said, complaint) == (130, "", "")
    wrong = waiting(lab, "--for", "victory")
    assert "'victory' is no kind of event" in wrong.communicate(timeout=60)[1]
    assert wrong.returncode == 2


def _opened(pid: int, path: Path) -> bool:
    found = []
    for one in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(OSError):
            found.append(os.readlink(one))
    return str(path.resolve()) in found


# --- telling people ---------------------------------------------------------------------------------------------------


def test_every_way_of_telling_sends_an_event_once_across_restarts(tmp_path: Path) -> None:
    lab = begun(make_lab(tmp_path / "lab"))
    said, writes = tmp_path / "said", tmp_path / "writes.py"
    writes.write_text("import sys; open(sys.argv[1], 'a').write(sys.argv[2] + chr(10))")
    with listening() as heard:
        told(
            "notify:\n"
            f"  - {{webhook: {heard.url}/hook, headers: {{X-Key: abc}}, for: [keep]}}\n"
            f"  - {{ntfy: {heard.url}/topic, for: [keep, decision]}}\n"
            f"  - {{command: '{sys.executable} {writes} {said} {{words}}', for: [keep]}}\n"
        )
        attempt(lab, "two; $(touch pwned) `id`", KNOB=2.0)  # text of an agent is an argument, never a command
        until(lambda: len(heard) >= 4 and said.exists() and said.read_text())
        until(lambda: not is_locked(lock_of(lab.paths.state)))
        notifying.stay(lab.paths.tree)  # and whoever comes later sends nothing again
        hook = [(headers, json.loads(body)) for path, headers, body in heard if path == "/hook"]
        assert [(headers["X-Key"], one["kind"], one["experiment"]) for headers, one in hook] == [("abc", "keep", 2)]
        topics = [(headers["Title"], body) for path, headers, body in heard if path == "/topic"]
        assert [title for title, _ in topics] == [
            "autoresearch first: decision", "autoresearch first: keep", "autoresearch first: decision",
        ]  # fmt: skip
        assert "$(touch pwned)" in said.read_text()
        assert said.read_text().count("\n") == 1
    lab.close()


def test_a_channel_that_fails_is_tried_thrice_given_up_and_touches_no_run(tmp_path: Path) -> None:
    lab = begun(make_lab(tmp_path / "lab"))
    with listening() as heard:
        told(f"notify: [{{webhook: {heard.url}/a, for: [keep]}}, {{command: /nowhere/at/all, for: [keep]}}]\n")
        heard.refuse = 2
        assert attempt(lab, "two", KNOB=2.0).decision == "kept"
        until(lambda: len(heard) == 3)
        until(lambda: not is_locked(lock_of(lab.paths.state)))
        assert len({body for _, _, body in heard}) == 1
        with lab.reading_all() as bench:
            ledger = bench.ledger
        assert Post(lab.paths.state, lab.paths.tree, lambda _: None).deliver(ledger) == 0
    assert "was not sent (3 of 3)" in (lab.paths.state / "notify.log").read_text()
    lab.close()


def test_an_answer_that_is_no_http_is_the_failure_of_that_channel_alone() -> None:
    event = Event(event=1, kind=EventKind.KEEP, at="2026-01-01T00:00:00+00:00", lab="a", campaign="b", words="kept")
    for answer in (b"who are you?\r\n\r\n", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", b""):
        with socket.create_server(("127.0.0.1", 0)) as server:
            thread = threading.Thread(target=_answer, args=(server, answer), daemon=True)
            thread.start()
            with pytest.raises(OSError, match=r"[a-z]"):
                Channel(webhook=f"http://127.0.0.1:{server.getsockname()[1]}/").send(event)
            thread.join()
    with pytest.raises(OSError, match="null byte"):
        Channel(command="echo {words}").send(event.model_copy(update={"words": "a\0b"}))


@pytest.mark.parametrize("status", ["301 Moved", "302 Found", "303 See Other", "307 Temporary Redirect"])
def test_news_that_a_server_sends_elsewhere_is_not_told_and_what_opens_its_door_goes_nowhere(status: str) -> None:
    """It was asked there without the news, which counted as told, and with the headers that are meant for one place."""
    event = Event(event=1, kind=EventKind.KEEP, at="2026-01-01T00:00:00+00:00", lab="a", campaign="b", words="kept")
    with socket.create_server(("127.0.0.1", 0)) as far, socket.create_server(("127.0.0.1", 0)) as server:
        far.settimeout(0.2)
        moved = f"HTTP/1.1 {status}\r\nLocation: http://127.0.0.1:{far.getsockname()[1]}/\r\nContent-Length: 0\r\n\r\n"
        thread = threading.Thread(target=_answer, args=(server, moved.encode()), daemon=True)
        thread.start()
        channel = Channel(webhook=f"http://127.0.0.1:{server.getsockname()[1]}/", headers={"Authorization": "Bearer x"})
        with pytest.raises(OSError, match=f"it answered {status[:3]}"):
            channel.send(event)
        with pytest.raises(TimeoutError):
            far.accept()
        thread.join()


def _answer(server: socket.socket, answer: bytes) -> None:
    connection, _ = server.accept()
    with connection:
        connection.recv(65536)
        connection.sendall(answer)


def test_what_ends_while_nobody_looks_is_told(tmp_path: Path) -> None:
    lab = begun(make_lab(tmp_path / "lab"))
    with listening() as heard:
        told(f"notify: [{{webhook: {heard.url}/, for: [crash]}}]\n")
        edit(lab, SECONDS=1.0)
        path = lab.paths.tree / "train.py"
        path.write_text(path.read_text() + "raise SystemExit(3)\n")
        lab.run_experiment("bad")
        lab.close()  # no server, no agent: only the run, and who tells of it
        until(lambda: heard)
        assert json.loads(heard[0][2])["status"] == "crashed"


def test_who_sends_news_starts_nobody_after_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its last look at the lab is a verb like any other, and a verb starts the sender where none is there."""
    lab = begun(make_lab(tmp_path / "lab"))
    lab.close()
    told("notify: [{command: 'true', for: [keep]}]\n")
    started: list[Path] = []
    monkeypatch.setattr(beside, "leave", lambda program, tree, *_: started.append(tree) or True)
    notifying.stay(lab.paths.tree)
    assert not started
    assert not is_locked(lock_of(lab.paths.state))


def test_an_agent_chooses_no_address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lab = make_lab(tmp_path / "lab")
    text = lab.paths.program.read_text()
    for key in (
        "notify: [{webhook: 'http://evil'}]",
        "spend: curl evil",
        "quota: {experiments: 99, hours: 1}",
        "track: {mlflow: evil}",
    ):
        with pytest.raises(ArenaError, match=r"line 2: .* is for the user alone to say, outside of every repository"):
            parse_program(text.replace("---\n", f"---\n{key}\n", 1))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(lab.paths.tree))
    told("notify: [{webhook: 'http://evil/'}]\n")
    with pytest.raises(ArenaError, match="lies in the repository"):
        read_section("notify", lab.paths.common, lab.paths.tree)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    told("notify: []\n")
    personal_file().chmod(0o666)
    with pytest.raises(ArenaError, match="can be written by others"):
        read_section("notify")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("notify: [{webhok: 'http://a'}]", "notify 1, `webhok`"),
        ("notify: [{webhook: 'file:///etc/passwd'}]", "must be an address that begins with https"),
        ("notify: [{webhook: 'http://a', ntfy: 'http://b'}]", "exactly one of"),
        ("notify: [{ntfy: 'http://a', for: [victory]}]", "for.0"),
        ("notfy: []", "Did you mean `notify`?"),
        ("- a", "must be `key: value` lines"),
        ("a: [", "line 1: not valid YAML"),
    ],
)
def test_a_mistake_in_the_file_is_named(text: str, said: str) -> None:
    told(text)
    with pytest.raises(ArenaError) as error:
        channels_of()
    assert said in str(error.value)


@pytest.mark.filterwarnings("ignore:.*imghdr:DeprecationWarning")  # of a library of its
def test_apprise_is_asked_where_it_is_installed_and_named_where_it_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    event = Event(event=1, kind=EventKind.KEEP, at="2026-01-01", lab="a", campaign="first", words="It works.")
    channel = Channel(apprise="json://127.0.0.1:9/")
    monkeypatch.setitem(sys.modules, "apprise", None)
    with pytest.raises(OSError, match="pip install apprise"):
        channel.send(event)
    monkeypatch.undo()
    pytest.importorskip("apprise", reason="apprise is not installed: pip install apprise")
    with listening() as heard:
        Channel(apprise=f"json://{heard.url.removeprefix('http://')}/told").send(event)
    assert json.loads(heard[0][2])["message"] == "It works."
