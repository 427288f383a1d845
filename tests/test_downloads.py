"""What prepare.py downloads: whole, checked, resumed, or refused in words; against a real server with troubles."""

from __future__ import annotations

import hashlib
import http.server
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

import prepare

CONTENT = bytes(range(256)) * 9000


class Hub(http.server.BaseHTTPRequestHandler):
    """A small hub: /file redirects to /storage/file and says size and checksum on the way."""

    protocol_version = "HTTP/1.1"
    trouble: list[str]  # what goes wrong with the next GETs, in order
    ranges: list[str | None]

    def do_HEAD(self) -> None:
        self.answer(302)

    def answer(self, code: int, length: int = 0, **headers: str) -> None:
        self.send_response(code)
        if code == 302:
            self.send_header("Location", "/storage" + self.path)
            self.send_header("X-Linked-Size", str(len(CONTENT)))
            self.send_header("X-Linked-Etag", f'"{hashlib.sha256(CONTENT).hexdigest()}"')
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(length))
        self.end_headers()

    def do_GET(self) -> None:
        if not self.path.startswith("/storage"):
            return self.answer(302)
        type(self).ranges.append(self.headers["Range"])
        trouble = type(self).trouble.pop(0) if type(self).trouble else ""
        if trouble.isdigit():
            return self.answer(int(trouble))
        start = int(self.headers["Range"].removeprefix("bytes=").rstrip("-")) if self.headers["Range"] else 0
        if trouble == "ignores ranges":
            start = 0
        body = CONTENT[start:] if trouble != "wrong bytes" else bytes(len(CONTENT) - start)
        code = 206 if start else 200
        self.answer(code, len(body), Content_Range=f"bytes {start}-{len(CONTENT) - 1}/{len(CONTENT)}")
        self.wfile.write(body[: len(body) // 3] if trouble == "breaks off" else body)
        if trouble == "breaks off":
            self.close_connection = True

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def hub() -> Iterator[str]:
    Hub.trouble, Hub.ranges = [], []
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hub) as server:
        serving = threading.Thread(target=server.serve_forever)
        serving.start()
        yield f"http://127.0.0.1:{server.server_port}/file"
        server.shutdown()
        serving.join()


def fetched(url: str, path: Path) -> list[float]:
    """Download and return the pauses that were asked for."""
    pauses: list[float] = []
    prepare.download(url, path, prepare.Progress("test", "MB", 1e6), pauses.append)
    return pauses


def test_a_download_is_whole_checked_and_done_once(hub: str, tmp_path: Path) -> None:
    assert fetched(hub, tmp_path / "sub" / "file") == []
    assert (tmp_path / "sub" / "file").read_bytes() == CONTENT
    assert len(Hub.ranges) == 1
    assert fetched(hub, tmp_path / "sub" / "file") == []
    assert len(Hub.ranges) == 1


def test_a_broken_download_goes_on_where_it_stopped_after_growing_pauses(hub: str, tmp_path: Path) -> None:
    Hub.trouble = ["breaks off", "503", "breaks off"]
    pauses = fetched(hub, tmp_path / "file")
    third, after = len(CONTENT) // 3, len(CONTENT) // 3 + (len(CONTENT) - len(CONTENT) // 3) // 3
    assert (tmp_path / "file").read_bytes() == CONTENT
    assert Hub.ranges == [None, f"bytes={third}-", f"bytes={third}-", f"bytes={after}-"]
    assert len(pauses) == 3
    assert 1 <= pauses[0] <= 2 <= pauses[1] <= 4 <= pauses[2] <= 8


def test_an_interrupted_command_resumes_from_its_part_file(hub: str, tmp_path: Path) -> None:
    (tmp_path / "file.part").write_bytes(CONTENT[:1000])
    fetched(hub, tmp_path / "file")
    assert (tmp_path / "file").read_bytes() == CONTENT
    assert Hub.ranges == ["bytes=1000-"]


def test_a_server_that_ignores_ranges_is_read_from_the_start(hub: str, tmp_path: Path) -> None:
    (tmp_path / "file.part").write_bytes(b"x" * 1000)
    Hub.trouble = ["ignores ranges"]
    fetched(hub, tmp_path / "file")
    assert (tmp_path / "file").read_bytes() == CONTENT


def test_bytes_with_a_wrong_checksum_are_thrown_away_and_fetched_anew(hub: str, tmp_path: Path) -> None:
    (tmp_path / "file.part").write_bytes(b"x" * len(CONTENT))  # right size, wrong bytes
    Hub.trouble = ["wrong bytes"]
    assert len(fetched(hub, tmp_path / "file")) == 2
    assert (tmp_path / "file").read_bytes() == CONTENT
    assert Hub.ranges == [None, None]


def test_a_download_that_never_comes_right_leaves_nothing_that_could_be_mistaken_for_it(
    hub: str, tmp_path: Path
) -> None:
    Hub.trouble = ["wrong bytes"] * prepare.ATTEMPTS
    with pytest.raises(SystemExit, match="checksum"):
        fetched(hub, tmp_path / "file")
    assert list(tmp_path.iterdir()) == []


def test_a_missing_file_is_not_asked_for_again(hub: str, tmp_path: Path) -> None:
    Hub.trouble = ["404"]
    with pytest.raises(SystemExit, match="404"):
        fetched(hub, tmp_path / "file")
    assert len(Hub.ranges) == 1


def test_a_closed_network_is_said_plainly_and_names_the_corpus_that_needs_none(tmp_path: Path) -> None:
    with http.server.HTTPServer(("127.0.0.1", 0), Hub) as closed:
        url = f"http://127.0.0.1:{closed.server_port}/file"
    with pytest.raises(SystemExit, match=r"cannot download.*--corpus stdlib"):
        fetched(url, tmp_path / "file")


def test_the_datasets_are_addressed_by_their_published_names() -> None:
    (first, last), only = prepare.remote_files("climbmix", 2), prepare.remote_files("tinystories", 2)
    assert first.endswith("climbmix-400b-shuffle/resolve/main/shard_00000.parquet")
    assert last.endswith("_00001.parquet")
    assert len(only) == 1
    assert only[0].endswith(".parquet")
