"""Exchange under everything that may befall it: cut, doubled, reordered, delayed and killed, 8 labs of 200 runs.

A real git daemon stands behind a relay that lets half of the connections pass, delays some and cuts others after some
bytes. Exchanges run in processes of their own, of which many are killed without warning; bundles are carried about,
read twice and in the wrong order. In the end all labs exchange in peace, and everybody must know the same, byte for
byte: every attempt of each lab, once. Meanwhile verbs are timed, for no lab may wait for the network.
"""

from __future__ import annotations

import contextlib
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from unittest.mock import patch

from benchmarks.community.table import Told, at_most
from benchmarks.ledger import begin, fill, repository
from mcp_server.community import membership
from mcp_server.community.claims.table import table as claim_table
from mcp_server.community.exchange import Exchange
from mcp_server.community.settings import OFF, Places, Settings, write_settings
from mcp_server.community.wire.store import make_bare
from mcp_server.lab import Lab, utc_now
from mcp_server.ledger.foreign import Foreign
from mcp_server.ledger.measured import measured
from mcp_server.nouns.errors import AutoresearchError

LABS, RUNS, ROUNDS = 8, 200, 20
LONGEST = 3.0  # seconds that an exchange is left alone


# --- the bad line -----------------------------------------------------------------------------------------------------


def relay(listen: int, to: int, seed: int) -> None:
    """Connections to one port of this machine, passed on to another, more or less."""
    draw = random.Random(seed)
    with socket.socket() as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        server.bind(("127.0.0.1", listen))
        server.listen(64)
        print("ready", flush=True)
        while True:
            ours, _ = server.accept()
            mood = draw.random()
            if mood < 0.1:
                ours.close()
                continue
            left = draw.choice((200, 2_000, 20_000, 200_000)) if mood < 0.35 else 1 << 60
            delay = draw.uniform(0.05, 0.5) if mood > 0.8 else 0.0
            threading.Thread(target=_pass, args=(ours, to, left, delay), daemon=True).start()


def _pass(ours: socket.socket, to: int, left: int, delay: float) -> None:
    with contextlib.suppress(OSError), ours, socket.create_connection(("127.0.0.1", to)) as theirs:
        time.sleep(delay)
        back = threading.Thread(target=_pump, args=(theirs, ours, left), daemon=True)
        back.start()
        _pump(ours, theirs, left)
        back.join()


def _pump(source: socket.socket, sink: socket.socket, left: int) -> None:
    with contextlib.suppress(OSError):
        while left > 0 and (some := source.recv(min(left, 65536))):
            sink.sendall(some)
            left -= len(some)
        for one in (source, sink) if left <= 0 else (sink,):
            one.shutdown(socket.SHUT_RDWR if left <= 0 else socket.SHUT_WR)


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


@contextlib.contextmanager
def served(base: Path, seed: int) -> Iterator[tuple[str, str]]:
    """(the URL of what lies in `base` over a good line, over the bad one)."""
    good, bad = _free_port(), _free_port()
    daemon = ["git", "daemon", "--reuseaddr", "--export-all", "--enable=receive-pack", f"--base-path={base}"]
    quiet = {**os.environ, "GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_SYSTEM": "/dev/null"}
    commands = [
        [*daemon, "--listen=127.0.0.1", f"--port={good}", str(base)],
        [sys.executable, "-m", "benchmarks.community.chaos", str(bad), str(good), str(seed)],
    ]
    found = [
        subprocess.Popen(command, env=quiet, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, start_new_session=True)
        for command in commands
    ]
    try:
        assert found[1].stdout is not None
        found[1].stdout.readline()
        for _ in range(400):
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", good), 0.2):
                break
            time.sleep(0.025)
        yield f"git://127.0.0.1:{good}/remote.git", f"git://127.0.0.1:{bad}/remote.git"
    finally:
        for one in found:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(one.pid, signal.SIGKILL)
            one.wait()
            if one.stdout is not None:
                one.stdout.close()


# --- the labs ---------------------------------------------------------------------------------------------------------


def member(folder: Path, url: str) -> Path:
    """A lab with a baseline, joined; its work tree."""
    with closing(repository(folder)) as lab:
        begin(lab)
        join(lab, url)
    return folder


def join(lab: Lab, url: str) -> None:
    write_settings(Places.of(lab.paths.state), Settings(remote=url, kind="host", name=lab.paths.tree.name))


def decide(tree: Path, until: int, since: int) -> None:
    """Experiments since+1 to until, decided."""
    with closing(Lab(tree)) as lab, lab.reading() as (bench, _, _):
        fill(bench.ledger, until, since)


def exchange(tree: Path, bundle: Path | None = None) -> str:
    """One exchange, whatever the period says; its trouble."""
    lab = Lab(tree)
    Places.of(lab.paths.state).last.unlink(missing_ok=True)
    where = Settings(remote=str(bundle), kind="bundle") if bundle else None
    with Exchange(lab.workspace, utc_now, patience=20.0) as found:
        return found.run(bundle=where).trouble


def bring(tree: Path, bundles: Sequence[Path]) -> None:
    """Read those bundles that were written."""
    for one in bundles:
        if one.exists():
            exchange(tree, one)


def apart(act: Callable[[], object]) -> int:
    """Do something in a process of its own; its id. Nothing of this process may be open then."""
    pid = os.fork()
    if pid:
        return pid
    try:
        os.setsid()
        quiet = os.open(os.devnull, os.O_WRONLY)
        os.dup2(quiet, 2)
        with contextlib.suppress(AutoresearchError):
            act()
        os._exit(0)
    except BaseException:
        os._exit(1)


def table(tree: Path) -> bytes:
    """Everything that is known of attempts, in an order of its own."""
    with closing(Foreign(Places.of(Lab(tree).paths.state).records)) as foreign:
        rows = foreign._rows("SELECT lab, n, rev, mark, status, line FROM records ORDER BY lab, n")
        return "\n".join("\t".join(str(value) for value in row) for row in rows).encode()


def claims(tree: Path) -> bytes:
    """The table of claims of all contracts."""
    with closing(Foreign(Places.of(Lab(tree).paths.state).records)) as foreign:
        return "".join(claim_table(one, measured(foreign, one)) for one in sorted(foreign.all_contracts())).encode()


def timed(tree: Path) -> float:
    """Seconds of one verb."""
    with closing(Lab(tree)) as lab:
        lab.lab_status()
        began = time.perf_counter()
        lab.lab_status()
        return time.perf_counter() - began


def suffer(trees: list[Path], shelf: Path, runs: int, rounds: int, draw: random.Random) -> dict[str, int]:
    """All rounds; how often what happened."""
    count = {"exchanges": 0, "killed": 0, "bundles": 0, "failed": 0}
    done = [1] * len(trees)
    bundles: list[Path] = []
    for turn in range(1, rounds + 1):
        order = draw.sample(range(len(trees)), len(trees))
        for place in order:
            until = 1 + runs * turn // rounds
            decide(trees[place], until, done[place])
            done[place] = until
        work: dict[int, float] = {}
        for place in order:
            tree = trees[place]
            what = draw.random()
            count["exchanges"] += 1
            if what < 0.15:
                bundles.append(shelf / f"{len(bundles)}.bundle")
                pid = apart(partial(membership.carry, Lab(tree).workspace, bundles[-1]))
                count["bundles"] += 1
            elif what < 0.3 and bundles:
                pid = apart(partial(bring, tree, draw.choices(bundles, k=2)))
                count["bundles"] += 2
            else:
                pid = apart(partial(exchange, tree))
            work[pid] = time.monotonic() + (draw.uniform(0.05, 1.5) if draw.random() < 0.35 else LONGEST * 10)
        while work:
            for pid, ends in list(work.items()):
                over, status = os.waitpid(pid, os.WNOHANG)
                if over:
                    count["failed"] += os.waitstatus_to_exitcode(status) == 1
                    del work[pid]
                elif time.monotonic() > ends:
                    count["killed"] += 1
                    os.kill(pid, signal.SIGKILL)
                    os.waitpid(pid, 0)
                    del work[pid]
            time.sleep(0.01)
    return count


def rows(labs: int = LABS, runs: int = RUNS, rounds: int = ROUNDS) -> list[Told]:
    draw = random.Random(18)
    # what is exchanged here is told to
    with patch.dict(os.environ, {OFF: "off"}), tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_bare(folder / "remote.git")
        (folder / "shelf").mkdir()
        with served(folder, 18) as (good, bad):
            trees = [member(folder / f"lab{n}", bad) for n in range(labs)]
            before = sorted(timed(tree) for tree in trees)
            began = time.monotonic()
            count = suffer(trees, folder / "shelf", runs, rounds, draw)
            spent = time.monotonic() - began
            waits = sorted(timed(tree) for tree in trees)
            for tree in trees:
                with closing(Lab(tree)) as lab:
                    join(lab, good)
            troubles = [exchange(tree) for _ in range(2) for tree in trees]
        tables = [table(tree) for tree in trees]
        lines = tables[0].decode().splitlines()
        whole = len(lines) == labs * (runs + 1) and len(set(lines)) == len(lines)
        numbers: dict[str, list[int]] = {}
        for line in lines:
            lab_id, n, *_ = line.split("\t")
            numbers.setdefault(lab_id, []).append(int(n))
        whole &= all(found == list(range(1, runs + 2)) for found in numbers.values()) and len(numbers) == labs
        claimed = [claims(tree) for tree in trees]
        same = len(set(tables)) == len(set(claimed)) == 1 and b"claim " in claimed[0]
        if any(troubles):
            print(f"troubles in peace: {[one for one in troubles if one]}")
    what = f"{labs} labs x {runs} runs, exchange cut, delayed, doubled, reordered, killed"
    met = f"{count['exchanges']} exchanges in {spent:.0f} s, {count['killed']} killed, {count['bundles']} bundles"
    middle, same_words = len(before) // 2, "the same everywhere, byte for byte" if same else "DIFFER"
    return [
        Told("5", f"{what}: tables", "the same", f"{claimed[0].count(b'claim ')} claims {same_words}; {met}", same),
        Told("5", "attempts lost or doubled", "0", f"{'none' if whole else 'SOME'} of {len(lines)}", whole),
        at_most("5", "exchanges that raised, or failed in peace", count["failed"] + sum(map(bool, troubles)), 0, "", 0),
        at_most("5", "longest lab_status amid it", waits[-1], 1.0, " s", 3, f"median {waits[middle]:.3f} s"),
    ]


if __name__ == "__main__":
    relay(int(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
