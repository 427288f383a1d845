"""How fast a lab with a long past answers: `python -m benchmarks.ledger [experiments]`.

A synthetic ledger of 10,000 decided experiments, written by the ledger itself, over a real repository. Medians are of
the wall; processor time stands beside them, for on a busy machine only that says what the code costs. git's own time
is what its processes took, and is told apart for `run_experiment`.
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
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from mcp_server.engines import local
from mcp_server.lab import Lab
from mcp_server.ledger import Ledger
from mcp_server.nouns.decided import Decided
from mcp_server.nouns.records import DeviceReading, Kind, Purpose, RunResult, RunState
from mcp_server.nouns.rows import Experiment
from mcp_server.repo.command import GitCommand

ROUNDS = 15
TARGETS = {"lab_status": 50.0, "recall": 50.0, "recall by constant": 50.0, "run_experiment without git": 100.0}
AT_A_THOUSAND = {"recall": 20.0, "recall by constant": 20.0, "find a duplicate": 20.0}  # and below
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
    """Milliseconds of one call: on the wall, of the processor, and of that spent in git."""

    wall: float
    cpu: float
    git: float


def repository(folder: Path) -> Lab:
    """A user's repository with an arena."""
    folder.mkdir(parents=True)
    (folder / "program.md").write_text(PROGRAM)
    (folder / "train.py").write_text("RATE = 1.0\n" + "".join(f"KNOB_{n} = {n}\n" for n in range(200)))
    (folder / "score.py").write_text("print('{}')\n")
    quiet = {**os.environ, "GIT_CONFIG_GLOBAL": "/dev/null"}
    named = ("git", "-c", "user.name=User", "-c", "user.email=user@example.com")
    for words in (("init", "-q", "-b", "main"), ("add", "."), ("commit", "-q", "-m", "first")):
        subprocess.run([*named, *words], cwd=folder, check=True, env=quiet)
    return Lab(folder)


def begin(lab: Lab) -> None:
    """A campaign whose baseline was scored; no supervisor is started."""
    local.start = lambda paths, alive_fd: 0
    lab.start_campaign("first", calibrate=0)
    score(lab, 1.0)
    lab.lab_status()


def score(lab: Lab, value: float) -> None:
    """Let the open runs have ended well."""
    with lab.reading() as (bench, _, _):
        for run in bench.ledger.open_runs():
            bench.ledger.close_run(run, result(value), AT)


def result(value: float) -> RunResult:
    device = DeviceReading(name="cpu", identity="a processor")
    return RunResult(
        state=RunState.SCORED, score=value, train_seconds=20.0, wall_seconds=20.0, steps=900, device=device
    )


def fill(ledger: Ledger, experiments: int, since: int = 1) -> None:
    """A long past: one in forty was kept, some crashed, some were repeated, and a lesson for every tenth."""
    draw, best = random.Random(since), 1.0
    first = ledger.experiment("first", 1)
    ledger._fact = contextlib.nullcontext  # type: ignore[method-assign]  # the made-up past is one transaction
    ledger._db.execute("BEGIN")
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
            snapshot=first.snapshot,
            base=base,
            fingerprint=f"{draw.getrandbits(256):064x}",
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
        ended = RunResult(state=RunState.CRASHED, reason="nonzero_exit") if crashed else result(found)
        ledger.close_run(runs[0], ended, AT)
        if keep:
            again = ledger.open_run("first", number, 8, Purpose.CONFIRM, AT)
            ledger.close_run(again, result(found + 0.0001), AT)
        verdict = Decided(
            score=None if crashed else found,
            change=best - found,
            noise_widths=1.0,
            against=base,
            reason="measured",
            outcome="kept" if keep else "crashed" if crashed else "discarded",
        )
        ledger.intend("first", number, "keep" if keep else "revert", "provisional" if keep else None, verdict, AT)
        ledger.settle("first", number, "keep" if keep else "revert", first.commit_sha if keep else None)
        if keep:
            best, base = found, number
        if number % 10 == 0:
            text = f"{' '.join(draw.sample(WORDS, 5))} {number}: it moved the loss by {best - found:+.4f}."
            ledger.add_learning("first", number, text, [one.theme], "agent", AT)
    ledger._db.execute("COMMIT")
    del ledger._fact


@contextlib.contextmanager
def git_watched() -> Iterator[list[float]]:
    """Seconds spent waiting for git."""
    spent: list[float] = []
    plainly = GitCommand.once

    def once(self: GitCommand, *given: object, **named: object) -> object:
        begin = time.perf_counter()
        try:
            return plainly(self, *given, **named)  # type: ignore[arg-type]  # whatever it was called with
        finally:
            spent.append(time.perf_counter() - begin)

    GitCommand.once = once  # type: ignore[assignment,method-assign]  # put back below
    try:
        yield spent
    finally:
        GitCommand.once = plainly  # type: ignore[method-assign]  # as it was


def gauge(act: Callable[[], object]) -> Gauge:
    """One call."""
    with git_watched() as spent:
        before = resource.getrusage(resource.RUSAGE_SELF)
        begin = time.perf_counter()
        act()
        wall = time.perf_counter() - begin
        after = resource.getrusage(resource.RUSAGE_SELF)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Gauge(wall * 1000, cpu * 1000, sum(spent) * 1000)


def median(act: Callable[[int], object], prepare: Callable[[int], object] = lambda _: None) -> Gauge:
    """Of several calls, the first of which is not counted; what `prepare` does before each is not either."""
    taken = []
    for turn in range(ROUNDS + 1):
        prepare(turn)
        taken.append(gauge(partial(act, turn)))
    del taken[0]
    return Gauge(*(statistics.median(getattr(one, name) for one in taken) for name in ("wall", "cpu", "git")))


def measure(experiments: int) -> dict[str, Gauge]:
    """Medians by verb, over a ledger of so many experiments."""
    with tempfile.TemporaryDirectory() as folder:
        lab = repository(Path(folder) / "lab")
        begin(lab)
        with lab.reading() as (bench, _, _):
            fill(bench.ledger, experiments)
        lab.lab_status()  # draws the views of the new past, once

        def propose(turn: int) -> None:
            score(lab, 2.0)  # what was asked for before has ended
            train = lab.paths.tree / "train.py"
            lines = train.read_text().splitlines()
            train.write_text("\n".join([f"RATE = {turn + 2}.5", *lines[1:]]) + "\n")

        found = {
            "lab_status": median(lambda _: lab.lab_status()),
            "recall": median(lambda turn: lab.recall(f"{WORDS[turn % len(WORDS)]} depth warmup")),
            "recall by constant": median(lambda turn: lab.recall("", [f"KNOB_{turn}"])),
            "find a duplicate": median(lambda turn: duplicates(lab, turn)),
            "read_score": median(lambda turn: lab.read_score(2 + turn)),
            "append_learnings": median(
                lambda turn: lab.append_learnings(f"{WORDS[turn % len(WORDS)]} {turn} alone did nothing.")
            ),
            "run_experiment": median(lambda turn: lab.run_experiment(f"rate {turn}"), propose),
        }
        asked = found["run_experiment"]
        found["run_experiment without git"] = Gauge(asked.wall - asked.git, asked.cpu, 0.0)
        lab._ledger = None
        return found


def duplicates(lab: Lab, turn: int) -> None:
    """What run_experiment asks the memory: was this code, or this edit, tried before?"""
    with contextlib.closing(Ledger(lab.paths.ledger)) as ledger:
        assert len(ledger.twins(ledger.experiment("first", 2 + turn).fingerprint, "first")) == 1
        ledger.same_edit(ledger.experiment("first", 2 + turn).edit, "first")


def main() -> int:
    """Print the medians; 1 when one misses its target."""
    experiments = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    os.environ.setdefault("GIT_CONFIG_GLOBAL", "/dev/null")
    os.environ["AUTORESEARCH_CHART"] = "off"  # a chart is drawn by a process of its own
    found, missed = measure(experiments), False
    targets = TARGETS | (AT_A_THOUSAND if experiments <= 1000 else {})
    print(f"{experiments} experiments; medians of {ROUNDS} calls, in milliseconds")
    print(f"{'':28}{'wall':>8}{'processor':>12}{'git':>8}{'target':>9}")
    for name, one in found.items():
        target = targets.get(name)
        missed |= target is not None and one.wall > target
        print(f"{name:28}{one.wall:8.1f}{one.cpu:12.1f}{one.git:8.1f}{target or '':>9}")
    return int(missed)


if __name__ == "__main__":
    sys.exit(main())
