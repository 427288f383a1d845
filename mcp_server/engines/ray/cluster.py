"""The one place that speaks to Ray: nodes, leases, and the agents on the nodes. `python -m …cluster ADDRESS` surveys.

A lease is a placement group of one bundle: it has the run's resources for itself, needs no process, costs some
milliseconds and outlives whoever asked for it. Nothing of Ray is ever retried: what was lost is told as lost.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import sys
import time
from collections.abc import Collection
from pathlib import Path
from typing import Any

import ray
from ray.util import get_placement_group
from ray.util.placement_group import placement_group, placement_group_table, remove_placement_group
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy, PlacementGroupSchedulingStrategy

import mcp_server
from mcp_server.engines.ray.agent import Agent
from mcp_server.engines.ray.records import NodeFacts, NodeSeen, Unreachable

NAMESPACE = "autoresearch"
KNOCK_SECONDS = 3.0
ADDRESS_FILE = Path("/tmp/ray/ray_current_cluster")  # where `ray start` says what `auto` is
CALL_SECONDS, CARDS_SECONDS = 20.0, 60.0
LEASE_SECONDS = 1  # that one look at a lease waits for it, in whole ones: Ray tells when it is there
CALLS_AT_ONCE = 32  # of one agent: the moving of a large corpus keeps no other run waiting


class Cluster:
    """A connection to a running cluster. Raises Unreachable where there is none."""

    def __init__(self, address: str) -> None:
        where = os.environ.get("RAY_ADDRESS") or _read(ADDRESS_FILE) if address == "auto" else address
        if not where:
            raise Unreachable("No Ray cluster runs here. Start one, or join one, with `ray start` (docs/ray.md).")
        _knock(where)
        try:
            ray.init(address, namespace=NAMESPACE, log_to_driver=False, logging_level="ERROR", configure_logging=False)
        except Exception as error:
            raise Unreachable(f"The Ray cluster at {where} refused: {str(error)[:300]}") from None
        self._agents: dict[str, Any] = {}
        self._groups: dict[str, Any] = {}  # by the lease's name

    def close(self) -> None:
        ray.shutdown()

    def nodes(self) -> tuple[NodeSeen, ...]:
        """Every node that the head remembers."""
        try:
            return tuple(
                NodeSeen(
                    node=one["NodeID"],
                    host=one["NodeManagerHostname"],
                    alive=one["Alive"],
                    resources={name: share for name, share in one["Resources"].items() if "node:" not in name},
                )
                for one in ray.nodes()
            )
        except Exception as error:
            raise Unreachable(f"The head of the cluster does not answer: {str(error)[:200]}") from None

    # -- leases --------------------------------------------------------------------------------------------------------

    def lease(self, name: str, resources: dict[str, float]) -> None:
        """Ask for a lease; harmless to repeat."""
        try:
            if self._group(name) is None:
                made = placement_group([resources], strategy="SPREAD", name=name, lifetime="detached")
                self._groups[name] = made
        except Exception as error:
            raise Unreachable(str(error)[:200]) from None

    def leased(self, name: str) -> str | None:
        """The node that a lease is on; None when there is none after a moment."""
        try:
            group = self._group(name)
            table = placement_group_table(group) if group is not None and group.wait(LEASE_SECONDS) else {}
        except Exception as error:
            self._groups.pop(name, None)
            raise Unreachable(str(error)[:200]) from None
        if table.get("state") != "CREATED":
            self._groups.pop(name, None)  # somebody may have given it back: the next look asks for it by its name
            return None
        return str(table["bundles_to_node_id"][0])

    def cards(self, name: str) -> tuple[str, ...]:
        """The GPUs of a lease, as its node numbers them."""
        strategy = PlacementGroupSchedulingStrategy(self._group(name), placement_group_bundle_index=0)
        table = placement_group_table(self._group(name))
        count = int(table["bundles"][0].get("GPU", 0))
        if count == 0:
            return ()
        ask = ray.remote(_cards).options(num_cpus=0, num_gpus=count, max_retries=0, scheduling_strategy=strategy)
        return tuple(f"cuda:{card}" for card in _got(ask.remote(), CARDS_SECONDS))

    def drop(self, name: str) -> None:
        """Give a lease back; harmless to repeat."""
        with contextlib.suppress(Exception):
            group = self._group(name)
            self._groups.pop(name, None)
            if group is not None:
                remove_placement_group(group)

    def sweep(self, beginning: str, current: Collection[str]) -> None:
        """Give back the leases whose names begin so, but for the current ones: nobody is left to do it."""
        with contextlib.suppress(Exception):
            for one in placement_group_table().values():
                if one["name"].startswith(beginning) and one["name"] not in current and one["state"] != "REMOVED":
                    self.drop(one["name"])

    def _group(self, name: str) -> Any:
        if name not in self._groups:
            try:
                self._groups[name] = get_placement_group(name)
            except ValueError:
                return None  # there is none of that name
        return self._groups[name]

    # -- agents --------------------------------------------------------------------------------------------------------

    def call(self, node: str, method: str, *arguments: Any, seconds: float = CALL_SECONDS) -> Any:
        """Have a node's agent do something. Raises Unreachable where it does not answer."""
        try:
            return _got(getattr(self._agent(node), method).remote(*arguments), seconds)
        except Unreachable:
            self._agents.pop(node, None)
            raise

    def warm(self, node: str) -> None:
        """Have a node start its agent, if it has none; nobody waits for that."""
        with contextlib.suppress(Unreachable):
            self._agent(node)

    def _agent(self, node: str) -> Any:
        """The agent of a node, started there if it has none: it belongs to no lab, and comes back when it is killed."""
        if node not in self._agents:
            kind = ray.remote(Agent).options(
                name=f"agent-{mcp_server.__version__}-{node}",
                lifetime="detached",
                get_if_exists=True,
                num_cpus=0,
                max_restarts=-1,
                max_task_retries=0,
                max_concurrency=CALLS_AT_ONCE,
                scheduling_strategy=NodeAffinitySchedulingStrategy(node, soft=False),
            )
            try:
                self._agents[node] = kind.remote()
            except Exception as error:
                raise Unreachable(f"No agent can be started on node {node[:8]}: {str(error)[:200]}") from None
        return self._agents[node]


def _got(reference: Any, seconds: float) -> Any:
    try:
        return ray.get(reference, timeout=seconds)
    except Exception as error:  # Ray's own, and what was raised on the node: either way there is no answer
        raise Unreachable(f"{type(error).__name__}: {str(error).strip().splitlines()[-1][:300]}") from None


def _cards() -> list[int]:
    return [int(card) for card in ray.get_gpu_ids()]


def _read(place: Path) -> str:
    with contextlib.suppress(OSError):
        return place.read_text().strip()
    return ""


def _knock(where: str) -> None:
    """Whether anybody listens: Ray itself would try for minutes."""
    host, _, port = where.removeprefix("ray://").rpartition(":")
    try:
        socket.create_connection((host, int(port)), KNOCK_SECONDS).close()
    except (OSError, ValueError) as error:
        raise Unreachable(f"No Ray cluster answers at {where} ({error}). `ray status` says more.") from None


def survey(address: str) -> list[tuple[NodeSeen, NodeFacts | None, float, str]]:
    """Every living node, what its agent says of it, how far its clock is from ours in seconds, and what is wrong."""
    cluster = Cluster(address)
    found: list[tuple[NodeSeen, NodeFacts | None, float, str]] = []
    for node in cluster.nodes():
        if not node.alive:
            continue
        asked = time.time()
        try:
            facts: NodeFacts = cluster.call(node.node, "facts", seconds=60.0)
            # the first answer waits for the agent's start
            asked = time.time()
            facts = cluster.call(node.node, "facts", seconds=60.0)
            found.append((node, facts, facts.wall - (asked + time.time()) / 2, ""))
        except Unreachable as error:
            found.append((node, None, 0.0, str(error)))
    cluster.close()
    return found


def main(argv: list[str]) -> int:
    """A line of JSON for each living node: {"node": …, "facts": …, "skew": seconds, "trouble": ""}."""
    try:
        found = survey(argv[1])
    except Unreachable as error:
        print(error, file=sys.stderr)
        return 1
    for node, facts, skew, trouble in found:
        told = None if facts is None else facts.model_dump(mode="json")
        print(json.dumps({"node": node.model_dump(mode="json"), "facts": told, "skew": skew, "trouble": trouble}))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv))
