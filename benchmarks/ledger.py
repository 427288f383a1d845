"""How fast a lab with a long past answers: `python -m benchmarks.ledger [experiments]`.

Every verb over a ledger of 100 decided experiments and over one of 10,000, written by the ledger itself with results as
large as real ones (curve, device, the incumbent's half: 4 to 6 KB each), over a real repository with the shipped
train.py. A verb is flat where it takes at most 1.5 times as long after 10,000 experiments as after 100, or under 50 ms.
Medians are of the wall; processor time stands beside them, for on a busy machine only that says what the code costs.
The processes of git are counted.
"""

from __future__ import annotations

import contextlib
import os
import random
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any
from unittest import mock

from mcp_server.campaign.gathered.record import note_record
from mcp_server.engines.local import Local
from mcp_server.lab import Lab
from mcp_server.ledger import Ledger
from mcp_server.nouns.decided import Decided
from mcp_server.nouns.files import private_folder
from mcp_server.nouns.paths import RunPaths
from mcp_server.nouns.records import (
    Audit,
    CurvePoint,
    DeviceReading,
    Half,
    HostUse,
    Kind,
    Purpose,
    RunResult,
    RunState,
    Tier,
)
from mcp_server.nouns.rows import Experiment
from mcp_server.repo.command import GitCommand
from mcp_server.views.history import PAGE, history

ROUNDS = 11
FEW = 100  # experiments to compare with
FLAT, SOON = 1.5, 50.0  # at most so many times as long as after a few, or so many milliseconds
MOST_GITS = 6  # processes of one verb
RESULT_BYTES = (3800, 6100)  # of real results
TRAIN = Path(__file__).resolve().parents[1] / "train.py"
AT = "2026-01-01T00:00:00.000+00:00"
THEMES = ("optimizer", "architecture", "schedule", "data", "regularisation")
WORDS = ("warmup", "rotary", "attention", "width", "depth", "momentum", "decay", "clip", "norm", "batch", "dropout")
PROGRAM = """\
---
goal: be quick
metric: {name: loss, direction: minimize}
editable: [train.py]
frozen: [score.py]
run: python train.py
score: python score.py
budget: {seconds: 20}
devices: cpu
---
Be quick.
"""


@dataclass
class Gauge:
    """Milliseconds of one call, on the wall and of the processor, and how many gits ran."""

    wall: float
    cpu: float
    gits: float


def repository(folder: Path, seconds: int = 20) -> Lab:
    """A user's repository with an arena whose runs have so many seconds."""
    folder.mkdir(parents=True)
    (folder / "program.md").write_text(PROGRAM.replace("seconds: 20", f"seconds: {seconds}"))
    knobs = "".join(f"KNOB_{n} = {n}\n" for n in range(200))
    (folder / "train.py").write_text(f"RATE = 1.0\n{knobs}" + TRAIN.read_text().replace("from __future__", "# from"))
    (folder / "score.py").write_text("print('{}')\n")
    quiet = {**os.environ, "GIT_CONFIG_GLOBAL": "/dev/null"}
    named = ("git", "-c", "user.name=User", "-c", "user.email=user@example.com")
    for words in (("init", "-q", "-b", "main"), ("add", "."), ("commit", "-q", "-m", "first")):
        subprocess.run([*named, *words], cwd=folder, check=True, env=quiet)
    return Lab(folder, engine=NoSupervisor())


class NoSupervisor(Local):
    """All of a launch but what would train."""

    def launch(self, folder: RunPaths, lay_out: Callable[[], None]) -> None:
        private_folder(folder.folder)
        lay_out()


def begin(lab: Lab) -> None:
    """A campaign whose baseline was scored."""
    lab.start_campaign("first", calibrate=0)
    score(lab, 1.0)
    lab.lab_status()


def score(lab: Lab, value: float) -> None:
    """Let the open runs have ended well."""
    with lab.reading() as (bench, _, _):
        for run in bench.ledger.open_runs():
            bench.ledger.close_run(run, result(value), AT)


def result(value: float, seed: int = 0) -> RunResult:
    """As long as a real one: a curve each of the run and of the incumbent beside it, the device, the audit."""
    draw = random.Random(seed)
    curve = tuple(
        CurvePoint(step=n * 14, tokens=n * 28672, seconds=round(n * 0.53 + draw.random() / 9, 3), loss=4 / (n + 1))
        for n in range(1, 33)
    )
    device = DeviceReading(
        name="cpu", identity="a processor of 2 cores", load_before=0.01, load_after=0.02, speed=draw.random() * 1e9
    )
    hosts = HostUse(ready_seconds=2.1, answer_seconds=4.2, read_mb=0.1)
    audit = Audit(correction=1e-9, correction_sd=1e-9, largest_difference=1e-6, positions=1024, tolerance=1e-3)
    told = {"startup_seconds": 2.2, "train_seconds": 20.0, "wall_seconds": 20.1, "cpu_seconds": 20.0, "steps": 900}
    half = Half(**told, curve=curve, hosts=hosts, audit=audit, artifact_sha256="0" * 64, interval=(value, value))
    found = RunResult(
        **told, state=RunState.SCORED, score=value, device=device, curve=curve, hosts=hosts, audit=audit, beside=half,
        secondary={"val_loss": value, "bytes": 617935.0}, artifact_sha256="0" * 64, tier=Tier.T2, clock="cpu",
    )  # fmt: skip
    size = len(found.model_dump_json(exclude_defaults=True))
    assert RESULT_BYTES[0] <= size <= RESULT_BYTES[1], size
    return found


def kept_commits(lab: Lab) -> list[str]:
    """Snapshots of the newest keeps, each with another constant changed, as `lab_status` compares the files with."""
    first = lab.workspace.head()[1]
    text, found = (lab.paths.tree / "train.py").read_text(), []
    for number in range(16):
        files = {"train.py": text.replace(f"KNOB_{number} = {number}\n", f"KNOB_{number} = {number}.5\n").encode()}
        found.append(
            lab.workspace.snapshot(("train.py",), first, f"keep {number}", AT, tag="first", files=files).commit
        )
        text = files["train.py"].decode()
    return found


class MadeUp(Ledger):
    """A ledger whose facts join the transaction that is under way, so that a long past is written at once."""

    @contextlib.contextmanager
    def _fact(self) -> Iterator[None]:
        with contextlib.nullcontext() if self._db.in_transaction else super()._fact():
            yield


def fill(ledger: Ledger, experiments: int, since: int = 1, kept: Sequence[str] = ()) -> None:
    """A long past: one in forty was kept, some crashed, some were repeated, and a lesson for every second.

    kept: commits of the newest keeps.
    """
    with contextlib.closing(MadeUp(ledger.path)) as made_up, made_up._fact():
        _decide_many(made_up, experiments, since, kept)


def _decide_many(ledger: MadeUp, experiments: int, since: int, kept: Sequence[str]) -> None:
    commits = dict(zip(range(experiments // 40 * 40, 0, -40), reversed(kept), strict=False))
    draw, best = random.Random(since), 1.0
    first = ledger.experiment("first", 1)
    base = 1
    for number in range(since + 1, experiments + 1):
        words = " ".join(draw.sample(WORDS, 4))
        knob = f"KNOB_{draw.randrange(200)}"
        one = Experiment(
            campaign="first",
            number=number,
            kind=Kind.ATTEMPT,
            description=f"{words} {knob} {number}",
            hypothesis=f"because {' '.join(draw.sample(WORDS, 6))}",
            expected_delta=0.001,
            snapshot=commits.get(number, first.snapshot),
            base=base,
            # what was kept is what lies in the work tree, as in a lab
            fingerprint=first.fingerprint if number % 40 == 0 else f"{draw.getrandbits(256):064x}",
            edit=f"{draw.getrandbits(256):064x}",
            nodes=1000,
            knobs=((knob, str(number), str(number + 1)),),
            protocol=(),
            theme=draw.choice(THEMES),
            program=first.program,
            style=None,
            opened_at=AT,
            tree=first.tree,
        )
        ledger.open_experiment(one, [(7, Purpose.FIRST)])
        ledger.vaulted("first", number)
        keep = number % 40 == 0
        found = best - 0.001 if keep else best + abs(draw.gauss(0, 0.01))
        runs = ledger.runs("first", number)
        crashed = number % 17 == 0 and not keep
        ended = RunResult(state=RunState.CRASHED, reason="nonzero_exit") if crashed else result(found, number)
        ledger.close_run(runs[0], ended, AT)
        if keep:
            again = ledger.open_run("first", number, 8, Purpose.CONFIRM, AT)
            ledger.close_run(again, result(found + 0.0001), AT)
        verdict = Decided(
            decision="keep" if keep else "discard",
            score=None if crashed else found,
            change=best - found,
            low=best - found - 0.002,
            high=best - found + 0.002,
            noise_widths=1.0,
            width=0.001,
            degrees=4.0,
            share=1.0,
            comparison="apart",
            evidence=1.01,
            probability=0.9 if keep else 0.2,
            believed=max(0.0, best - found) / 2,
            against=base,
            reason=f"It gained {best - found:+.6f}, within what the noise of a comparison explains (width 0.001).",
            outcome="kept" if keep else "crashed" if crashed else "discarded",
            machine="a processor of 2 cores",
            looks=1,
            seeds=(7,),
        )
        ledger.intend("first", number, "keep" if keep else "revert", "provisional" if keep else None, verdict, AT)
        ledger.settle(
            "first", number, "keep" if keep else "revert", commits.get(number, first.commit_sha) if keep else None
        )
        if keep:
            best, base = found, number
        if number % 2 == 0:
            text = f"{' '.join(draw.sample(WORDS, 5))} {number}: it moved the loss by {best - found:+.4f}."
            ledger.add_learning("first", number, text, [one.theme], "agent", AT)


@contextlib.contextmanager
def gits_counted() -> Iterator[list[str]]:
    """What each git was asked for that ran meanwhile."""
    ran: list[str] = []
    plainly = GitCommand.running

    def running(self: GitCommand, arguments: Sequence[str], **named: Any) -> Any:
        ran.append(arguments[0])
        return plainly(self, arguments, **named)

    with mock.patch.object(GitCommand, "running", running):
        yield ran


def gauge(act: Callable[[], object]) -> Gauge:
    """One call."""
    with gits_counted() as ran:
        before = resource.getrusage(resource.RUSAGE_SELF)
        begin = time.perf_counter()
        act()
        wall = time.perf_counter() - begin
        after = resource.getrusage(resource.RUSAGE_SELF)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Gauge(wall * 1000, cpu * 1000, len(ran))


def median(act: Callable[[int], object], prepare: Callable[[int], object] = lambda _: None) -> Gauge:
    """Of several calls, the first of which is not counted; what `prepare` does before each is not either."""
    taken = []
    for turn in range(ROUNDS + 1):
        prepare(turn)
        taken.append(gauge(partial(act, turn)))
    del taken[0]
    return Gauge(*(statistics.median(getattr(one, name) for one in taken) for name in ("wall", "cpu", "gits")))


@contextlib.contextmanager
def past(experiments: int, folder: Path) -> Iterator[Lab]:
    """A lab with so many experiments behind it."""
    lab = repository(folder / "lab")
    begin(lab)
    kept = kept_commits(lab)
    with lab.reading() as (bench, _, _):
        fill(bench.ledger, experiments, kept=kept)
        note_record(bench.ledger, "first")  # as settling does, now and then
    tip = lab.workspace.branch("first") or ""
    lab.workspace.git.move_ref("refs/heads/autoresearch/first", kept[-1], tip)
    (lab.paths.tree / "train.py").write_bytes(lab.workspace.committed(("train.py",), kept[-1])["train.py"])
    lab.lab_status()  # draws the views of the new past, once
    try:
        yield lab
    finally:
        lab._ledger = None


def measure(experiments: int) -> dict[str, Gauge]:
    """Medians by verb, over a ledger of so many experiments."""
    with tempfile.TemporaryDirectory() as folder, past(experiments, Path(folder)) as lab:

        def propose(turn: int) -> None:
            score(lab, 2.0)  # what was asked for before has ended
            train = lab.paths.tree / "train.py"
            lines = train.read_text().splitlines()
            train.write_text("\n".join([f"RATE = {turn + 2}.5", *lines[1:]]) + "\n")

        def asked(turn: int) -> None:
            propose(turn + 100)
            lab.run_experiment(f"rate {turn + 100}")
            score(lab, 2.0)

        def decided(turn: int) -> None:
            asked(turn + 300)
            lab.commit_or_revert()

        found = {
            "lab_status": median(lambda _: lab.lab_status()),
            "recall": median(lambda turn: lab.recall(f"{WORDS[turn % len(WORDS)]} depth warmup")),
            "recall by constant": median(lambda turn: lab.recall("", [f"KNOB_{turn}"])),
            "find a duplicate": median(lambda turn: duplicates(lab, turn)),
            "read_score": median(lambda turn: lab.read_score(2 + turn)),
            "append_learnings": median(
                lambda turn: lab.append_learnings(f"{WORDS[turn % len(WORDS)]} {turn} alone did nothing at all here.")
            ),
            "history, a page": median(lambda _: history(lab, limit=PAGE)),
            "run_experiment": median(lambda turn: lab.run_experiment(f"rate {turn}"), propose),
            "lab_status, edited files": median(lambda _: lab.lab_status()),
            "read_score, scored": median(lambda _: lab.read_score(), asked),
            "commit_or_revert": median(lambda _: lab.commit_or_revert(), lambda turn: asked(turn + 200)),
            "lab_status, new advice": median(lambda _: lab.lab_status(), decided),
        }
        found["status in the shell"] = shell(lab)
        return found


def shell(lab: Lab) -> Gauge:
    """`autoresearch status` from beginning to end, the best of several: the machine is rarely as quiet as it is."""
    command = [sys.executable, "-m", "mcp_server.cli", "-C", str(lab.paths.tree), "status"]
    taken = []
    for _ in range(5):
        begin = time.perf_counter()
        subprocess.run(command, check=True, capture_output=True, cwd=TRAIN.parent)
        taken.append(1000 * (time.perf_counter() - begin))
    return Gauge(min(taken), float("nan"), float("nan"))


def duplicates(lab: Lab, turn: int) -> None:
    """What run_experiment asks the memory: was this code, or this edit, tried before?"""
    with contextlib.closing(Ledger(lab.paths.ledger)) as ledger:
        assert len(ledger.twins(ledger.experiment("first", 2 + turn).fingerprint, "first")) == 1
        ledger.same_edit(ledger.experiment("first", 2 + turn).edit, "first")


def main() -> int:
    """Print the medians; 1 when a verb is not flat, or asks for too many gits."""
    experiments = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    os.environ.setdefault("GIT_CONFIG_GLOBAL", "/dev/null")
    os.environ["AUTORESEARCH_LABS"] = "off"
    os.environ["AUTORESEARCH_CHART"] = "off"  # a chart is drawn by a process of its own
    few, many, missed = measure(FEW), measure(experiments), False
    print(f"medians of {ROUNDS} calls in milliseconds, after {FEW} and after {experiments:,} experiments")
    print(f"{'':28}{'wall':>16}{'processor':>18}{'gits':>6}")
    for name, one in many.items():
        before = few[name]
        slow = one.wall > max(SOON, FLAT * before.wall) or one.gits > MOST_GITS
        missed |= slow
        pairs = f"{before.wall:8.1f}{one.wall:8.1f}{before.cpu:10.1f}{one.cpu:8.1f}"
        print(f"{name:28}{pairs}{one.gits:6.0f}{'  missed' if slow else ''}")
    return int(missed)


if __name__ == "__main__":
    sys.exit(main())
