"""The courier of one lab to one cluster: `python -m mcp_server.engines.ray.courier STATE ADDRESS`.

It connects to the cluster, sees to every run that is owed, and goes when nothing has been owed for a while. It decides
nothing: the ledger reads what it lays down. It may die at any instruction (Ray ends it when the cluster is lost);
whoever looks at a run next starts another one, which goes on from what stands in the runs' folders.
"""

from __future__ import annotations

import contextlib
import logging
import os
import sys
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from mcp_server.engines.ray.errand import Cluster, Errand
from mcp_server.engines.ray.records import Desk, NodeSeen, Roll, Unreachable, folder_of, leases_of
from mcp_server.nouns.files import LITTER, replace_quickly, try_lock
from mcp_server.nouns.paths import RunPaths
from mcp_server.nouns.records import RunResult, RunSpec, RunState

TICK_SECONDS, ROLL_SECONDS, SWEEP_SECONDS = 0.05, 0.5, 30.0
IDLE_SECONDS = 600.0
# how long a run waits for a cluster that cannot be reached; AUTORESEARCH_CLUSTER_PATIENCE (seconds) moves it
PATIENCE_SECONDS = 600.0
LOG_BYTES = 4 * 2**20

log = logging.getLogger("mcp_server.engines.ray")


class Courier:
    """All errands of one lab on one cluster."""

    def __init__(self, desk: Desk, connect: Callable[[str], Cluster]) -> None:
        """connect: to the cluster at an address. Raises Unreachable."""
        self.desk, self._connect = desk, connect
        self._errands: dict[str, tuple[Errand, threading.Thread]] = {}
        self._nodes: dict[str, NodeSeen] = {}
        self.stopping = threading.Event()

    def owed(self) -> list[str]:
        """The runs that this cluster owes us, by name."""
        found = []
        with contextlib.suppress(FileNotFoundError):
            for name in sorted(os.listdir(self.desk.owed)):
                with contextlib.suppress(OSError):
                    if not name.endswith(LITTER) and (self.desk.owed / name).read_text() == self.desk.address:
                        found.append(name)
        return found

    def work(self) -> None:
        """Until nothing has been owed for a while, or the cluster is lost."""
        try:
            cluster = self._connect(self.desk.address)
        except Unreachable as error:
            self._unreachable(str(error))
            return
        self.desk.silent.unlink(missing_ok=True)
        busy = looked = swept = time.monotonic()
        self._look(cluster)
        while time.monotonic() - busy < IDLE_SECONDS and not self.stopping.is_set():
            names = self.owed()
            for name in names:
                if name not in self._errands:
                    self._begin(name, cluster)
            self._errands = {name: one for name, one in self._errands.items() if one[1].is_alive()}
            busy = time.monotonic() if names or self._errands else busy
            if time.monotonic() - looked > ROLL_SECONDS:
                looked = time.monotonic()
                self._look(cluster)
            if time.monotonic() - swept > SWEEP_SECONDS:
                swept = time.monotonic()
                self._sweep(cluster)
            time.sleep(TICK_SECONDS)
        self.stopping.set()
        for _, thread in self._errands.values():
            thread.join(1.0)
        cluster.close()

    def _begin(self, name: str, cluster: Cluster) -> None:
        folder = folder_of(self.desk.state, name)
        try:
            errand = Errand(folder, self.desk, cluster, self._nodes.get, self._turn, self.stopping)
        except (OSError, ValueError):
            log.exception("%s cannot be read", name)
            (self.desk.owed / name).unlink(missing_ok=True)  # its folder was moved aside, or is damaged
            return
        thread = threading.Thread(target=_carried_out, args=(errand, name), name=name, daemon=True)
        self._errands[name] = errand, thread
        thread.start()

    def _turn(self, ticket: int) -> bool:
        """Whether a run may ask for a lease: the lab's order is kept, whatever the cluster's is."""
        return not any(one.waiting and one.remote.ticket < ticket for one, _ in list(self._errands.values()))

    def _look(self, cluster: Cluster) -> None:
        try:
            nodes = cluster.nodes()
        except Unreachable:
            return  # Ray ends this process when it stays so
        alive = [one for one in nodes if one.alive]
        for one in alive:
            if one.makes_runs and one.node not in self._nodes:
                cluster.warm(one.node)
        self._nodes.update({one.node: one for one in nodes})
        roll = Roll(address=self.desk.address, at=time.time(), nodes=tuple(alive))
        replace_quickly(self.desk.roll, roll.model_dump_json())

    def _sweep(self, cluster: Cluster) -> None:
        mine = [one.remote for one, _ in self._errands.values()]
        for lab in {one.key.lab for one in mine}:
            cluster.sweep(leases_of(lab), {one.lease for one in mine})

    # -- without a cluster ---------------------------------------------------------------------------------------------

    def _unreachable(self, why: str) -> None:
        """Nobody answers: who is to end ends, and after a while everybody does."""
        log.warning("%s", why)
        if not self.desk.silent.exists():
            self.desk.silent.touch()
        replace_quickly(
            self.desk.roll, Roll(address=self.desk.address, at=time.time(), trouble=why[:400]).model_dump_json()
        )
        patience = float(os.environ.get("AUTORESEARCH_CLUSTER_PATIENCE") or PATIENCE_SECONDS)
        waited = time.time() - self.desk.silent.stat().st_mtime
        for name in self.owed():
            folder = folder_of(self.desk.state, name)
            if folder.cancel.exists():
                self._end(name, folder, RunState.CANCELLED, "cancelled", f"It was cancelled. {why}")
            elif waited > patience:
                words = f"The cluster was out of reach for {waited / 60:.0f} minutes. {why} Run the same code again."
                self._end(name, folder, RunState.LOST, "supervisor_lost", words)

    def _end(self, name: str, folder: RunPaths, state: RunState, reason: str, detail: str) -> None:
        if not folder.result.exists():
            ended = datetime.now(UTC).isoformat(timespec="milliseconds")
            with contextlib.suppress(OSError, ValueError):
                order = RunSpec.read(folder.spec).order
                found = RunResult(state=state, order=order, reason=reason, detail=detail, ended_at=ended)
                found.write(folder.result)
        (self.desk.owed / name).unlink(missing_ok=True)


def _carried_out(errand: Errand, name: str) -> None:
    try:
        errand.carry_out()
    except Exception:  # a full disk, or a mistake of ours: the courier's next look begins it again
        log.exception("%s", name)
        time.sleep(1.0)


def main(argv: list[str]) -> int:
    """Exit status 0 when there was nothing to do any more or another courier lives."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", stream=sys.stderr)
    if len(argv) != 3:
        print("usage: python -m mcp_server.engines.ray.courier STATE ADDRESS", file=sys.stderr)
        return 2
    desk = Desk(Path(argv[1]), argv[2])
    held = try_lock(desk.lock)
    if held is None:
        return 0
    with contextlib.suppress(OSError):
        if desk.log.stat().st_size > LOG_BYTES:
            os.truncate(desk.log, 0)
    desk.parcels.mkdir(mode=0o700, exist_ok=True)
    for left in desk.parcels.glob("*.tar"):
        left.unlink()  # of a courier that died; parcels are made anew
    from mcp_server.engines.ray.cluster import Cluster as Ray  # after the lock: it takes half a second

    Courier(desk, Ray).work()
    os._exit(0)  # errands that wait for an answer must not keep us


if __name__ == "__main__":
    sys.exit(main(sys.argv))
