"""What the lab does about runs on a cluster: hands them over to its courier, and sees whether they are still owed.

Files only. A verb never waits for the cluster and never loads Ray; the courier (a process of its own) does both, and is
started by whoever notices that a run is owed and nobody is at it.
"""

from __future__ import annotations

import contextlib
import importlib.util
import secrets
import time
from collections.abc import Mapping
from pathlib import Path

from mcp_server.engines.ray.records import Desk, Key, Remote, Roll, owed_name, state_of
from mcp_server.nouns.errors import AutoresearchError
from mcp_server.nouns.files import is_locked, private_folder, write_atomically
from mcp_server.nouns.paths import RunPaths
from mcp_server.nouns.records import OnCluster, RunSpec
from mcp_server.programs.installed import with_extra
from mcp_server.runner.machine import leaving

RESTART_SECONDS = 2.0  # between two starts of a courier: one that cannot live is not started all the time


def installed() -> bool:
    """Whether the extra `ray` is there; it is not loaded for that."""
    return importlib.util.find_spec("ray") is not None


def hand_over(folder: RunPaths, spec: RunSpec, on: OnCluster) -> None:
    """Have the courier see to a run that is laid out. Raises OSError, or AutoresearchError where Ray is missing."""
    if not installed():
        raise AutoresearchError(
            f"program.md says `engine: {{name: ray}}`, and Ray is not installed here. Run `{with_extra('ray')}`, or "
            "take that line out."
        )
    desk = Desk(state_of(folder), on.address)
    private_folder(desk.owed)
    before = _before(folder)
    lab, run_id = (spec.order.lab, spec.order.run_id) if spec.order is not None else ("older", secrets.token_hex(8))
    former, epoch = ((), 1) if before is None else (before.again().former, before.key.epoch + 1)
    key = Key(lab=lab, run_id=run_id, epoch=epoch)
    Remote(key=key, engine=on, ticket=spec.ticket, first=epoch, former=former).write(folder.remote)
    write_atomically(desk.owed / owed_name(folder), on.address.encode(), mode=0o600)
    rouse(desk)


def _before(folder: RunPaths) -> Remote | None:
    with contextlib.suppress(OSError, ValueError):
        return Remote.read(folder.remote)
    return None


def owed(folder: RunPaths) -> bool:
    """Whether the cluster still owes us this run; if so, somebody is at it from now on."""
    state = state_of(folder)
    try:
        address = (Desk(state, "").owed / owed_name(folder)).read_text()
    except OSError:
        return False
    with contextlib.suppress(OSError):  # the next verb tries again
        rouse(Desk(state, address))
    return True


def roll(state: Path, address: str) -> Roll | None:
    """The cluster as the courier last saw it; None where none has looked yet."""
    with contextlib.suppress(OSError, ValueError):
        return Roll.read(Desk(state, address).roll)
    return None


def places(state: Path, address: str, resources: Mapping[str, float], on_a_node: int) -> int:
    """How many runs the living nodes hold at once, as the courier last saw them; 1 where it has seen none yet.

    on_a_node: the places of a node's processor, where no card is asked for.
    """
    seen, wanted = roll(state, address), resources or {"CPU": 1.0}
    nodes = () if seen is None else seen.nodes
    rooms = [int(min(one.resources.get(name, 0.0) // share for name, share in wanted.items())) for one in nodes]
    return max(1, sum(rooms if wanted.get("GPU") else (min(room, on_a_node) for room in rooms)))


def rouse(desk: Desk) -> None:
    """Start the courier where none lives, detached as a supervisor is. Raises OSError."""
    if is_locked(desk.lock):
        return
    with contextlib.suppress(FileNotFoundError):
        if 0 <= time.time() - desk.started.stat().st_mtime < RESTART_SECONDS:
            return
    desk.started.touch()
    with open(desk.log, "ab") as log:
        leaving.start("mcp_server.engines.ray.courier", str(desk.state), desk.address, folder=desk.folder, said=log)
