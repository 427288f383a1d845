"""Published tasks that need no download: `python -m benchmarks.external [--seconds 60] [TASK…]`.

Each task is rebuilt from its description and is a lab of its own: the real server, runs in the sandbox, the referee. A
campaign is the baseline and then as many experiments as fit its seconds, once by the seeded researcher and once by the
one that the optimiser of `suggest` drives. What is compared is the artifact: a packing that is feasible is one, however
it was found. Last come nights of pure noise, in which nothing helps, under the lab's own `decide` at every scale that a
person may declare, beside greedy keeping.
"""

from __future__ import annotations

import argparse
import contextlib
import math
import random
import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean

from benchmarks.referee import campaigns
from benchmarks.rivals import NULL
from mcp_server.lab import Lab
from mcp_server.nouns.records import Kind
from mcp_server.researcher.demo import Plan, demonstrate
from mcp_server.researcher.loop import Outcome
from mcp_server.setup.newlab import Template
from mcp_server.views.history import HistoryRow

HERE = Path(__file__).resolve().parent
PACKING = HERE.parents[1] / "arenas" / "packing" / "score.py"  # the shipped arena's scorer measures the same task
SECONDS, EXPERIMENTS = 60.0, 12
RESEARCHERS = ("seeded", "tpe")
NIGHTS, TRIALS, SD, LUCKY = 100, 60, 0.1, 0.02
SCALES = (None, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0)  # of a usual improvement; None is the lab's own


@dataclass(frozen=True)
class Task:
    """What is published of a task: its best value, and after how many attempts."""

    name: str
    published: float
    by: str
    larger: bool
    exactness: str


TASKS = (
    Task("circles", 2.63598, "about 150 attempts", True, "exact fractions, no tolerance"),
    Task("rectangle", 2.3658323759, "not told", True, "exact fractions, no tolerance"),
    Task("distances", 12.889230, "not told", False, "an exact fraction"),
    Task("tammes", 0.5134721, "tables of spherical codes", True, "exact comparison, rounded down"),
    Task("tours", 10.844662, "not told; nearest neighbour 13.875696168", False, "roots to 40 digits, rounded once"),
    Task("network", 35, "proved optimal", False, "all 2,048 inputs"),
)


class Quiet:
    """Says how far it is, on one line of the terminal."""

    def __init__(self, what: str) -> None:
        self.what, self.rows = what, 0

    def say(self, words: str) -> None: ...

    def show(self, row: HistoryRow) -> None:
        self.rows = row.experiment
        self.progress("", 0.0, row.status)

    def progress(self, what: str, left_seconds: float, said: str) -> None:
        if sys.stderr.isatty():
            print(f"\r{self.what}: experiment {self.rows} {said:40.40}", end="", file=sys.stderr)


def lab_of(task: Task) -> Template:
    """The files of a task's lab: its own, and what it freezes of the common ones."""
    own = {path.name: path for path in (HERE / task.name).iterdir() if path.is_file()}
    shared = {path.name: path for path in (HERE / "common").glob("*.py")} | {"score.py": PACKING}
    wanted = own["program.md"].read_text("utf-8")
    return Template(task.name, {name: path for name, path in shared.items() if name in wanted} | own)


def played(task: Task, researcher: str, seconds: float) -> tuple[Outcome, list[float]]:
    """A campaign in a folder of its own, which goes with it, and the score of every run that counts."""
    folder = Path(tempfile.mkdtemp(prefix="external-"))
    try:
        plan = Plan(
            folder / task.name, lab_of(task), None, EXPERIMENTS, 1, limit_seconds=seconds, researcher=researcher
        )
        outcome = demonstrate(plan, Quiet(f"{task.name}, {researcher}"))
        with contextlib.closing(Lab(plan.folder)) as lab, lab.reading() as (bench, campaign, _):
            every = [bench.ledger.runs(campaign.tag, one.number) for one in bench.ledger.experiments(campaign.tag)]
            return outcome, [run.score for runs in every for run in runs if run.counts and run.score is not None]
    finally:
        for path in folder.rglob("*"):
            if path.is_dir():
                path.chmod(0o700)  # what was sealed is read-only
        shutil.rmtree(folder, ignore_errors=True)


def line(task: Task, researcher: str, outcome: Outcome, scores: Sequence[float]) -> str:
    baseline = next(row.score for row in outcome.rows.values() if row.kind == Kind.BASELINE)
    incumbent = outcome.kept[-1].score if outcome.kept else baseline
    best = (max if task.larger else min)(scores)
    values = "".join(f"{value:>14.8f}" for value in (baseline, incumbent, best, task.published) if value is not None)
    counts = f"{len(outcome.rows) - 1:>6}{len(scores):>5}{len(outcome.kept):>6}"
    return f"{task.name:10} {researcher:7}{values}{counts}   {task.by}; {task.exactness}"


def greedy(nights: int, draw: random.Random) -> tuple[float, float]:
    """(keeps, claimed share) a night of whoever keeps each new best of a score near 1."""
    keeps, claims = [], []
    for _ in range(nights):
        best, kept = draw.gauss(1, SD), 0
        first = best
        for _ in range(TRIALS):
            score = draw.gauss(1, SD)
            if score > best:
                best, kept = score, kept + 1
        keeps.append(kept)
        claims.append(best - first)
    return fmean(keeps), fmean(claims)


def null_nights(nights: int) -> bool:
    """Print the rows of nights without a gain; whether at most one of fifty kept anything (but for luck)."""
    keeps, claimed = greedy(2000, random.Random(1))
    print(f"{'greedy':34}{keeps:>8.2f}{'':9}{claimed:>9.1%}")
    held, few = True, True
    for slot in (True, False):
        for scale in SCALES:
            found = campaigns(replace(NULL, runs=TRIALS), SD, nights, seed=11, slot=slot, typical=scale)
            any_, keeps = fmean(count > 0 for count in found.keeps), fmean(found.keeps)
            how = f"{'pairs' if slot else 'apart'}, scale {'automatic' if scale is None else f'{scale:g}'}"
            print(
                f"{how:34}{keeps:>8.2f}{any_:>9.3f}{fmean(found.claimed):>9.1%}{fmean(found.believed):>9.1%}",
                flush=True,
            )
            held = held and any_ <= LUCKY + 3 * math.sqrt(LUCKY * (1 - LUCKY) / nights)
            few = few and keeps < 0.1
    print(f"at most one night of fifty keeps anything: {'yes' if held else 'NO'}")
    print(f"under 0.1 keeps a night at every scale: {'yes' if few else 'no, a lucky night goes on keeping'}")
    return held


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tasks", nargs="*", metavar="TASK", help="those alone; `nights` are the nights of noise")
    parser.add_argument("--seconds", type=float, default=SECONDS, help=f"of a campaign (default {SECONDS:g})")
    options = parser.parse_args(arguments)
    known = [task.name for task in TASKS] + ["nights"]
    if unknown := set(options.tasks) - set(known):
        parser.error(f"there is no task {', '.join(sorted(unknown))}; there are {', '.join(known)}")
    wanted = options.tasks or known
    began = time.monotonic()
    numbers = "".join(f"{name:>14}" for name in ("baseline", "kept", "best scored", "published"))
    print(f"{'task':18}{numbers}{'ideas':>6}{'runs':>5}{'keeps':>6}", flush=True)
    for task in TASKS:
        for researcher in RESEARCHERS if task.name in wanted else ():
            print(line(task, researcher, *played(task, researcher, options.seconds)), flush=True)
    held = True
    if "nights" in wanted:
        print(
            f"\n{f'{TRIALS} trials of noise, sd {SD:g}':34}{'keeps':>8}{'nights':>9}{'claimed':>9}{'believed':>9}",
            flush=True,
        )
        held = null_nights(NIGHTS)
    print(f"({time.monotonic() - began:.0f} s)")
    return 0 if held else 1


if __name__ == "__main__":
    sys.exit(main())
