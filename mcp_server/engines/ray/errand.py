"""One run's way over a cluster: a lease, the parcel out, the watching, the parcel back, the result. One thread each.

Every step can be cut short and begun again by the next courier: what was reached stands in remote.json, the lease and
the node's agent have names, and the run's result is written last. Only the answers of the current epoch are heard.
"""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import threading
import time
from collections.abc import Callable, Collection
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

import mcp_server
from mcp_server.engines.ray.agent import BACK, node_clock, read_progress
from mcp_server.engines.ray.clocks import Mark, disagreement
from mcp_server.engines.ray.parcels import ITEM, fingerprint, last, needed, pack, piece, take, unpack
from mcp_server.engines.ray.records import Desk, Errands, Heard, Key, NodeSeen, Remote, Unreachable, owed_name
from mcp_server.nouns.files import replace_quickly, text_of
from mcp_server.nouns.paths import RunPaths
from mcp_server.nouns.records import RunProgress, RunResult, RunSpec, RunState
from mcp_server.runner.machine.queue import is_held

LOOK_SECONDS, PAUSE_SECONDS = 0.25, 0.05
UNHEARD_SECONDS = 60.0  # after which a node that the cluster calls alive, and that never answers, is given up
FORGET_SECONDS, UNPACK_SECONDS = 10.0, 120.0
OUT = ("order.json", "work", "trusted", "artifact", "sealed.json", "beside/artifact")


log = logging.getLogger("mcp_server.engines.ray")


class Cluster(Protocol):
    """What is asked of a cluster. `drop`, `sweep` and `warm` pass over silence; the others raise Unreachable."""

    def nodes(self) -> tuple[NodeSeen, ...]: ...
    def lease(self, name: str, resources: dict[str, float]) -> None: ...
    def leased(self, name: str) -> str | None: ...
    def cards(self, name: str) -> tuple[str, ...]: ...
    def drop(self, name: str) -> None: ...
    def sweep(self, beginning: str, current: Collection[str]) -> None: ...
    def warm(self, node: str) -> None: ...
    def call(self, node: str, method: str, *arguments: object, seconds: float = ...) -> object: ...
    def close(self) -> None: ...


class Gone(Exception):
    """The run is lost where it was: why."""


class Cancelled(Exception):
    """Somebody asked for its end before it had begun."""


class Held(Exception):
    """A person paused its campaign before it had begun."""


class Refused(Exception):
    """The node cannot make this run, and no other try would help: why."""


class Errand:
    """One owed run."""

    def __init__(
        self,
        folder: RunPaths,
        desk: Desk,
        cluster: Cluster,
        seen: Callable[[str], NodeSeen | None],
        turn: Callable[[int], bool],
        stopping: threading.Event,
    ) -> None:
        """seen: a node as the head last told of it. turn: whether nobody with a lower ticket waits for a lease."""
        self.folder, self.desk = folder, desk
        self._cluster, self._seen, self._turn, self._stopping = cluster, seen, turn, stopping
        self.remote: Remote = Remote.read(folder.remote)
        spec: RunSpec = RunSpec.read(folder.spec)
        self._campaign, self._rescore = spec.campaign, spec.rescore
        self._first: Mark | None = None
        self._doubt = ""
        self._log_bytes = -1
        self._failing: float | None = None  # since when the present step fails

    @property
    def waiting(self) -> bool:
        """Whether it has no lease yet, and wants one."""
        return not self.remote.node and not self._held()

    def _held(self) -> bool:
        """Whether a person holds its campaign. What only its scorer is asked for again has begun long ago."""
        return not self._rescore and is_held(self.desk.state / "queue", self._campaign)

    def carry_out(self) -> bool:
        """To the end; False when the courier stops before. Raises OSError when the disk refuses."""
        if self.folder.result.exists():
            self._leave()  # an earlier courier came as far as that
            return True
        while not self._stopping.is_set():
            try:
                self._lease()
                self._send()
                self._attend()
                return True
            except Gone as why:
                if self.folder.cancel.exists():
                    return self._end(RunState.CANCELLED, "cancelled", f"It was cancelled. {why}")
                if not self._again(str(why)):
                    return self._end(RunState.LOST, "supervisor_lost", f"{why} Run the same code again.")
            except Held:
                self._give_back()
            except Cancelled:
                return self._end(RunState.CANCELLED, "cancelled", "It was cancelled.")
            except Refused as why:
                return self._end(RunState.LOST, "cannot_start", str(why))
            except Unreachable as why:
                if self._stuck(str(why)) and not self._again(str(why)):
                    words = f"Node {self._host()} could not make it: {why}"
                    return self._end(RunState.LOST, "supervisor_lost", words)
                self._stopping.wait(LOOK_SECONDS)
        return False

    def _stuck(self, why: str) -> bool:
        """Whether a node that is there has failed at one step for long: a full disk, a package that is missing."""
        if not self.remote.node or self._stopping.is_set():
            return False
        log.warning("%s on %s: %s", self.remote.key.name, self._host(), why)
        self._failing = self._failing or time.monotonic()
        return time.monotonic() - self._failing > UNHEARD_SECONDS

    # -- the steps -----------------------------------------------------------------------------------------------------

    def _lease(self) -> None:
        """Have a node. While a person holds the campaign we ask for none, and are in nobody's way. Raises Cancelled."""
        asked = held = False
        while not self.remote.node:
            if self.folder.cancel.exists():
                raise Cancelled
            if self._held():
                if not held:
                    self._cluster.drop(self.remote.lease)
                asked, held = False, True
                self._pause(PAUSE_SECONDS)
                continue
            held, asked = False, asked or self._turn(self.remote.ticket)
            if asked:
                self._cluster.lease(self.remote.lease, self.remote.engine.resources)
                node = self._cluster.leased(self.remote.lease)
                if node is not None:
                    self._note(node=node)
                    break
            self._pause(PAUSE_SECONDS)

    def _send(self) -> None:
        """Have the node begin it. Raises Gone, Refused, Cancelled, Held."""
        if self.remote.sent:
            return
        if self.folder.cancel.exists():
            raise Cancelled
        self._there()
        theirs = self._ask("version")
        if theirs != mcp_server.__version__:
            raise Refused(
                f"Node {self._host()} has autoresearch {theirs}, and this lab {mcp_server.__version__}. Install one "
                "version on all machines; `autoresearch doctor --engine` names them."
            )
        spec: RunSpec = RunSpec.read(self.folder.spec)
        shelves = {str(place): self._shelve(place) for place in needed(spec, self.folder.folder)}
        key, parcel = self.remote.key, self.desk.parcels / f"{self.remote.key.name}.tar"
        tolerances = self.desk.state / "tolerances.json"
        names = [*OUT, *(place.name for place in self.folder.folder.glob("incumbent-*") if place.is_dir())]
        entries = [(self.folder.folder / name, name) for name in names]
        pack([*entries, (self.folder.spec, "sent.json"), (tolerances, tolerances.name)], parcel)
        self._push(parcel, key.name)
        cards = self._cluster.cards(self.remote.lease) if self.remote.engine.resources.get("GPU") else ()
        errands = Errands(key=key, folder=self.folder.folder, shelves=shelves, cards=cards)
        if self._held():
            heard = self._ask("look", key)  # an answer to `begin` may have been lost: what has begun goes on
            assert isinstance(heard, Heard)
            if heard.state == "gone":
                raise Held
        # weights of some GB take a while to lay out; asked again meanwhile, they would be sent into what is being read
        wrong = self._ask("begin", errands, seconds=UNPACK_SECONDS)
        if wrong:
            raise Refused(str(wrong))
        self._note(sent=True)

    def _shelve(self, place: Path) -> str:
        """Have a copy of `place` on the node, sent there once; its shelf's name. Raises Refused."""
        shelf = fingerprint(place)
        if not self._ask("has", shelf):
            name = f"{shelf}-{self.remote.key.name}"
            parcel = self.desk.parcels / f"{name}.tar"
            pack([(place.resolve(), ITEM)], parcel)
            self._push(parcel, name)
            wrong = self._ask("shelve", shelf, name, seconds=1800.0)
            if wrong:
                raise Refused(str(wrong))
        return shelf

    def _push(self, parcel: Path, name: str) -> None:
        offset = 0
        while True:
            content = piece(parcel, offset)
            self._ask("take", name, offset, content)
            if last(content):
                break
            offset += len(content)
        parcel.unlink()

    def _attend(self) -> None:
        """Watch it, and take in what came of it. Raises Gone."""
        heard_at = time.monotonic()
        while True:
            self._there()
            if self.folder.cancel.exists():
                self._ask("cancel", self.remote.key)
            asked, began = node_clock(), time.monotonic()
            try:
                heard = self._ask("look", self.remote.key, self._log_bytes, LOOK_SECONDS)
            except Unreachable:
                if time.monotonic() - heard_at > UNHEARD_SECONDS:
                    raise Gone(f"Its node {self._host()} does not answer.") from None
                self._pause(LOOK_SECONDS)
                continue
            assert isinstance(heard, Heard)
            if heard.key != self.remote.key:
                self._pause(LOOK_SECONDS)
                continue  # an older epoch's
            heard_at = time.monotonic()
            self._failing = None if heard.state == "running" else self._failing
            self._mark(Mark(asked, node_clock(), heard.clock))
            self._show(heard)
            if heard.state == "gone":
                raise Gone(f"Its supervisor on node {self._host()} died.")
            if heard.state != "running":
                self._bring(heard.state == "interrupted")
                return
            self._pause(max(0.0, began + LOOK_SECONDS - time.monotonic()))  # a node that was begun anew cannot wait

    def _bring(self, interrupted: bool) -> None:
        """Fetch what came of it; the result is laid down last, and then the run is not owed any more."""
        name = str(self._ask("pack", self.remote.key, seconds=600.0))
        parcel = self.desk.parcels / f"{name}.tar"
        parcel.unlink(missing_ok=True)
        offset = 0
        while True:
            content = self._ask("piece", name, offset)
            assert isinstance(content, bytes)
            take(parcel, offset, content)
            if last(content):
                break
            offset += len(content)
        arrived = self.folder.folder / "arrived"
        shutil.rmtree(arrived, ignore_errors=True)
        try:
            unpack(parcel, arrived)
        except (OSError, ValueError) as error:
            raise Gone(f"What came back from node {self._host()} cannot be read: {error}.") from None
        parcel.unlink()
        result = None if interrupted else self._read(arrived / "result.json")
        for name in BACK:
            if name != "result.json" and (arrived / name).exists():
                self._settle(arrived / name, self.folder.folder / name)
        shutil.rmtree(arrived, ignore_errors=True)
        self.folder.begun.touch()
        if result is not None:
            told = {"node": self._host(), "tainted": result.tainted or self._doubt}
            result.model_copy(update=told).write(self.folder.result)
        self._leave()

    def _read(self, place: Path) -> RunResult:
        try:
            return RunResult.read(place)
        except (OSError, ValueError) as error:
            raise Gone(f"The result from node {self._host()} cannot be read: {str(error)[:200]}.") from None

    def _settle(self, place: Path, there: Path) -> None:
        there.parent.mkdir(exist_ok=True)
        if there.is_dir():
            shutil.rmtree(there)
        os.replace(place, there)

    # -- endings -------------------------------------------------------------------------------------------------------

    def _again(self, why: str) -> bool:
        """Begin the next epoch, if one is left; the lease of this one is given back."""
        self._cluster.drop(self.remote.lease)
        if not self.remote.may_again:
            return False
        self.remote = self.remote.again()
        self.remote.write(self.folder.remote)
        self._first, self._doubt, self._log_bytes, self._failing = None, "", -1, None  # all of that was another node's
        latest = read_progress(text_of(self.folder.progress))
        phase = RunProgress(phase="waiting", pid=0, budget_seconds=latest.budget_seconds if latest else 0.0)
        replace_quickly(self.folder.progress, phase.model_dump_json())
        replace_quickly(self.folder.supervisor_log, f"{why} It is made again, as epoch {self.remote.key.epoch}.\n")
        return True

    def _give_back(self) -> None:
        """Have no lease any more, and nothing on the node, where nothing of it has begun."""
        with contextlib.suppress(Unreachable):
            self._ask("forget", self.remote.key)
        self._cluster.drop(self.remote.lease)
        self._note(node="")

    def _end(self, state: RunState, reason: str, detail: str) -> bool:
        order = RunSpec.read(self.folder.spec).order
        ended = datetime.now(UTC).isoformat(timespec="milliseconds")
        RunResult(state=state, order=order, reason=reason, detail=detail, ended_at=ended, node=self._host()).write(
            self.folder.result
        )
        self._leave()
        return True

    def _leave(self) -> None:
        """Give the lease back; it is not owed any more. Then have the nodes forget it, as far as they answer."""
        self._cluster.drop(self.remote.lease)
        (self.desk.owed / owed_name(self.folder)).unlink(missing_ok=True)
        left = [*self.remote.former, *([(self.remote.node, self.remote.key.epoch)] if self.remote.node else [])]
        ends = time.monotonic() + FORGET_SECONDS
        for node, epoch in left:
            key: Key = self.remote.key.model_copy(update={"epoch": epoch})
            seen = self._seen(node)
            while seen is not None and seen.alive and time.monotonic() < ends:
                with contextlib.suppress(Unreachable):
                    if self._cluster.call(node, "forget", key):
                        break
                time.sleep(LOOK_SECONDS)

    # -- what is known -------------------------------------------------------------------------------------------------

    def _there(self) -> None:
        """Raises Gone when the cluster has buried the node, or never heard of it: it was started anew."""
        seen = self._seen(self.remote.node)
        if seen is None or not seen.alive:
            raise Gone(f"Its node {self._host()} is gone.")

    def _ask(self, method: str, *arguments: object, seconds: float = 20.0) -> object:
        return self._cluster.call(self.remote.node, method, *arguments, seconds=seconds)

    def _host(self) -> str:
        seen = self._seen(self.remote.node) if self.remote.node else None
        return seen.name if seen is not None else self.remote.node[:8]

    def _note(self, **update: object) -> None:
        self.remote, self._failing = self.remote.model_copy(update=update), None
        self.remote.write(self.folder.remote)

    def _mark(self, mark: Mark) -> None:
        self._first = self._first or mark
        self._doubt = self._doubt or disagreement(self._first, mark)

    def _show(self, heard: Heard) -> None:
        """What the node tells of the run, where people look for it on this machine."""
        if heard.begun and not self.folder.begun.exists():
            self.folder.begun.touch()
        found = read_progress(heard.progress)
        if found is not None:
            replace_quickly(self.folder.progress, found.model_copy(update={"node": self._host()}).model_dump_json())
        if heard.log is not None:
            self._log_bytes = heard.log_bytes
            replace_quickly(self.folder.log, heard.log)

    def _pause(self, seconds: float) -> None:
        if self._stopping.wait(seconds):
            raise Unreachable("the courier stops")
