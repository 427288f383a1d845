"""What lives on a node: it keeps the supervisors of runs there, and answers the couriers of labs. No Ray in here.

A supervisor holds a pipe of its agent's, and ends with it. The truth is on the node's disk (a run's lock and its result
file), so an agent that was killed comes back knowing all it knew. A device is leased on the node as it is on any
machine, by a lock that its supervisor holds.
"""

from __future__ import annotations

import contextlib
import os
import platform
import select
import shutil
import socket
import time
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import mcp_server
from mcp_server.arena.corpus import read_corpus
from mcp_server.engines import local
from mcp_server.engines.ray.parcels import ITEM, for_node, pack, piece, take, unpack
from mcp_server.engines.ray.records import Errands, Heard, Key, NodeFacts
from mcp_server.nouns.errors import AutoresearchError
from mcp_server.nouns.files import is_locked, locked, private_folder, remove, try_lock
from mcp_server.nouns.paths import RunPaths, cache_folder
from mcp_server.nouns.records import RunProgress, RunSpec
from mcp_server.runner.machine import devices
from mcp_server.runner.sandbox import probe
from mcp_server.secrecy.guard import search_for
from mcp_server.secrecy.proof import refusal

TAIL_BYTES = 64 * 1024
LEFT_SECONDS = 14 * 86400.0  # after which the folder of a run that nobody came back for is removed
LOGS = ("log.txt", "score.log", "beside/log.txt", "beside/score.log", "supervisor.log")
VIEWS = ("view.svg", "view.png")
BACK = ("result.json", "sealed.json", "artifact", "beside/artifact", *VIEWS, *LOGS)  # what comes back of a run


def node_clock() -> float:
    """Seconds since the boot, sleep included: what two machines can compare the passing of."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class Agent:
    """One node's. Every method but `look` returns at once or within the moving of one piece; each may be repeated."""

    def __init__(self, root: Path | None = None) -> None:
        """root: where all that is a node's lies; None for Ray, which starts it as it starts everything."""
        if root is None:
            _as_the_node_was_started()
        self.root = root or cache_folder() / "node"
        private_folder(self.root)
        # whoever holds the reading end hears when we are gone; nobody ever writes
        self._kept, self._life = os.pipe()
        self._ends: dict[str, int] = {}  # by run: what becomes readable when its supervisor has ended
        self._sweep()

    # -- what lies on the node -----------------------------------------------------------------------------------------

    def folder(self, key: Key) -> RunPaths:
        return RunPaths(self._lab(key) / "runs" / key.run_id / str(key.epoch))

    def _lab(self, key: Key) -> Path:
        return self.root / "labs" / key.lab / "autoresearch"

    def _shelf(self, name: str) -> Path:
        return self.root / "shelves" / name

    def _parcel(self, name: str) -> Path:
        return self.root / "parcels" / f"{name}.tar"

    # -- what is asked of it -------------------------------------------------------------------------------------------

    def facts(self) -> NodeFacts:
        """The node as it is now."""
        report = probe()
        return NodeFacts(
            host=socket.gethostname(),
            version=mcp_server.__version__,
            python=platform.python_version(),
            ray=_version_of_ray(),
            tier=str(report.tier),
            findings=tuple(report.findings),
            devices=devices.available(),
            free_bytes=shutil.disk_usage(self.root).free,
            corpora=tuple(sorted(_corpora(self.root / "shelves"))),
            wall=time.time(),
            clock=node_clock(),
            runs=tuple(
                f"{folder.parent.name}-{folder.name}" for folder in self._runs() if is_locked(RunPaths(folder).alive)
            ),
        )

    def version(self) -> str:
        """Of the package that is installed on the node."""
        return mcp_server.__version__

    def has(self, shelf: str) -> bool:
        """Whether a shelf is filled."""
        return self._shelf(shelf).exists()

    def take(self, name: str, offset: int, content: bytes) -> None:
        """A piece of a parcel that is coming in."""
        take(self._parcel(name), offset, content)

    def shelve(self, shelf: str, parcel: str) -> str:
        """Lay out a parcel on a shelf, once; why the node cannot use it, or "".

        Runs that begin together each bring one: pieces of two senders in one file would be neither's.
        """
        with locked(self.root / "shelves.lock"):
            if self.has(shelf):
                self._parcel(parcel).unlink(missing_ok=True)
                return ""
            half_made = self._shelf(shelf).with_name(f".{shelf}")
            shutil.rmtree(half_made, ignore_errors=True)
            half_made.mkdir(mode=0o700, parents=True)
            unpack(self._parcel(parcel), half_made, {})
            wrong = _readable_here(half_made / ITEM)
            if not wrong:
                os.replace(half_made, self._shelf(shelf))
            self._parcel(parcel).unlink()
            return wrong

    def begin(self, errands: Errands) -> str:
        """Lay the parcel of this run out and start its supervisor, unless one lives; why it cannot run here, or ""."""
        folder = self.folder(errands.key)
        private_folder(folder.folder)
        alive = try_lock(folder.alive)
        if alive is None:
            return ""
        try:
            if folder.result.exists():
                return ""
            parcel = self._parcel(errands.key.name)
            if not folder.spec.exists():
                moved = self._moved(errands, folder)
                unpack(parcel, folder.folder, moved)
                spec = RunSpec.read(folder.folder / "sent.json")
                wrong = _lacking(spec, errands.cards)
                if wrong:
                    return wrong
                for_node(spec, moved, errands.cards or spec.devices).write(folder.spec)
            self._hear_the_end(errands.key, local.start(folder, alive, self._kept))
            parcel.unlink(missing_ok=True)
        finally:
            os.close(alive)
        return ""

    def _hear_the_end(self, key: Key, pid: int) -> None:
        self._unhear(key)
        with contextlib.suppress(OSError):
            self._ends[key.name] = os.pidfd_open(pid)

    def _unhear(self, key: Key) -> None:
        if key.name in self._ends:
            os.close(self._ends.pop(key.name))

    def _moved(self, errands: Errands, folder: RunPaths) -> dict[Path, Path]:
        """Which place of the lab's machine is which one here."""
        state = errands.folder.parents[3]
        moved = {Path(place): self._shelf(shelf) / ITEM for place, shelf in errands.shelves.items()}
        return moved | {
            errands.folder: folder.folder,
            state / "queue": self._lab(errands.key) / "queue",
            state / "tolerances.json": folder.folder / "tolerances.json",
        }

    def look(self, key: Key, log_bytes: int = -1, wait_seconds: float = 0.0) -> Heard:
        """How a run is once it has ended, or after so many seconds. `log_bytes`: how much of its log is known; the
        tail of a log that grew is told."""
        folder = self.folder(key)
        if wait_seconds and key.name in self._ends:
            ended = select.poll()
            ended.register(self._ends[key.name], select.POLLIN)
            ended.poll(1000 * wait_seconds)
        lives = is_locked(folder.alive)  # before the result is looked for, which is written first
        if lives:
            state = "running"
        elif folder.result.exists():
            state = "ended"
        else:
            state = "interrupted" if folder.sealed.exists() and folder.artifact.exists() else "gone"
        told: dict[str, object] = {}
        with contextlib.suppress(OSError):
            told["progress"] = folder.progress.read_text(errors="replace")
            size = folder.log.stat().st_size
            if size != log_bytes:
                with open(folder.log, "rb") as file:
                    file.seek(max(0, size - TAIL_BYTES))
                    told |= {"log": file.read(TAIL_BYTES).decode(errors="replace"), "log_bytes": size}
        return Heard.model_validate(
            {"key": key, "state": state, "clock": node_clock(), "begun": folder.begun.exists(), **told}
        )

    def cancel(self, key: Key) -> None:
        """Ask a run to stop."""
        folder = self.folder(key)
        if folder.folder.exists():
            folder.cancel.touch()

    def pack(self, key: Key) -> str:
        """Make what came of a run into a parcel; its name."""
        folder, name = self.folder(key).folder, f"{key.name}.back"
        pack([(folder / one, one) for one in BACK], self._parcel(name))
        return name

    def piece(self, name: str, offset: int) -> bytes:
        """A piece of a parcel that goes out."""
        return piece(self._parcel(name), offset)

    def forget(self, key: Key) -> bool:
        """Stop a run, and once it stands still remove all of it; whether that is done."""
        folder = self.folder(key)
        if is_locked(folder.alive):
            folder.cancel.touch()
            return False
        self._unhear(key)
        its_own = (self._parcel(key.name), self._parcel(f"{key.name}.back"))
        for parcel in (*its_own, *(self.root / "parcels").glob(f"*-{key.name}.tar")):
            parcel.unlink(missing_ok=True)
        with contextlib.suppress(OSError):
            remove(folder.folder)
        return True

    def _runs(self) -> list[Path]:
        return [one for one in self.root.glob("labs/*/autoresearch/runs/*/*") if one.is_dir()]

    def _sweep(self) -> None:
        """What nobody came back for does not stay for ever."""
        for folder in (*self._runs(), *(self.root / "parcels").glob("*.tar")):
            with contextlib.suppress(OSError):
                if time.time() - folder.stat().st_mtime > LEFT_SECONDS and not is_locked(RunPaths(folder).alive):
                    remove(folder) if folder.is_dir() else folder.unlink()


def _as_the_node_was_started() -> None:
    """Ray shows a process without a lease no GPU, has it hold the cluster's token, and puts it behind all others (a
    niceness of 15): the node's supervisors get the variables and, where the user may, the priority that the node was
    started with, without the token.
    """
    with contextlib.suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, 0, os.getpriority(os.PRIO_PROCESS, os.getppid()))
    with contextlib.suppress(OSError):
        said = Path(f"/proc/{os.getppid()}/environ").read_bytes().split(b"\0")
        before = dict(one.decode(errors="surrogateescape").partition("=")[::2] for one in said)
        for name in ("CUDA_VISIBLE_DEVICES", "OMP_NUM_THREADS"):
            os.environ.pop(name, None)
            if name in before:
                os.environ[name] = before[name]
    for name in ("RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"):
        os.environ.pop(name, None)


def _version_of_ray() -> str:
    with contextlib.suppress(PackageNotFoundError):
        return version("ray")
    return ""


def _corpora(shelves: Path) -> list[str]:
    found = []
    for shelf in shelves.glob("[!.]*"):
        with contextlib.suppress(AutoresearchError, OSError):
            found.append(read_corpus(shelf / ITEM).fingerprint)
    return found


def _readable_here(item: Path) -> str:
    """Why a corpus must not be used on this node: a run here could read its sealed text elsewhere. "" if it may."""
    if not (item / "sealed").is_dir():
        return ""
    try:
        proof = search_for(item)
    except AutoresearchError as error:
        return str(error)
    return refusal(item, proof) if proof is not None and proof.found else ""


def _lacking(spec: RunSpec, cards: Sequence[str]) -> str:
    """What the run needs and the node has not, with what to do; "" if it has all."""
    if spec.environment is not None and not spec.environment.python.exists():
        return (
            f"The node {socket.gethostname()} has no {spec.environment.python}, in which this campaign's commands run. "
            "Install that environment at the same path on every node, or begin a campaign without one (docs/ray.md)."
        )
    if spec.devices[0].startswith("cuda") and not cards:
        return f"The node {socket.gethostname()} was given no GPU. Name it in engine: resources: {{GPU: 1}}."
    return ""


def read_progress(text: str) -> RunProgress | None:
    """A run's progress as its node wrote it; None for none."""
    with contextlib.suppress(ValueError):
        return RunProgress.model_validate_json(text)
    return None
