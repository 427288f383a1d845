"""Starting Gemini CLI, opencode and Copilot CLI headless, with the least that each asks for.

What the person allows is said on the command line or in the home, as each client documents it: trust in the folder,
the lab's tools and edits, no shell. Nothing is switched off.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path

from tests.e2e.clients import installed, scrubbed
from tests.e2e.drivers import Client
from tests.e2e.endpoint import Endpoint

GEMINI_POLICY = """\
[[rule]]
mcpName = "autoresearch"
toolName = "*"
decision = "allow"
priority = 100

[[rule]]
toolName = "activate_skill"
decision = "allow"
priority = 100
"""
Start = Callable[..., AbstractContextManager[Client]]


@contextlib.contextmanager
def gemini(endpoint: Endpoint, lab: Path, home: Path, prompt: str, **environment: str) -> Iterator[Client]:
    """Gemini CLI: a policy of the person's lets the lab's tools run where nobody can be asked."""
    policy = home / ".gemini" / "policies" / "autoresearch.toml"
    policy.parent.mkdir(parents=True, exist_ok=True)
    policy.write_text(GEMINI_POLICY)
    chosen = {"security": {"auth": {"selectedType": "gemini-api-key"}}}
    (home / ".gemini" / "settings.json").write_text(json.dumps(chosen))
    words = ["-p", prompt, "--approval-mode", "auto_edit", "-o", "stream-json", "-m", "gemini-2.5-pro"]
    account = {"GOOGLE_GEMINI_BASE_URL": endpoint.url, "GEMINI_API_KEY": "dummy", "GEMINI_CLI_TRUST_WORKSPACE": "true"}
    with _started([str(installed().gemini), *words], lab, home, account | environment) as client:
        yield client


@contextlib.contextmanager
def opencode(endpoint: Endpoint, lab: Path, home: Path, prompt: str, **environment: str) -> Iterator[Client]:
    """opencode: it asks for nothing inside its folder."""
    options = {"baseURL": f"{endpoint.url}/v1", "apiKey": "dummy"}
    provider = {"npm": "@ai-sdk/anthropic", "options": options, "models": {"scripted": {"name": "scripted"}}}
    settings = home / ".config" / "opencode" / "opencode.json"
    settings.parent.mkdir(parents=True, exist_ok=True)
    settings.write_text(json.dumps({"provider": {"loopback": provider}, "model": "loopback/scripted"}))
    alone = {f"OPENCODE_DISABLE_{what}": "1" for what in ("AUTOUPDATE", "MODELS_FETCH", "LSP_DOWNLOAD")}
    with _started(
        [str(installed().opencode), "run", "--format", "json", prompt], lab, home, alone | environment
    ) as client:
        yield client


@contextlib.contextmanager
def copilot(endpoint: Endpoint, lab: Path, home: Path, prompt: str, **environment: str) -> Iterator[Client]:
    """Copilot CLI with a provider of one's own, which needs no account, and offline."""
    words = ["-p", prompt, "--trust-folder", "--allow-tool", "autoresearch", "--allow-tool", "write"]
    account = {
        "COPILOT_PROVIDER_BASE_URL": endpoint.url,
        "COPILOT_PROVIDER_TYPE": "anthropic",
        "COPILOT_PROVIDER_API_KEY": "dummy",
        "COPILOT_MODEL": "claude-sonnet-4.5",
        "COPILOT_OFFLINE": "true",
    }
    with _started([str(installed().copilot), *words], lab, home, account | environment) as client:
        yield client


@contextlib.contextmanager
def _started(command: Sequence[str], lab: Path, home: Path, environment: dict[str, str]) -> Iterator[Client]:
    client = Client(command, lab, scrubbed(home, **environment), home / "client.stderr")
    try:
        yield client
    finally:
        client.kill()


OTHERS: dict[str, Start] = {"gemini": gemini, "opencode": opencode, "copilot": copilot}
