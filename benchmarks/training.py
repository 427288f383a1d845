"""What a slot is worth: `python -m benchmarks.training [--budget 60] [--seeds 5]`.

The shipped train.py and the plain first one (`baseline_train.py`) are trained, sealed and scored in turn by the real
supervisor: same corpus, budget, seeds, validation bytes and audit. From these runs come bits per byte, tokens a second,
the noise of a repeat, of a seed and of a pair, and where a slot's time goes. Ratios are within one round, so what
disturbs the machine for a while disturbs both sides.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from mcp_server.engines import local
from mcp_server.nouns.files import locked, try_lock
from mcp_server.nouns.paths import RunPaths, cache_folder
from mcp_server.nouns.records import Budget, Pairing, RunResult, RunSpec, RunState

ROOT = Path(__file__).resolve().parents[1]
SHIPPED, PLAIN = ROOT / "train.py", ROOT / "benchmarks" / "baseline_train.py"
SLOT_ALLOWED = (1.1, 3.0)  # of a slot on a CPU: times the budget, plus seconds
FIRST_ALLOWED = 1.03  # of the first slot, times the others


@dataclass(frozen=True)
class Slot:
    """One run from launch to result."""

    file: str
    seed: int
    wall_seconds: float
    result: RunResult

    @property
    def score(self) -> float:
        assert self.result.score is not None
        return self.result.score

    @property
    def parts(self) -> dict[str, float]:
        """Seconds on the wall: start-up, training, scoring without and with the audit's share, and all the rest."""
        startup, training = self.result.startup_seconds or 0.0, self.result.wall_seconds or 0.0
        scoring = self.result.score_seconds or 0.0
        audit = 0.0 if self.result.hosts is None else self.result.hosts.audit_seconds
        rest = self.wall_seconds - startup - training - scoring
        return {
            "start-up": startup,
            "training": training,
            "scoring, all but the audit": scoring - audit,
            "audit": audit,
            "the rest": rest,
        }

    @property
    def processor(self) -> dict[str, float]:
        """Seconds of the processors, which neighbours change less: start-up, and of the host that claims."""
        hosts = self.result.hosts
        return {
            "start-up": self.result.startup_spent_seconds or 0.0,
            "a host until it is ready": 0.0 if hosts is None else hosts.ready_seconds,
            "its claims": 0.0 if hosts is None else hosts.answer_seconds,
        }


@dataclass
class Bench:
    """A folder of runs, one after the other on one device."""

    folder: Path
    budget: float
    corpus: Path = field(default_factory=lambda: (cache_folder() / "current").resolve())
    clock: Literal["cpu", "wall"] = "cpu"
    score_command: tuple[str, ...] = ("python", "-m", "mcp_server.scoring.lm")
    number: int = 0
    device: str = "cpu"
    compiled: Path | None = None  # where the shipped file leaves what its start-up compiled, for all later runs

    def run(self, file: Path, seed: int, pairing: Pairing = "", other: Path | None = None) -> Slot:
        """Train and score one file, with `pairing` beside `other` or itself. Raises SystemExit when it has no score."""
        self.number += 1
        paths = RunPaths(self.folder / "lab" / ".git" / "autoresearch" / "runs" / "bench" / "1" / str(self.number))
        paths.trusted.mkdir(parents=True)
        beside = paths.incumbent(1)
        for tree in (paths.work, beside) if pairing else (paths.work,):
            tree.mkdir(parents=True)
            shutil.copy(other if other is not None and tree == beside else file, tree / "train.py")
            shutil.copy(ROOT / "prepare.py", tree / "prepare.py")
        RunSpec(
            campaign="bench",
            experiment=1,
            run=self.number,
            ticket=self.number,
            queue=self.folder / "lab" / ".git" / "autoresearch" / "queue",
            seed=seed,
            run_command=("python", "train.py"),
            score_command=self.score_command,
            budget=Budget(seconds=self.budget, clock=self.clock),
            devices=(self.device,),
            editable=("train.py",),
            data=self.corpus,
            score_seconds=900,
            incumbent=1 if pairing else None,
            pairing=pairing,
            compiled=self.compiled,
            compiles=file == SHIPPED and not pairing,
        ).write(paths.spec)
        began = time.monotonic()
        alive = try_lock(paths.alive)
        assert alive is not None
        local.start(paths, alive)
        os.close(alive)
        while not paths.result.exists():
            time.sleep(0.05)
        wall = time.monotonic() - began
        with locked(paths.alive):  # the supervisor is gone
            result = RunResult.read(paths.result)
        if result.state is not RunState.SCORED:
            raise SystemExit(f"{file.name} on seed {seed}: {result.state}, {result.reason}. {result.detail}")
        for artifact in (paths.artifact, paths.beside(1).artifact):
            with contextlib.suppress(OSError):
                os.chmod(artifact, 0o700)
            shutil.rmtree(artifact, ignore_errors=True)
        return Slot(file.name, seed, wall, result)


@dataclass(frozen=True)
class Measured:
    """All runs of one benchmark: a pair on each seed, and the first seed once more."""

    budget: float
    shipped: tuple[Slot, ...]
    plain: tuple[Slot, ...]
    again: Slot


def measure(budget: float, seeds: int, say: bool = True) -> Measured:
    """Run everything; about 2 * seeds + 1 slots."""
    with tempfile.TemporaryDirectory(prefix="autoresearch-bench-") as name:
        bench, shipped, plain = Bench(Path(name), budget), [], []
        for seed in range(1, seeds + 1):
            for file, slots in ((SHIPPED, shipped), (PLAIN, plain)):
                slots.append(bench.run(file, seed))
                if say:
                    _say(slots[-1])
        return Measured(budget, tuple(shipped), tuple(plain), bench.run(SHIPPED, 1))


def _say(slot: Slot) -> None:
    result = slot.result
    print(
        f"  {slot.file:18} seed {slot.seed}: {slot.score:.4f} bits per byte, {result.tokens or 0:,} tokens in"
        f" {result.train_seconds:.1f} s, slot {slot.wall_seconds:.1f} s",
        file=sys.stderr,
        flush=True,
    )


def rows(found: Measured) -> list[tuple[str, str, str]]:
    """(what, value, spread) of everything that the runs tell."""
    ratios = [ours.score / theirs.score for ours, theirs in zip(found.shipped, found.plain, strict=True)]
    speeds = [speed(ours) / speed(theirs) for ours, theirs in zip(found.shipped, found.plain, strict=True)]
    scores = [slot.score for slot in found.shipped]
    pairs = [ours.score - theirs.score for ours, theirs in zip(found.shipped, found.plain, strict=True)]
    walls = [slot.wall_seconds for slot in found.shipped]
    factor, more = SLOT_ALLOWED
    overhead = statistics.median(walls) - found.budget
    table = [
        ("bits per byte, shipped", f"{statistics.fmean(scores):.4f}", spread(scores)),
        ("bits per byte, plain first version", f"{statistics.fmean(s.score for s in found.plain):.4f}", ""),
        ("shipped / plain, bits per byte", f"{statistics.fmean(ratios):.3f}", spread(ratios)),
        ("shipped / plain, tokens a second", f"{statistics.fmean(speeds):.2f}", spread(speeds)),
        ("seed noise / bits per byte", f"{statistics.stdev(scores) / statistics.fmean(scores):.4f}", ""),
        ("repeat on one seed / bits per byte", f"{abs(found.again.score - scores[0]) / scores[0]:.4f}", "one pair"),
        (
            "noise of shipped minus plain, paired / unpaired",
            f"{_paired(found):.2f}",
            f"{len(pairs)} pairs of two designs",
        ),
        ("slot / budget", f"{statistics.median(walls) / found.budget:.3f}", spread([w / found.budget for w in walls])),
        ("slot / allowed (1.1 x budget + 3 s)", f"{statistics.median(walls) / (factor * found.budget + more):.3f}", ""),
    ]
    first, others = walls[0], statistics.median(walls[1:])
    table.append(("the first slot / the others", f"{first / others:.2f}", f"allowed {FIRST_ALLOWED:g}"))
    for part in found.shipped[0].parts:
        shares = [slot.parts[part] / slot.wall_seconds for slot in found.shipped]
        table.append((f"share of the slot: {part}", f"{statistics.median(shares):.3f}", spread(shares)))
    for budget in (20, 60, 300):
        table.append((f"experiments an hour at {budget} s", f"{3600 / (budget + overhead):.1f}", "from the overhead"))
    return table


def _paired(found: Measured) -> float:
    """The sd of shipped minus plain on one seed, over that of two different seeds."""
    ours, theirs = ([slot.score for slot in slots] for slots in (found.shipped, found.plain))
    unpaired = (statistics.variance(ours) + statistics.variance(theirs)) ** 0.5
    return statistics.stdev(a - b for a, b in zip(ours, theirs, strict=True)) / unpaired


def speed(slot: Slot) -> float:
    return (slot.result.tokens or 0) / (slot.result.train_seconds or 1.0)


def spread(values: Sequence[float]) -> str:
    return f"{min(values):.4g} to {max(values):.4g}, {len(values)} runs"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--budget", type=float, default=60.0, help="processor seconds of training (default 60)")
    parser.add_argument("--seeds", type=int, default=5)
    options = parser.parse_args()
    for what, value, spread in rows(measure(options.budget, options.seeds)):
        print(f"{what:46} {value:>10}   {spread}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
