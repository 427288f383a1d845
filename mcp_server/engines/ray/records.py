"""What this machine remembers of runs on a cluster, what nodes are told and answer, and where it all lies.

A run on a cluster has a key with a fencing number, its epoch: a run whose node is gone is made again under the next
epoch, and nobody listens to what the old one still says.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from pydantic import Field

from mcp_server.nouns.paths import Place, RunPaths
from mcp_server.nouns.records import Answer, OnCluster, Record


class Unreachable(Exception):
    """A cluster, or one node of it, does not answer now."""


EPOCHS = 2  # a run that is lost is made again once


class Key(Record):
    """One run under one epoch, as nodes know it."""

    lab: str
    run_id: str
    epoch: int

    @property
    def name(self) -> str:
        return f"{self.run_id}-{self.epoch}"


class Remote(Record):
    """Where a run is: `remote.json` in its folder, replaced whole at each step."""

    key: Key
    engine: OnCluster
    ticket: int
    first: int = 1  # the epoch it was handed over with
    node: str = ""  # that its lease is on; "": none yet
    sent: bool = False  # whether the node's agent has begun it
    former: tuple[
        tuple[str, int], ...
    ] = ()  # (node, epoch) of attempts that were given up: told to stop when they can be

    @property
    def lease(self) -> str:
        """The cluster's name for what the run has of it."""
        return f"{leases_of(self.key.lab)}{self.key.name}"

    @property
    def may_again(self) -> bool:
        return self.key.epoch - self.first + 1 < EPOCHS

    def again(self) -> Remote:
        """The same run under the next epoch."""
        left = (*self.former, (self.node, self.key.epoch)) if self.node else self.former
        key = self.key.model_copy(update={"epoch": self.key.epoch + 1})
        return self.model_copy(update={"key": key, "node": "", "sent": False, "former": left})


def leases_of(lab: str) -> str:
    """How the names of all leases of a lab begin."""
    return f"autoresearch-{lab}-"


class Errands(Record):
    """What a node's agent is told of one run: whose it is, what lies where, and which devices its lease has."""

    key: Key
    folder: Path  # of the run, on the lab's machine: paths below it are the node's own folder's
    shelves: dict[str, str]  # folder or file on the lab's machine -> the shelf that holds a copy
    cards: tuple[str, ...] = ()  # of the lease; (): whatever the node has


class Heard(Answer):
    """What a node's agent says of one run. `clock`: the node's seconds since its boot, sleep included."""

    key: Key
    state: str  # running, ended, interrupted (it died after the seal), gone
    clock: float
    begun: bool = False
    progress: str = ""
    log: str | None = None  # its tail; None: as it was
    log_bytes: int = -1


class NodeFacts(Answer):
    """One node as its agent sees it."""

    host: str
    version: str
    python: str
    ray: str
    tier: str = ""
    findings: tuple[str, ...] = ()  # what keeps it from a better tier
    devices: tuple[str, ...] = ()
    free_bytes: int = 0
    corpora: tuple[str, ...] = ()  # fingerprints of the corpora on its shelves
    wall: float = 0.0  # its unix time
    clock: float = 0.0
    runs: tuple[str, ...] = ()  # at work, of all labs


class NodeSeen(Answer):
    """One node as the courier last saw it."""

    node: str
    host: str
    alive: bool
    resources: dict[str, float] = Field(default_factory=dict)

    @property
    def makes_runs(self) -> bool:
        """Whether it has anything that a run could lease."""
        return bool(self.resources.keys() & {"CPU", "GPU"})

    @property
    def name(self) -> str:
        """As people tell it from others: several may be on one host."""
        return f"{self.host}/{self.node[:8]}"


class Roll(Answer):
    """The nodes of a cluster, as `nodes-….json`: a view for people, never the truth."""

    address: str
    at: float  # unix time
    nodes: tuple[NodeSeen, ...] = ()
    trouble: str = ""  # why the cluster cannot be asked


@dataclass(frozen=True)
class Desk:
    """What a courier of one lab and one cluster keeps in the lab's state."""

    state: Path
    address: str

    @property
    def _mark(self) -> str:
        return hashlib.sha256(self.address.encode()).hexdigest()[:8]

    folder = Place("cluster", of="state")
    # one file for each run that a cluster owes us, named after the run; its text is the cluster's address
    owed = Place("owed")
    lock = Place("courier-{self._mark}.lock")  # held by the courier for life
    started = Place("courier-{self._mark}.started")  # touched at each start of a courier
    log = Place("courier-{self._mark}.log")
    silent = Place("silent-{self._mark}")  # exists while the cluster cannot be reached; its time is since when
    roll = Place("nodes-{self._mark}.json")
    parcels = Place("parcels")  # what is on its way


def state_of(folder: RunPaths) -> Path:
    """The lab's state folder of `<state>/runs/<campaign>/<experiment>/<run>`."""
    return folder.folder.parents[3]


def owed_name(folder: RunPaths) -> str:
    campaign, experiment, run = folder.folder.parts[-3:]
    return f"{campaign}@{experiment}@{run}"


def folder_of(state: Path, name: str) -> RunPaths:
    """The run's folder of a name in `owed`. Raises ValueError."""
    campaign, experiment, run = name.split("@")
    return RunPaths(state / "runs" / campaign / experiment / run)
