"""How fast a large community is: 8 labs of 1,250 attempts each, or of as many as one says.

Seven labs are made of signed journals that the product's own code writes (16 attempts a commit, each a train.py of
25 KB with one constant moved), in one bare repository; the eighth is a real lab with a ledger of as many experiments.
Told are medians of the wall with the goal beside it, and processor seconds of this process and of git, for on a busy
machine only those say what the code costs.
"""

from __future__ import annotations

import os
import random
import re
import resource
import statistics
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from unittest.mock import patch

from benchmarks.community.table import Told, at_most
from benchmarks.ledger import begin, fill, repository
from mcp_server.campaign.gathered.record import note_record
from mcp_server.community.exchange import Exchange, Report
from mcp_server.community.settings import OFF, Places, Settings, write_settings
from mcp_server.community.wire import journal
from mcp_server.community.wire.keys import LabKey, own_key
from mcp_server.community.wire.store import Store, journal_ref, make_bare
from mcp_server.lab import Lab
from mcp_server.nouns.exchanged import Attempt

LABS = 8
ROUNDS = 5
EPOCH = 1767225600
WORDS = ("warmup", "rotary", "attention", "width", "depth", "momentum", "decay", "clip", "norm", "batch", "dropout")
CONSTANTS = [f"{word.upper()}_{n}" for word in WORDS for n in range(18)]
# a piece of text that no tokenizer of today takes apart further: a generous count of tokens
PIECES = re.compile(r"[A-Za-z]{1,4}|\d{1,3}|[^\sA-Za-z\d]")
LINE = "x = x + mlp(norm(x))  # a line of a trainer, as long as such lines are\n"


def source(constant: str, value: float) -> bytes:
    """A trainer of 25 KB in which one constant has another value."""
    knobs = "".join(f"{name} = {value if name == constant else 1.0}\n" for name in CONSTANTS)
    return (knobs + LINE * 290).encode()


class Writer:
    """A lab that only publishes."""

    def __init__(self, folder: Path, remote: Path, contract: str, draw: random.Random) -> None:
        self.store, self.key = Store.at(folder / "store.git"), own_key(folder)
        self.remote, self.contract, self.draw, self.n = remote, contract, draw, 0

    def attempt(self) -> tuple[Attempt, bytes]:
        self.n += 1
        name, value = self.draw.choice(CONSTANTS), round(self.draw.uniform(0.1, 9.0), 3)
        gain = round(self.draw.gauss(-0.002, 0.002), 6)
        kept = gain > 0.002
        one = Attempt(
            n=self.n,
            mark=f"{self.draw.getrandbits(64):016x}",
            contract=self.contract,
            code=f"{self.draw.getrandbits(128):032x}",
            edit=f"{self.draw.getrandbits(128):032x}",
            status="kept" if kept else "discarded",
            knobs=((name, "1.0", str(value)),),
            theme="optimizer",
            score=round(1 - gain, 6),
            against=1.0,
            gain=gain,
            low=gain - 0.001,
            high=gain + 0.001,
            widths=round(gain / 0.0005, 2),
            comparison="slot",
            seeds=(1,),
            runs={"scored": 1},
            steps=900,
            machine="NVIDIA H200",
            at="2026-01-01T00:00:00Z",
            text=" ".join(self.draw.sample(WORDS, 5)),
            lesson=" ".join(self.draw.sample(WORDS, 8)) if self.n % 10 == 0 else "",
        )
        return one, source(name, value)

    def publish(self, count: int) -> None:
        told = [self.attempt() for _ in range(count)]
        commits = self.store.write_attempts(
            [({"train.py": code}, None, EPOCH + 60 * one.n, f"attempt {one.n}\n") for one, code in told]
        )
        lines = [one.model_copy(update={"commit": commit}) for (one, _), commit in zip(told, commits, strict=True)]
        for start in range(0, len(lines), journal.MOST_ATTEMPTS):
            tip = self.store.heads().get(self.key.lab)
            some = lines[start : start + journal.MOST_ATTEMPTS]
            new = journal.append(self.store, self.key, tip, some, EPOCH + 60 * some[-1].n)
            assert self.store.move_ref(journal_ref(self.key.lab), new, tip or self.store.zero, "publish")
        self.push()

    def push(self) -> None:
        ref = journal_ref(self.key.lab)
        where = {"GIT_ALLOW_PROTOCOL": "file"}
        self.store.do("push", "--quiet", str(self.remote), f"{ref}:{ref}", environment=where)


def exchange(lab: Lab) -> Report:
    """One exchange, whatever the period says."""
    Places.of(lab.paths.state).last.unlink(missing_ok=True)
    with Exchange(lab.workspace, lambda: datetime.now(UTC)) as found:
        return found.run()


def join(lab: Lab, remote: Path) -> LabKey:
    places = Places.of(lab.paths.state)
    write_settings(places, Settings(remote=str(remote), kind="folder", name=lab.paths.tree.name))
    return own_key(places.folder)


def taken(act: Callable[[], object]) -> tuple[float, float]:
    """Seconds of the wall, and of the processor with all that was started."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    began = time.perf_counter()
    act()
    wall = time.perf_counter() - began
    after = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    cpu = sum(b.ru_utime + b.ru_stime - a.ru_utime - a.ru_stime for a, b in zip(used, after, strict=True))
    return wall, cpu


def told(what: str, goal: float | None, rounds: list[tuple[float, float]]) -> Told:
    """The median of the wall, which the goal is about, and of the processor."""
    wall, cpu = (statistics.median(values) for values in zip(*rounds, strict=True))
    more = f"processor {cpu:.3f} s, {len(rounds)} rounds"
    print(f"{what:38} {wall:8.3f} s, {more}", flush=True)
    return (
        Told("2", what, "", f"{wall:.3f} s, {more}") if goal is None else at_most("2", what, wall, goal, " s", 3, more)
    )


def one_more(lab: Lab, last: int) -> int:
    """One more decided experiment in the ledger."""
    with lab.reading() as (bench, _, _):
        fill(bench.ledger, last + 1, last)
        note_record(bench.ledger, "first")
    return last + 1


def measure(each: int, folder: Path) -> list[Told]:
    draw = random.Random(1)
    remote = folder / "remote.git"
    make_bare(remote)
    lab = repository(folder / "lab")
    begin(lab)
    (lab.paths.tree / "train.py").write_bytes(source("", 1.0))
    with lab.reading() as (bench, campaign, arena):
        fill(bench.ledger, each)
        note_record(bench.ledger, "first")  # as every decision does
        with Exchange(lab.workspace, lambda: datetime.now(UTC)) as found:
            contract = found.contract(campaign, arena)
    began = time.perf_counter()
    writers = [Writer(folder / f"w{n}", remote, contract, random.Random(n)) for n in range(LABS - 1)]
    for writer in writers:
        writer.publish(each)
    print(f"{LABS - 1} journals of {each} attempts written in {time.perf_counter() - began:.1f} s", flush=True)
    found = [told("lab_status before it joined", None, [taken(lab.lab_status) for _ in range(ROUNDS + 1)][1:])]
    join(lab, remote)
    found.append(told("join with a past of its own", None, [taken(lambda: exchange(lab))]))
    fresh = repository(folder / "fresh")
    join(fresh, remote)
    found.append(told("join from nothing", 5, [taken(lambda: exchange(fresh))]))
    found.append(told("exchange with nothing new", 0.1, [taken(lambda: exchange(lab)) for _ in range(ROUNDS)]))
    rounds, last = [], each
    for _ in range(ROUNDS):
        last = one_more(lab, last)
        rounds.append(taken(lambda: exchange(lab)))
    found.append(told("publish one", 0.2, rounds))
    lab.lab_status()  # draws what is our own; what comes now are other labs' records
    rounds, cold = [], []
    for _ in range(ROUNDS):
        for writer in (*writers, draw.choice(writers)):
            writer.publish(1)
        rounds.append(taken(lambda: exchange(lab)))
        cold.append(taken(lab.lab_status))
    found.append(told("fetch of 8 new", 0.2, rounds))
    found.append(told("lab_status, the first after new records", 0.05, cold))
    found.append(told("lab_status", 0.05, [taken(lab.lab_status) for _ in range(ROUNDS + 1)][1:]))
    asked = "raise the momentum of the depth"
    found.append(told("recall", 0.05, [taken(lambda: lab.recall(asked)) for _ in range(ROUNDS + 1)][1:]))
    said = lab.lab_status().community
    pieces = len(PIECES.findall("\n".join(said)))
    found.append(at_most("2", "lab_status says of the community", pieces, 600, " tokens", 0))
    store = Store(remote)
    store.do("gc", "--quiet", "--prune=now")
    size = sum(file.stat().st_size for file in remote.rglob("*") if file.is_file())
    found.append(at_most("2", "an attempt, packed", size / (LABS * each), 2048, " bytes", 0))
    found.append(at_most("2", f"refs of {LABS} labs, no run going on", len(store.refs("refs/")), LABS, "", 0))
    return found


def rows(each: int = 1250) -> list[Told]:
    # what is measured happens when it is asked for
    with patch.dict(os.environ, {OFF: "off"}), tempfile.TemporaryDirectory() as folder:
        return measure(each, Path(folder))
