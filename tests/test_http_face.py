"""The HTTP face: the same tools, behind a token, on loopback, bounded."""

from __future__ import annotations

import http.client
import os
import socket
import threading
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import anyio
import pytest
import uvicorn
from mcp.client import Client
from mcp.client.streamable_http import streamable_http_client
from mcp.shared._httpx_utils import create_mcp_http_client
from starlette.requests import HTTPConnection

from mcp_server.dashboard.serving import listen
from mcp_server.faces.bearer import read_token
from mcp_server.faces.http import (
    BODY_LIMIT_BYTES,
    BURST,
    Bucket,
    Doorkeeper,
    TooMany,
    http_app,
    is_loopback,
    serve_http,
)
from mcp_server.nouns.errors import AutoresearchError
from mcp_server.server import build_server
from tests.labs import begun, make_lab, until

TOKEN = "a-token-that-only-the-owner-knows"


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("http")
    with pytest.MonkeyPatch.context() as patch, socket.socket() as listening:
        patch.setenv("AUTORESEARCH_LOCKS", str(folder / "locks"))
        lab = make_lab(folder / "lab")
        begun(lab)
        lab.close()
        listening.bind(("127.0.0.1", 0))
        app = http_app(build_server(folder / "lab"), TOKEN, "127.0.0.1")
        server = uvicorn.Server(uvicorn.Config(app, log_level="error", ws="none"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        try:
            until(lambda: server.started)
            yield f"http://127.0.0.1:{listening.getsockname()[1]}/mcp"
        finally:
            server.should_exit = True
            thread.join()


def answer(url: str, body: bytes = b"{}", **headers: str) -> int:
    request = urllib.request.Request(url, body, {"Content-Type": "application/json", **headers})
    try:
        with urllib.request.urlopen(request) as response:
            return int(response.status)
    except urllib.error.HTTPError as error:
        error.close()
        return error.code


def test_a_client_with_the_token_uses_the_same_tools(url: str) -> None:
    async def talk() -> tuple[list[str], object]:
        async with (
            create_mcp_http_client(headers={"Authorization": f"Bearer {TOKEN}"}) as http,
            Client(streamable_http_client(url, http_client=http)) as client,
        ):
            tools = [tool.name for tool in (await client.list_tools()).tools]
            return tools, (await client.call_tool("lab_status", {})).structured_content

    tools, status = anyio.run(talk)
    assert len(tools) == 8
    assert isinstance(status, dict)
    assert status["campaign"] == "first"


@pytest.mark.parametrize("header", [{}, {"Authorization": "Bearer wrong"}, {"Authorization": TOKEN}])
def test_without_the_token_nothing_is_answered(url: str, header: dict[str, str]) -> None:
    assert answer(url, **header) == 401


def test_a_foreign_origin_or_host_is_refused(url: str) -> None:
    known = {"Authorization": f"Bearer {TOKEN}", "Accept": "application/json, text/event-stream"}
    assert answer(url, **known, Origin="http://evil.example") == 403
    assert answer(url, **known, Host="evil.example") == 421


def test_a_body_over_the_limit_is_refused_before_it_is_read(url: str) -> None:
    place = urllib.parse.urlsplit(url)
    connection = http.client.HTTPConnection(place.hostname or "", place.port)
    connection.putrequest("POST", place.path)
    connection.putheader("Authorization", f"Bearer {TOKEN}")
    connection.putheader("Content-Type", "application/json")
    connection.putheader("Content-Length", str(BODY_LIMIT_BYTES + 1))
    connection.endheaders()
    assert connection.getresponse().status == 413
    connection.close()


def test_a_flood_is_slowed_down_whether_or_not_it_knows_the_token(url: str) -> None:
    answers = [answer(url) for _ in range(int(BURST) + 40)]
    assert 429 in answers


def test_the_bucket_refills_with_time() -> None:
    bucket = Bucket(now=0.0)
    assert all(bucket.take(0.0) for _ in range(int(BURST)))
    assert not bucket.take(0.0)
    assert bucket.take(1.0)


def test_the_token_file_is_made_private_and_a_readable_one_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "token"
    token = read_token(path)
    assert (path.stat().st_mode & 0o777, read_token(path), len(token) > 40) == (0o600, token, True)
    os.chmod(path, 0o644)
    with pytest.raises(AutoresearchError, match="chmod 600"):
        read_token(path)


def test_a_port_that_cannot_be_had_is_an_error_in_two_sentences(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(AutoresearchError, match=r"cannot be had: Address already in use\. Choose another with"):
            serve_http(build_server(tmp_path), tmp_path / "token", port=port)
        with pytest.raises(AutoresearchError, match=r"cannot be had: Address already in use\. Choose another with"):
            listen(port)


def test_leaving_loopback_without_a_chosen_token_is_refused(tmp_path: Path) -> None:
    with pytest.raises(AutoresearchError, match="--token-file"):
        serve_http(build_server(tmp_path), tmp_path / "token", host="0.0.0.0")
    assert not (tmp_path / "token").exists()


@pytest.mark.parametrize(
    ("host", "stays"),
    [("127.0.0.1", True), ("::1", True), ("localhost", True), ("0.0.0.0", False), ("example.org", False)],
)
def test_what_counts_as_loopback(host: str, stays: bool) -> None:
    assert is_loopback(host) is stays


def test_callers_are_told_apart() -> None:
    door, headers = Doorkeeper(TOKEN, now=lambda: 0.0), [(b"authorization", f"Bearer {TOKEN}".encode())]

    def comes(caller: str) -> None:
        anyio.run(door.authenticate, HTTPConnection({"type": "http", "client": (caller, 1), "headers": headers}))

    for _ in range(int(BURST)):
        comes("10.0.0.1")
    with pytest.raises(TooMany):
        comes("10.0.0.1")
    comes("10.0.0.2")
