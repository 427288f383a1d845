"""A model endpoint on loopback that plays a script, for each client in its own dialect."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import ModuleType
from typing import Any

from tests.e2e import generate, messages, responses
from tests.e2e.script import Call, Say, Script, ScriptedModel

SEARCH_SECONDS = (
    0.1  # a model takes its time too; a client whose server still starts is not asked as fast as it can answer
)
DIALECTS = {"/messages": messages, "/responses": responses, "enerateContent": generate}


class Endpoint(ThreadingHTTPServer):
    """Listens on a free port; `requests` keeps what the client sent, in order, without side calls."""

    daemon_threads = True

    def __init__(self, script: Script, cwd: str, first: int = 0) -> None:
        super().__init__(("127.0.0.1", 0), _Conversation)
        self.model = ScriptedModel(script)
        self.cwd = cwd
        self._first = first  # number of the first step: a session that is resumed has steps of before
        self.requests: list[dict[str, Any]] = []
        self.refusals = 0  # so many requests more are answered with "too many requests"
        self.refused = 0  # so many were

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def events(self, dialect: ModuleType, request: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
        """The answer to one request."""
        if dialect.is_side_call(request):
            return dialect.events_for(request, 0, Say("ok"), self.cwd)  # type: ignore[no-any-return]
        self.requests.append(request)
        number, step = self.model.next(dialect.results_of(request, self._first))
        if isinstance(step, Call) and dialect.lab_tool(request, step.tool) is None:
            time.sleep(SEARCH_SECONDS)
        return dialect.events_for(request, self._first + number, step, self.cwd)  # type: ignore[no-any-return]


class _Conversation(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Endpoint

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.path.endswith("/count_tokens"):
            return self._send("application/json", b'{"input_tokens": 1}')
        dialect = next((spoken for mark, spoken in DIALECTS.items() if mark in self.path), None)
        if dialect is None:
            return self._send("application/json", b"{}")
        if self.server.refusals > 0:
            self.server.refusals -= 1
            self.server.refused += 1
            error = {"type": "error", "error": {"type": "rate_limit_error", "message": "rate limit, try again"}}
            return self._send("application/json", json.dumps(error).encode(), 429)
        events = self.server.events(dialect, json.loads(body))
        stream = "".join(
            (f"event: {name}\n" if name else "") + f"data: {json.dumps(event)}\n\n" for name, event in events
        )
        return self._send("text/event-stream", stream.encode())

    def do_GET(self) -> None:
        self._send("application/json", b'{"data": []}')

    def do_HEAD(self) -> None:
        self._send("application/json", b"")

    def _send(self, kind: str, body: bytes, status: int = 200) -> None:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # the client was killed meanwhile
            self.send_response(status)
            if status == 429:
                self.send_header("Retry-After", "1")
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Silence: a test's output is its failures."""


@contextlib.contextmanager
def serving(script: Script, cwd: str, first: int = 0) -> Iterator[Endpoint]:
    """An endpoint that plays `script` to one client started in `cwd`. What went wrong inside the script is raised."""
    endpoint = Endpoint(script, cwd, first)
    thread = threading.Thread(target=endpoint.serve_forever, name="endpoint")
    thread.start()
    try:
        yield endpoint
    finally:
        endpoint.shutdown()
        endpoint.server_close()
        thread.join()
    if endpoint.model.problem is not None:
        raise endpoint.model.problem
