"""A Python reached by a way through `..`, as `../../env/bin/python` is: a sandbox knows no folder on that way."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp.client import Client
from mcp.client.stdio import StdioServerParameters, stdio_client

from mcp_server import plain
from mcp_server.nouns.records import Tier
from mcp_server.programs.uv import find_uv
from tests.labs import begun, make_lab
from tests.people.grounds import baseline, ground, venv
from tests.runner.test_sandbox import has

ROOT = Path(__file__).parents[2]
OWN = Path(sys.executable)
TOLD = """
import sys, mcp_server, mcp_server.runner.sandbox.confine as confine
print(sys.executable, mcp_server.__file__, confine.__file__, sep="\\n")
"""


def around(path: Path, folder: Path) -> str:
    """A way from `folder` that begins with `..`; the last name stays the link that it is."""
    return os.path.join(os.path.relpath(path.parent.resolve(), folder.resolve()), path.name)


def test_a_plain_name_is_absolute_and_keeps_the_link_that_makes_a_venv(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "real" / "below").mkdir(parents=True)
    (tmp_path / "linked").symlink_to("real/below")
    (tmp_path / "python").symlink_to("/usr/bin/env")
    monkeypatch.chdir(tmp_path)
    for way in ("python", "./python", "real/../python", f"{tmp_path}/real/../python", "linked/../../python"):
        assert plain(way) == f"{tmp_path.resolve()}/python", way  # behind a link `..` is where the link leads
    assert plain("real/..") == str(tmp_path.resolve())
    assert plain("/a/link/b") == "/a/link/b"  # nothing to mend, so nothing is resolved


@pytest.mark.parametrize("how", ["named", "on PATH"])
def test_however_python_was_named_we_go_on_under_names_that_stay(tmp_path: Path, how: str) -> None:
    environ, program = {"PYTHONPATH": os.path.relpath(ROOT, tmp_path.resolve())}, around(OWN, tmp_path)
    if how == "on PATH":
        environ["PATH"], program = os.path.dirname(program), OWN.name
    told = subprocess.check_output(["/usr/bin/env", *(f"{k}={v}" for k, v in environ.items()), program, "-c", TOLD],
                                   cwd=tmp_path, text=True).splitlines()  # fmt: skip
    assert [one for one in told if ".." in one or not one.startswith("/")] == []
    assert os.path.samefile(told[0], OWN)


@pytest.mark.skipif(not has(Tier.T2), reason="this machine offers no T2")
def test_command_line_and_server_offer_the_same_walls_when_reached_by_a_way_around(tmp_path: Path) -> None:
    begun(make_lab(tmp_path / "lab")).close()
    lab = tmp_path / "lab"
    environ = {"PATH": f"{os.path.dirname(around(OWN, lab))}:/usr/bin:/bin", "HOME": str(tmp_path)}
    environ["PYTHONPATH"] = str(ROOT)
    command = [around(OWN, lab), "-m", "mcp_server.cli", "status", "--json"]
    said = json.loads(subprocess.check_output(command, cwd=lab, env=environ))
    assert said["tier"] == "T2"

    async def ask() -> Any:
        server = StdioServerParameters(command="python", args=["-m", "mcp_server"], env=environ, cwd=lab)
        async with Client(stdio_client(server)) as client:
            return (await client.call_tool("lab_status", {})).structured_content

    assert anyio.run(ask)["tier"] == "T2"


@pytest.mark.parametrize("way", ["run", "VIRTUAL_ENV"])
def test_an_environment_named_by_a_way_around_runs_the_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    venv(tmp_path / "mine")
    folder = ground(tmp_path / "lab", "../mine/bin/python train.py" if way == "run" else "python train.py")
    monkeypatch.chdir(folder)
    monkeypatch.setenv("VIRTUAL_ENV", "../mine" if way == "VIRTUAL_ENV" else "")
    found = baseline(folder)
    assert found.score == 103.0
    assert f"{tmp_path}/mine" in found.python


def test_uv_found_by_a_way_around_is_named_plainly(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "uv").symlink_to("/bin/true")
    (tmp_path / "lab").mkdir()
    monkeypatch.chdir(tmp_path / "lab")
    assert find_uv({"PATH": "../bin", "HOME": "/nowhere"}) == tmp_path.resolve() / "bin" / "uv"
