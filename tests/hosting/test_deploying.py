"""The files of deploy/ are what their readers take, and start the command as it is."""

from __future__ import annotations

import shlex
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from mcp_server.cli import cli

DEPLOY = Path(__file__).resolve().parents[2] / "deploy"
UNIT = DEPLOY / "autoresearch-lab-server.service"


def taken(words: list[str]) -> None:
    """The command has these options: it is only asked for its help."""
    assert words[:3] == ["autoresearch", "community", "serve"]
    done = CliRunner().invoke(cli, [*words[1:], "--help"])
    assert done.exit_code == 0, done.output
    options = [word for word in words if word.startswith("--")]
    assert all(option in done.output for option in options), options


def test_the_compose_file_names_services_volumes_and_options_that_there_are() -> None:
    found = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
    assert set(found["services"]) == {"server", "proxy"}
    server = found["services"]["server"]
    taken(server["command"])
    assert (DEPLOY.parent / server["build"]["dockerfile"]).is_file()
    used = {one.partition(":")[0] for service in found["services"].values() for one in service["volumes"]}
    assert used == set(found["volumes"])
    assert "--behind" in server["command"], "the proxy has the certificate"
    if shutil.which("docker") is not None:
        words = ["docker", "compose", "-f", str(DEPLOY / "compose.yaml"), "config", "--quiet"]
        done = subprocess.run(words, capture_output=True, text=True)
        if "is not a docker command" in done.stderr or "unknown" in done.stderr:
            return  # a docker without compose
        assert done.returncode == 0, done.stderr


def test_systemd_takes_the_unit(tmp_path: Path) -> None:
    lines = dict(
        line.split("=", 1) for line in UNIT.read_text().splitlines() if "=" in line and not line.startswith("#")
    )
    taken([word for word in shlex.split(lines["ExecStart"])[1:] if not word.startswith("$")])
    if shutil.which("systemd-analyze") is None:
        pytest.skip("no systemd-analyze here")
    # it looks whether each program is there; `env` finds ours when it runs
    done = subprocess.run(["systemd-analyze", "verify", str(UNIT)], capture_output=True, text=True)
    said = [line for line in done.stderr.splitlines() if UNIT.name in line]
    assert said == [], said
