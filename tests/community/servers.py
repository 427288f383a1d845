"""Real git servers on loopback: a daemon, smart HTTP through `git http-backend`, and ssh."""

from __future__ import annotations

import contextlib
import getpass
import os
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

QUIET = {"GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_SYSTEM": "/dev/null", "PATH": os.environ["PATH"]}


def bare(folder: Path, **config: str) -> Path:
    """A bare repository that a server may serve."""
    subprocess.run(["git", "init", "-q", "--bare", "--template=", str(folder)], check=True, env=QUIET)
    for name, value in {"http.receivepack": "true", **{k.replace("_", "."): v for k, v in config.items()}}.items():
        subprocess.run(["git", "-C", str(folder), "config", name, value], check=True, env=QUIET)
    return folder


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def _listening(port: int, process: subprocess.Popen[bytes]) -> None:
    """Return when it listens; it is waited for as long as it lives."""
    while process.poll() is None:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 5):
            return
        time.sleep(0.025)
    raise AssertionError(f"the server ended with {process.returncode}")


@contextlib.contextmanager
def daemon(base: Path) -> Iterator[str]:
    """`git daemon` that takes pushes; the URL of what lies in `base`."""
    port = free_port()
    command = ["git", "daemon", "--reuseaddr", "--export-all", "--enable=receive-pack", f"--base-path={base}"]
    process = subprocess.Popen(
        [*command, "--listen=127.0.0.1", f"--port={port}", str(base)],
        env=QUIET,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        _listening(port, process)
        yield f"git://127.0.0.1:{port}"
    finally:
        _end(process)


@contextlib.contextmanager
def http(base: Path) -> Iterator[str]:
    """Smart HTTP: each request runs `git http-backend`, as a web server does."""

    class Backend(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.0"

        def do_GET(self) -> None:
            self._answer(b"")

        def do_POST(self) -> None:
            if self.headers.get("Transfer-Encoding", "").lower() == "chunked":
                body = b""
                while size := int(self.rfile.readline().split(b";")[0], 16):
                    body += self.rfile.read(size)
                    self.rfile.readline()
            else:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            self._answer(body)

        def _answer(self, body: bytes) -> None:
            path, _, query = self.path.partition("?")
            told = {
                **QUIET,
                "GIT_PROJECT_ROOT": str(base),
                "GIT_HTTP_EXPORT_ALL": "1",
                "PATH_INFO": path,
                "QUERY_STRING": query,
                "REQUEST_METHOD": self.command,
                "CONTENT_TYPE": self.headers.get("Content-Type", ""),
                "CONTENT_LENGTH": str(len(body)),
                "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
                "GIT_PROTOCOL": self.headers.get("Git-Protocol", ""),
                "REMOTE_ADDR": "127.0.0.1",
            }
            done = subprocess.run(["git", "http-backend"], input=body, capture_output=True, env=told)
            head, _, answer = done.stdout.partition(b"\r\n\r\n")
            lines = [line.decode().split(": ", 1) for line in head.split(b"\r\n") if b": " in line]
            status = next((value for name, value in lines if name == "Status"), "200 OK")
            self.send_response(int(status.split()[0]))
            for name, value in lines:
                if name != "Status":
                    self.send_header(name, value)
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: object) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Backend)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextlib.contextmanager
def ssh(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """An sshd of our own with keys of its own; the URL that paths are appended to. Skips where there is none."""
    program = shutil.which("sshd") or "/usr/sbin/sshd"
    if not Path(program).exists():
        pytest.skip("no sshd here: Debian has it in openssh-server")
    folder.mkdir(mode=0o700)
    for name in ("host", "user"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name)], check=True)
    port = free_port()
    (folder / "authorized").write_bytes((folder / "user.pub").read_bytes())
    (folder / "authorized").chmod(0o600)
    if os.getuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True)
    (folder / "config").write_text(
        f"ListenAddress 127.0.0.1\nPort {port}\nHostKey {folder / 'host'}\nAuthorizedKeysFile {folder / 'authorized'}\n"
        f"PidFile {folder / 'pid'}\nStrictModes no\nUsePAM no\nPasswordAuthentication no\nPermitRootLogin yes\n"
        "SetEnv GIT_CONFIG_GLOBAL=/dev/null\n"
    )
    with (folder / "log").open("wb") as said:
        process = subprocess.Popen(
            [program, "-D", "-e", "-f", str(folder / "config")],
            stdout=subprocess.DEVNULL,
            stderr=said,
            start_new_session=True,
        )
    plain = f"ssh -F none -i {folder / 'user'} -o IdentitiesOnly=yes -o BatchMode=yes -o UserKnownHostsFile=/dev/null"
    monkeypatch.setenv("GIT_SSH_COMMAND", f"{plain} -o StrictHostKeyChecking=no -o LogLevel=ERROR")
    try:
        _listening(port, process)
        yield f"ssh://{getpass.getuser()}@127.0.0.1:{port}"
    finally:
        _end(process)


def _end(process: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, 15)
    process.wait(timeout=120)
