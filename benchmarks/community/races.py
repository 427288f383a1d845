"""Leases under contention: eight labs in processes of their own, one remote, the product's own claims.

1,000 pieces of code, each claimed by eight at once: one holder each. Then holders are killed with SIGKILL: nobody gets
their code before their word has run out, and then exactly one does. Then the remote goes, and then it only hangs: a
claim waits no longer than it may, and the run goes on.

In the second part the racers' clocks run `SPEED` times as fast as ours, for a lease is at least two minutes long.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from benchmarks.community.table import Told, at_most
from benchmarks.ledger import repository
from mcp_server.arena.program import load_program
from mcp_server.community.leases.claim import Claim, ToClaim
from mcp_server.community.leases.known import read_known
from mcp_server.community.settings import Kind, Places, Settings, write_settings
from mcp_server.community.wire.keys import own_key
from mcp_server.community.wire.store import LEASES, Store, make_bare
from mcp_server.repo.workspace import Workspace

RACERS, CONTESTED, KILLED = 8, 1000, 6
SPEED = 60.0
AT_A_TIME = 16  # codes that are held at once, before they are let go
CONTRACT = "ab" * 16


def racer(folder: Path, speed: float) -> None:
    """One lab: claims what it is told on a line of JSON, and answers on one."""
    began = time.time()
    workspace, arena = Workspace(folder), load_program(folder / "program.md").arena
    places = Places.of(workspace.paths.state)

    def clock() -> float:
        return began + (time.time() - began) * speed

    for line in sys.stdin:
        code = json.loads(line)
        claim = Claim(places, workspace, clock)
        start = time.time()
        begun = 0.0
        try:
            told, _ = claim.about(CONTRACT, code, [("KNOB", "1", code)], arena)
        except ToClaim:
            claim.send()
            begun = time.time() - start  # a run would start now, and be stopped where the answer says so
            claim.wait()
            told, _ = claim.about(CONTRACT, code, [("KNOB", "1", code)], arena)
        if not told:
            claim.runs("race", 1)
        answer = {"runs": not told, "told": told, "at": time.time(), "seconds": time.time() - start, "begun": begun}
        print(json.dumps({**answer, "failures": read_known(places).failures}), flush=True)


class Racer:
    """A lab in a process of its own, as its referee sees it."""

    def __init__(self, folder: Path, remote: str, kind: Kind = "folder", speed: float = 1.0) -> None:
        self.places = Places.of(repository(folder).paths.state)
        write_settings(self.places, Settings(remote=remote, kind=kind, name=folder.name))
        Store.at(self.places.store)
        self.lab = own_key(self.places.folder).lab
        self.process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.community.races", str(folder), str(speed)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
        )

    def claim(self, code: str) -> dict[str, Any]:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps(code).encode() + b"\n")
        self.process.stdin.flush()
        found: dict[str, Any] = json.loads(self.process.stdout.readline())
        return found

    def kill(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        for stream in (self.process.stdin, self.process.stdout):
            if stream is not None:
                stream.close()


@contextlib.contextmanager
def racers(
    folder: Path, remote: str, count: int = RACERS, kind: Kind = "folder", speed: float = 1.0
) -> Iterator[list[Racer]]:
    """Labs on one remote, each in a process of its own."""
    found = [Racer(folder / f"lab{n}", remote, kind, speed) for n in range(count)]
    try:
        yield found
    finally:
        for one in found:
            one.kill()


def at_once(labs: Sequence[Racer], code: str, pool: ThreadPoolExecutor) -> list[dict[str, Any]]:
    """All claim one piece of code in the same moment."""
    return list(pool.map(lambda lab: lab.claim(code), labs))


def contested(folder: Path, count: int) -> tuple[int, list[float], float]:
    """(codes with exactly one holder, seconds of each claim, processor seconds a claim)."""
    remote = folder / "remote.git"
    make_bare(remote)
    single, refs, waits = 0, 0, []
    used = sum(os.times()[2:4])
    with ThreadPoolExecutor(RACERS) as pool, racers(folder, str(remote)) as labs:
        for n in range(count):
            answers = at_once(labs, f"{n:032x}", pool)
            single += sum(one["runs"] for one in answers) == 1
            waits += [one["seconds"] for one in answers]
            if n % AT_A_TIME == AT_A_TIME - 1 or n == count - 1:
                refs += _let_go(remote, labs)
    assert refs == count, f"{refs} leases of {count}"
    return single, waits, (sum(os.times()[2:4]) - used) / (count * RACERS)


def _let_go(remote: Path, labs: Sequence[Racer]) -> int:
    """As if all that was claimed had run by now; how many leases there were. A community has one a lab, or a few."""
    store = Store(remote)
    held = store.refs(LEASES)
    store.do("update-ref", "--stdin", stdin="".join(f"delete {ref} {oid}\n" for ref, oid in held.items()).encode())
    for one in labs:
        one.places.leases.unlink(missing_ok=True)
    return len(held)


def killed(folder: Path, count: int) -> tuple[int, int]:
    """Holders killed: (codes that one other lab got after the lease was over, starts while it still held)."""
    remote = folder / "remote2.git"
    make_bare(remote)
    well, early = 0, 0
    with ThreadPoolExecutor(RACERS) as pool:
        for n in range(count):
            with racers(folder / f"round{n}", str(remote), RACERS, speed=SPEED) as labs:
                code = f"{n:032x}"
                first = list(zip(labs, at_once(labs, code, pool), strict=True))
                winner, told = next((lab, one["at"] - one["seconds"]) for lab, one in first if one["runs"])
                winner.kill()
                rest = [lab for lab in labs if lab is not winner]
                held = read_known(winner.places).ours[0].seconds / SPEED
                started: list[dict[str, Any]] = []
                while not started and time.time() < told + 5 * held:
                    started = [one for one in at_once(rest, code, pool) if one["runs"]]
                early += sum(one["at"] < told + held for one in started)
                well += len(started) == 1
    return well, early


def gone(folder: Path) -> tuple[float, float, float]:
    """Seconds until a run goes on: a remote that is not there, one that hangs, and the next claim after that."""
    (folder / "gone").mkdir()
    with racers(folder / "gone", str(folder / "nowhere.git"), 1) as (lab,):
        absent = lab.claim("00" * 16)
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen(8)
        (folder / "silent").mkdir()
        with racers(folder / "silent", f"git://127.0.0.1:{silent.getsockname()[1]}/x.git", 1, "host") as (lab,):
            hanging, after = lab.claim("01" * 16), lab.claim("02" * 16)
    assert all(one["runs"] for one in (absent, hanging, after)), "work stopped"
    return absent["begun"], hanging["begun"], after["begun"]


def rows(count: int = CONTESTED, kills: int = KILLED) -> list[Told]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        single, waits, cost = contested(folder, count)
        waits.sort()
        took = f"a claim {waits[len(waits) // 2]:.3f} s (median), {waits[-1]:.2f} at most, processor {cost:.3f} s"
        well, early = killed(folder, kills)
        absent, hanging, after = gone(folder)
    one_holder = f"{single:,} of {count:,}"
    expiry = "holders killed: free after expiry, for one lab each"
    return [
        Told("3", f"contested leases x {RACERS} racers: one holder", "all", f"{one_holder}, {took}", single == count),
        Told("3", expiry, "all", f"{well} of {kills}", well == kills),
        at_most("3", "started while a killed holder's word still held", early, 0, "", 0),
        at_most("3", "lease service gone: seconds until the run starts", absent, 1.0, " s"),
        at_most("5", "host hangs: seconds of a device until the run starts", hanging, 1.0, " s"),
        at_most("5", "and the next run", after, 0.1, " s"),
    ]


if __name__ == "__main__":
    racer(Path(sys.argv[1]), float(sys.argv[2]))
