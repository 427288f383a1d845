"""Starting the real clients headless against a scripted model, and reading what they say."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.e2e.clients import installed, scrubbed, trust
from tests.e2e.endpoint import Endpoint
from tests.e2e.repositories import lay_release

PATIENCE_SECONDS = 180.0  # a limit against hanging for ever, not an expectation


@dataclass(frozen=True)
class Session:
    """A client that has ended."""

    code: int
    events: list[dict[str, Any]]
    errors: str

    def event(self, **wanted: str) -> dict[str, Any]:
        """The first event with these fields."""
        for event in self.events:
            if all(event.get(name) == value for name, value in wanted.items()):
                return event
        raise AssertionError(
            f"no event {wanted} among {[e.get('type') for e in self.events]}; stderr: {self.errors[-2000:]}"
        )


class Client:
    """A running client in a session of its own, so that a test can kill it as a terminal would."""

    def __init__(self, command: Sequence[str], cwd: Path, environment: dict[str, str], log: Path) -> None:
        self._log = log
        with log.open("wb") as errors:
            self._process = subprocess.Popen(
                command,
                cwd=cwd,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=errors,
                start_new_session=True,
            )

    def kill(self) -> None:
        """SIGKILL to the whole process group, as a closed terminal or an impatient person does."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()

    def wait(self, patience: float = PATIENCE_SECONDS) -> Session:
        """What it said, once it has ended."""
        try:
            output, _ = self._process.communicate(timeout=patience)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"the client did not end; stderr: {self._log.read_text()[-4000:]}") from None
        events = []
        for line in output.decode(errors="replace").splitlines():
            with contextlib.suppress(json.JSONDecodeError):
                events.append(json.loads(line))
        return Session(self._process.returncode, events, self._log.read_text(errors="replace"))


def plug(lab: Path, home: Path) -> Path:
    """Install this project as Claude Code's plugin for a person who trusts `lab`, as the README says."""
    release = lay_release(home / "release")
    trust(home, lab)
    for words in (("marketplace", "add", str(release)), ("install", "autoresearch@autoresearch")):
        command = [str(installed().claude), "plugin", *words]
        subprocess.run(command, cwd=lab, env=scrubbed(home), check=True, capture_output=True, stdin=subprocess.DEVNULL)
    return lab


def plug_codex(lab: Path, home: Path) -> Path:
    """The same for Codex."""
    release = lay_release(home / "release")
    (home / ".codex").mkdir(exist_ok=True)
    for words in (("marketplace", "add", str(release)), ("add", "autoresearch@autoresearch")):
        command = [str(installed().codex), "plugin", *words]
        environment = scrubbed(home, CODEX_HOME=str(home / ".codex"))
        subprocess.run(command, cwd=lab, env=environment, check=True, capture_output=True, stdin=subprocess.DEVNULL)
    return lab


@contextlib.contextmanager
def claude(
    endpoint: Endpoint, lab: Path, home: Path, prompt: str = "/loop autoresearch", *options: str, **environment: str
) -> Iterator[Client]:
    """Claude Code, headless, in a lab that its person trusts."""
    if not (home / ".claude.json").exists():
        trust(home, lab)
    command = [str(installed().claude), "-p", prompt, "--output-format", "stream-json", "--verbose", *options]
    variables = scrubbed(
        home,
        ANTHROPIC_BASE_URL=endpoint.url,
        ANTHROPIC_API_KEY="dummy",
        CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC="1",
        **environment,
    )
    client = Client(command, lab, variables, home / "claude.stderr")
    try:
        yield client
    finally:
        client.kill()


@contextlib.contextmanager
def codex(
    endpoint: Endpoint,
    lab: Path,
    home: Path,
    prompt: str = "$autoresearch:autoresearch",
    *options: str,
    **environment: str,
) -> Iterator[Client]:
    """Codex exec in a lab that its person trusts; `options` are more `-c key=value` pairs and flags."""
    home.mkdir(parents=True, exist_ok=True)
    provider = f'{{name="scripted",base_url="{endpoint.url}/v1",wire_api="responses",env_key="SCRIPTED_KEY"}}'
    settings = ("model_provider=scripted", "model=gpt-5.5", f"model_providers.scripted={provider}")
    given = [word for setting in settings for word in ("-c", setting)]
    # without Codex's own sandbox: what is refused here is refused by us, and it would need a home outside /tmp
    free = () if "-s" in options else ("-s", "danger-full-access")
    command = [str(installed().codex), "exec", "--trust", "--json", *given, *free, *options, prompt]
    variables = scrubbed(home, CODEX_HOME=str(home / ".codex"), SCRIPTED_KEY="dummy", **environment)
    (home / ".codex").mkdir(exist_ok=True)
    client = Client(command, lab, variables, home / "codex.stderr")
    try:
        yield client
    finally:
        client.kill()
