"""A real Ray cluster on this machine, where the extra `ray` is installed: the least that shows that all parts meet."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from mcp_server.engines.ray.engine import installed
from mcp_server.nouns.records import RunResult
from mcp_server.runner.machine.proc import pids
from mcp_server.setup import nodes
from mcp_server.setup.doctor import State
from tests.cluster.loopback import Loopback, cluster, descendants, environment
from tests.labs import SEQUENTIAL, begin, make_lab

pytestmark = pytest.mark.skipif(not installed(), reason="needs the extra `ray` (make many installs it)")


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, Loopback]]:
    folder = tmp_path_factory.mktemp("cluster")
    before = dict(os.environ)
    os.environ.update(environment(folder))
    try:
        with cluster(folder, 1) as loopback:
            yield folder, loopback
    finally:
        os.environ.clear()
        os.environ.update(before)


def test_a_run_is_made_on_a_node_and_every_node_is_looked_over(found: tuple[Path, Loopback]) -> None:
    folder, loopback = found
    more = f"engine: {{name: ray, address: '{loopback.address}'}}\n" + SEQUENTIAL
    with closing(make_lab(folder / "lab", more=more)) as lab:
        assert begin(lab).score == 4.0
        result = RunResult.read(lab.paths.run("first", 1, 1).result)
        assert result.node
        assert lab.lab_status().devices[0].state == "free"
        findings = {one.name: one for one in nodes.examine(lab.paths.tree)}
    told = findings[result.node]
    assert told.state is not State.MISSING, told
    assert "sandbox T" in told.found
    assert "1 can make a run (CPU: 1)" in findings["engine"].found
    assert findings["token"].state is State.FINE


def test_nothing_of_it_listens_to_other_machines(found: tuple[Path, Loopback]) -> None:
    _, loopback = found
    mine = {str(pid) for pid in descendants(loopback.process.pid)}
    assert mine <= {str(pid) for pid in pids()}
    sockets = {os.readlink(one) for pid in mine for one in Path(f"/proc/{pid}/fd").iterdir() if one.exists()}
    listening = []
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            words = line.split()
            if words[3] == "0A" and f"socket:[{words[9]}]" in sockets:
                listening.append(words[1].partition(":")[0])
    assert listening
    assert set(listening) <= {"0100007F", "0000000000000000FFFF00000100007F", "00000000000000000000000001000000"}


def test_who_has_no_token_is_refused(found: tuple[Path, Loopback], tmp_path: Path) -> None:
    _, loopback = found
    (tmp_path / "token").write_text("0" * 64)
    told = subprocess.run(
        [sys.executable, "-m", "mcp_server.engines.ray.cluster", loopback.address],
        env={**os.environ, "RAY_AUTH_TOKEN_PATH": str(tmp_path / "token"), "RAY_NUM_REDIS_GET_RETRIES": "1"},
        capture_output=True,
        text=True,
    )
    assert told.returncode == 1
    assert not any(line.startswith("{") for line in told.stdout.splitlines()), json.dumps(told.stdout)
