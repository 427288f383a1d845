"""A real Ray cluster on this machine: a head and nodes that are processes of their own, on 127.0.0.1 alone.

Each node has its own cache and its own locks, so that it is a machine of its own to us. A token is asked of everybody.
`python -m tests.cluster.loopback FOLDER NODES` starts one, says its address and its processes in a line of JSON after
each line on stdin ("look", "head": start the head anew, "nodes": as many nodes as before), and ends with its stdin.
"""

from __future__ import annotations

import json
import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mcp_server.runner.machine.proc import pids, read_stat

# Ray takes only its own word for a machine's address, unless it is told that this is no cluster of machines
ENVIRONMENT = {
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
    "RAY_AUTH_MODE": "token",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_DISABLE_MEMORY_MONITOR": "1",
    "RAY_memory_monitor_refresh_ms": "0",
}
# the dead are noticed sooner than by default
SYSTEM = {
    "health_check_initial_delay_ms": 1000,
    "health_check_period_ms": 500,
    "health_check_timeout_ms": 1000,
    "health_check_failure_threshold": 4,
    "gcs_rpc_server_reconnect_timeout_s": 10,
}
STORE_BYTES = 80_000_000


@dataclass
class Loopback:
    """A running cluster, seen from the test that started it."""

    process: subprocess.Popen[str]
    told: dict[str, Any]

    @property
    def address(self) -> str:
        return str(self.told["address"])

    def ask(self, what: str = "look") -> dict[str, Any]:
        """Do it; what the cluster is then."""
        assert self.process.stdin is not None
        self.process.stdin.write(what + "\n")
        self.process.stdin.flush()
        self.told = self._heard()
        return self.told

    def _heard(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if line.startswith("{"):
                found: dict[str, Any] = json.loads(line)
                return found
        raise AssertionError("the cluster did not come up")


def environment(folder: Path) -> dict[str, str]:
    """What every process that speaks to the cluster has to have."""
    token = folder / "token"
    if not token.exists():
        folder.mkdir(parents=True, exist_ok=True)
        token.touch(mode=0o600)
        token.write_text(secrets.token_hex(32))
    return {**ENVIRONMENT, "RAY_AUTH_TOKEN_PATH": str(token)}


@contextmanager
def cluster(folder: Path, nodes: int) -> Iterator[Loopback]:
    """A cluster of a head that runs nothing and `nodes` nodes of one processor. Nothing of it is left afterwards."""
    with open(folder / "cluster.log", "ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.cluster.loopback", str(folder), str(nodes)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            env={**os.environ, **environment(folder)},
            cwd=Path(__file__).resolve().parents[2],
        )
    found = Loopback(process, {})
    try:
        found.told = found._heard()
        yield found
    finally:
        left = descendants(process.pid)
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.close()
        process.stdout.close()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        for pid in left:
            end(pid)


def descendants(root: int) -> list[int]:
    """All processes below one, itself not among them."""
    parents = {pid: stat.parent for pid in pids() if (stat := read_stat(pid)) is not None}
    found, new = [root], True
    while new:
        new = [pid for pid, parent in parents.items() if parent in found and pid not in found]
        found += new
    return found[1:]


def end(pid: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


# -- the process of the cluster ----------------------------------------------------------------------------------------


class Keeper:
    """Starts the cluster and starts parts of it again."""

    def __init__(self, folder: Path, count: int) -> None:
        from ray.cluster_utils import Cluster

        self.folder, self.count, self.port = folder, count, 0
        self.kind, self.made, self.nodes = Cluster, 0, []  # type: ignore[var-annotated]
        self.head()
        self.fill()

    def head(self) -> None:
        """A head, on the port of the one before."""
        given = {"gcs_server_port": self.port} if self.port else {}
        self.cluster = self.kind(
            initialize_head=True,
            head_node_args={
                "num_cpus": 0,
                "node_ip_address": "127.0.0.1",
                "object_store_memory": STORE_BYTES,
                "include_dashboard": False,
                "_system_config": SYSTEM,
                **given,
            },
        )
        self.address = self.cluster.address
        self.port = int(self.address.rpartition(":")[2])
        self.nodes = []

    def fill(self) -> None:
        """As many living nodes as there were at first."""
        self.nodes = [one for one in self.nodes if not one.dead_processes()]
        while len(self.nodes) < self.count:
            self.made += 1
            place = self.folder / f"node-{len(self.nodes)}-{self.made}"
            env = {"AUTORESEARCH_CACHE": str(place / "cache"), "AUTORESEARCH_LOCKS": str(place / "locks")}
            self.nodes.append(
                self.cluster.add_node(
                    num_cpus=1,
                    node_ip_address="127.0.0.1",
                    object_store_memory=STORE_BYTES,
                    env_vars=env,
                    wait=False,
                )
            )

    def say(self) -> None:
        """Address and processes, as a line of JSON."""
        told = {
            "address": self.address,
            "head": _pids(self.cluster.head_node),
            "nodes": [_pids(node) for node in self.nodes],
        }
        print(json.dumps(told), flush=True)


def _pids(node: Any) -> dict[str, int]:
    return {kind: held[0].process.pid for kind, held in node.all_processes.items() if held}


def main(argv: list[str]) -> int:
    keeper = Keeper(Path(argv[1]), int(argv[2]))
    keeper.say()
    for line in sys.stdin:
        match line.strip():
            case "head":
                old = [*keeper.nodes, keeper.cluster.head_node]
                for node in old:
                    node.kill_all_processes(check_alive=False, allow_graceful=False)
                keeper.head()
                keeper.fill()
            case "nodes":
                keeper.fill()
        keeper.say()
    for node in (*keeper.nodes, keeper.cluster.head_node):
        node.kill_all_processes(check_alive=False, allow_graceful=False)
    time.sleep(0.1)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv))
