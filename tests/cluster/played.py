"""A cluster that a test plays: real agents in this process, nodes that come and go as it says."""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mcp_server.engines.ray.agent import Agent
from mcp_server.engines.ray.courier import Courier
from mcp_server.engines.ray.records import Desk, NodeSeen, Unreachable

ADDRESS = "played:1"
NODE = "0123456789abcdef"


class PlayedCluster:
    """Nodes by name, each with room for one run. `silent`: nodes that do not answer. `calls`: what was asked."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.agents: dict[str, Agent] = {}
        self.dead: set[str] = set()
        self.silent: set[str] = set()
        self.leases: dict[str, str | None] = {}
        self.granted: list[str] = []  # names of leases in the order in which they were given
        self.calls: list[str] = []
        self._mutex = threading.RLock()

    def add(self, node: str = NODE) -> Agent:
        """A node more, or the same with an agent that knows nothing but its disk."""
        self.agents[node] = Agent(self.folder / node)
        self.dead.discard(node)
        return self.agents[node]

    def lose(self, node: str) -> None:
        """A node is gone: its agent ends, and with it what it kept."""
        import os

        self.dead.add(node)
        os.close(self.agents.pop(node)._life)

    def nodes(self) -> tuple[NodeSeen, ...]:
        known = [*self.agents, *(node for node in self.dead if node not in self.agents)]
        return tuple(NodeSeen(node=one, host="played", alive=one in self.agents, resources={"CPU": 1}) for one in known)

    def lease(self, name: str, resources: dict[str, float]) -> None:
        with self._mutex:
            self.leases.setdefault(name, None)

    def leased(self, name: str) -> str | None:
        with self._mutex:
            free = [node for node in self.agents if node not in self.leases.values()]
            if self.leases.get(name) is None and free:
                self.leases[name] = free[0]
                self.granted.append(name)
            return self.leases.get(name)

    def cards(self, name: str) -> tuple[str, ...]:
        return ()

    def drop(self, name: str) -> None:
        with self._mutex:
            self.leases.pop(name, None)

    def sweep(self, beginning: str, current: Collection[str]) -> None:
        for name in [one for one in self.leases if one.startswith(beginning) and one not in current]:
            self.drop(name)

    def warm(self, node: str) -> None: ...

    def call(self, node: str, method: str, *arguments: Any, seconds: float = 1.0) -> Any:
        self.calls.append(method)
        if node not in self.agents or node in self.silent:
            raise Unreachable("played")
        return getattr(self.agents[node], method)(*arguments)

    def close(self) -> None: ...


@contextmanager
def courier(state: Path, cluster: PlayedCluster) -> Iterator[Courier]:
    """A courier at work in a thread, until the end of the block."""
    desk = Desk(state, ADDRESS)
    desk.parcels.mkdir(parents=True, exist_ok=True)
    found = Courier(desk, lambda _: cluster)
    thread = threading.Thread(target=found.work, daemon=True)
    thread.start()
    try:
        yield found
    finally:
        found.stopping.set()
        thread.join(20)
