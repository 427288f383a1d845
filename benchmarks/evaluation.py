"""What an audited evaluation costs against a plain one: `python -m benchmarks.evaluation [--rounds 3]`.

Both run in turn, in one process, on the same sealed weights of the repository's own train.py and on the prepared
corpus. Plain is one sandboxed host and no audit. Wall time holds everything: two interpreters that import torch at the
same time, loading, claims, questions. Processor time counts every process of either way and is the fairer number on a
busy machine; there the start of the second host counts in full, which in a slot falls into the training. What the
questions cost is a matter of tokens: each position needs a forward of its own up to its column.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np

from mcp_server.nouns.paths import cache_folder
from mcp_server.nouns.records import Tier
from mcp_server.runner.machine import descendants
from mcp_server.runner.machine.proc import read_stat
from mcp_server.runner.sandbox import probe
from mcp_server.scoring import audit, tolerances
from mcp_server.scoring.corpus import Split, read_split
from mcp_server.scoring.evaluation import Rejected, Rule, batch_rows, claim_all, evaluate
from mcp_server.scoring.remote import Host, Setting

ROOT = Path(__file__).resolve().parents[1]
POSITIONS = (128, 256, 512, 1024)
GOAL = 1.15  # of a plain evaluation's time, at 1,024 positions
READY = -1  # in the table of times: one host, until it is ready
LEAK = 0.01  # the share of tokens of which the table says how surely an audit notices


@dataclass
class Meter:
    """Processor seconds of everything below this process, seen 50 times a second, and of the looking itself."""

    last: dict[int, float] = field(default_factory=dict)
    own: float = 0.0  # a look goes through all processes of the machine: milliseconds
    over: threading.Event = field(default_factory=threading.Event)

    def watch(self) -> None:
        while not self.over.wait(0.02):
            for pid in descendants.tree(os.getpid()):
                stat = read_stat(pid)
                if stat is not None:
                    self.last[pid] = stat.own_seconds
            self.own = time.thread_time()


def measure(action: Callable[[], object]) -> tuple[float, float]:
    """(wall seconds, processor seconds) of `action` and all that it starts."""
    meter, began = Meter(), time.perf_counter()
    before = time.process_time()
    watcher = threading.Thread(target=meter.watch)
    watcher.start()
    action()
    wall = time.perf_counter() - began
    meter.over.set()
    watcher.join()
    meter.last.pop(os.getpid(), None)
    return wall, sum(meter.last.values()) + time.process_time() - before - meter.own


def sealed_weights(
    train: Path, folder: Path, corpus: Path, threads: int, device: str = "cpu", budget: float = 1.0
) -> Path:
    """Train `train` for `budget` seconds; the snapshot is in `folder`/work, the weights are returned."""
    work, out = folder / "work", folder / "artifact"
    work.mkdir()
    out.mkdir()
    shutil.copy(train, work / "train.py")
    shutil.copy(ROOT / "prepare.py", work / "prepare.py")
    env = {
        **os.environ,
        "AUTORESEARCH_DATA": str(corpus),
        "AUTORESEARCH_OUT": str(out),
        "AUTORESEARCH_BUDGET_SECONDS": str(budget),
        "AUTORESEARCH_DEVICE": device,
        "AUTORESEARCH_THREADS": str(threads),
        "AUTORESEARCH_SEED": "1",
    }
    subprocess.run([sys.executable, "train.py"], cwd=work, env=env, check=True, stdout=subprocess.DEVNULL)
    return out / "model.safetensors"


def started(setting: Setting) -> None:
    """One host from its start until it is ready, and nothing else."""
    with closing(Host("A", setting)) as host:
        host.wait_until_ready()


def plain(split: Split, setting: Setting) -> None:
    """What one does who believes the model: no audit."""
    with closing(Host("A", setting)) as host:
        host.wait_until_ready()
        claim_all(host, split, np.random.default_rng(), lambda fraction: None)


def audited(split: Split, setting: Setting, positions: int) -> None:
    precision = "float32" if setting.device == "cpu" else "bfloat16"
    tolerance = tolerances.read(None).find(setting.device, precision)
    rule = Rule(positions, -1.0, lambda precision: tolerance)
    outcome = evaluate(split, setting, rule, np.random.default_rng(), lambda fraction: None)
    if isinstance(outcome, Rejected):
        raise SystemExit(f"the repository's own model was rejected: {outcome.reason}: {outcome.detail}")


def tokens_asked(split: Split, rows: int, positions: int) -> int:
    """How many tokens an audit of a model that takes cut rows is asked about."""
    random = np.random.default_rng(0)
    drawn = audit.draw(split.counted, positions, random)
    return sum(len(members) * span for members, span in audit.batches(drawn, split.width, rows, True, random))


def prepared(folder: Path, train: Path, threads: int, device: str = "cpu") -> tuple[Split, Setting]:
    """The validation split, and the hosts' setting for a second's training of `train` in `folder`."""
    corpus = (cache_folder() / "current").resolve()
    split = read_split(corpus, "val")
    setting = Setting(
        snapshot=folder / "work",
        weights=sealed_weights(train, folder, corpus, threads, device),
        data=corpus,
        device=device,
        gpus=() if device == "cpu" else (0,),
        threads=threads,
        rows=batch_rows(split, device),
        width=split.width,
        vocab=split.vocab_size,
        start_seconds=600,
        reply_seconds=600,
        tier=probe().tier if os.environ.get("AUTORESEARCH_TIER") is None else Tier(os.environ["AUTORESEARCH_TIER"]),
    )
    return split, setting


def ratio_of(train: Path, rounds: int, threads: int = 1, device: str = "cpu") -> list[tuple[float, float]]:
    """(wall, processor) time of an audited over a plain evaluation at the most positions, once per round."""
    ratios = []
    with tempfile.TemporaryDirectory(prefix="autoresearch-bench-") as name:
        split, setting = prepared(Path(name), train, threads, device)
        for _ in range(rounds):
            alone = measure(lambda: plain(split, setting))
            both = measure(lambda: audited(split, setting, POSITIONS[-1]))
            ratios.append((both[0] / alone[0], both[1] / alone[1]))
    return ratios


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1, help="of each host (default 1)")
    parser.add_argument("--train", type=Path, default=ROOT / "train.py", help="the file whose model is scored")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="autoresearch-bench-") as name:
        split, setting = prepared(Path(name), options.train, options.threads)
        times: dict[int, list[tuple[float, float]]] = {count: [] for count in (READY, 0, *POSITIONS)}
        for _ in range(options.rounds):
            random = np.random.default_rng()
            times[READY].append(measure(partial(started, setting)))
            times[0].append(measure(partial(plain, split, setting, random, lambda fraction: None)))
            for count in POSITIONS:
                times[count].append(measure(partial(audited, split, setting, count)))
    report(split, setting, times)
    return 0


def report(split: Split, setting: Setting, times: dict[int, list[tuple[float, float]]]) -> None:
    """Print the table and what it says about the goal."""
    tokens = split.rows * split.width
    wall, processor = (statistics.median(t[i] for t in times[0]) for i in (0, 1))
    start = [statistics.median(t[i] for t in times[READY]) for i in (0, 1)]
    print(f"{tokens:,} tokens, rows of {split.width}, {len(times[0])} rounds, medians, tier {setting.tier}")
    print("positions  wall s  processor s  wall ratio  processor ratio  notices a 1 % leak  tokens asked / split's")
    print(f"    ready  {start[0]:6.2f}  {start[1]:11.2f}")
    print(f"    plain  {wall:6.2f}  {processor:11.2f}")
    ratio = work = 0.0
    for count in POSITIONS:
        # a ratio within each round: what disturbs the machine for a while then disturbs both sides
        ratio = statistics.median(a[0] / b[0] for a, b in zip(times[count], times[0], strict=True))
        work = statistics.median(a[1] / b[1] for a, b in zip(times[count], times[0], strict=True))
        took, used = (statistics.median(t[i] for t in times[count]) for i in (0, 1))
        share = tokens_asked(split, setting.rows, count) / tokens
        noticed = 1 - (1 - LEAK) ** count
        print(f"{count:9}  {took:6.2f}  {used:11.2f}  {ratio:10.2f}  {work:15.2f}  {noticed:17.2%}  {share:22.2f}")
    own = statistics.median(
        (a[1] - b[1] - c[1]) / b[1] for a, b, c in zip(times[POSITIONS[-1]], times[0], times[READY], strict=True)
    )
    print(
        f"Of the processor's {work:.2f} at {POSITIONS[-1]:,} positions the start of the second host is "
        f"{start[1] / processor:.2f} and its answers {own:.2f}; on the wall both hosts start at once: {ratio:.2f} "
        f"(goal {GOAL}). The answers do not grow with the split: on one ten times as large they are a tenth of this."
    )


if __name__ == "__main__":
    sys.exit(main())
