"""Another place as a git meets it: one that hangs, one whose lines are cut, one that has no room."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from mcp_server.community.settings import Settings
from mcp_server.community.wire.remote import Remote, Unreachable, _is_spoilt
from mcp_server.community.wire.store import Store

CUT = """error: RPC failed; curl 18 transfer closed with 170383 bytes remaining to read
fetch-pack: unexpected disconnect while reading sideband packet
fatal: early EOF
fatal: fetch-pack: invalid index-pack output"""


@pytest.fixture
def trickle() -> Iterator[str]:
    """A server that answers 200 and then sends a byte now and then, without end."""
    over = threading.Event()
    listening = socket.create_server(("127.0.0.1", 0))

    def answer() -> None:
        caller, _ = listening.accept()
        with caller:
            caller.recv(4096)
            caller.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: application/x-git-upload-pack-advertisement\r\n\r\n")
            ends = time.monotonic() + 30
            try:
                while not over.wait(0.1) and time.monotonic() < ends:
                    caller.sendall(b"0")
            except OSError:
                return

    thread = threading.Thread(target=answer, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{listening.getsockname()[1]}/journals.git"
    over.set()
    thread.join()
    listening.close()


def test_a_server_that_sends_without_end_is_given_up_when_its_time_is_over(tmp_path: Path, trickle: str) -> None:
    remote = Remote(Store.at(tmp_path / "store.git"), Settings(remote=trickle, kind="host"), time.monotonic() + 1)
    began = time.monotonic()
    with pytest.raises(Unreachable, match="did not answer"):
        remote.listing()
    assert time.monotonic() - began < 15


@pytest.mark.parametrize(
    ("error", "spoilt"),
    [
        (CUT, False),
        ("fatal: write error: No space left on device\nfatal: fetch-pack: invalid index-pack output", False),
        ("fatal: unable to access 'https://x/': Could not resolve host: x", False),
        ("error: object 1234: hasDotgit: contains '.git'\nfatal: fsck error in packed object", True),
        ("error: index-pack died of signal 25\nfatal: fetch-pack: invalid index-pack output", True),
        ("remote: aborting due to possible repository corruption on the remote side.\nfatal: early EOF", True),
    ],
)
def test_a_line_that_was_cut_and_a_full_disk_say_nothing_against_a_journal(error: str, spoilt: bool) -> None:
    assert _is_spoilt(error.lower()) is spoilt
