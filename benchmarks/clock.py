"""How repeatable a run is under changing load: `python -m benchmarks.clock [--budget 10] [--rounds 4]`.

The shipped train.py at its CPU default, one seed, trained beside 0, 1, 2 and 3 other busy processes in turn, once with
the budget counted on the wall and once in processor seconds. What differs is how much training fits into the budget, so
steps are compared as well as bits per byte. Threads wait passively; the cpu clock gives a run one, the wall clock all.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from benchmarks.training import SHIPPED, Bench, Slot

NEIGHBOURS = (0, 1, 2, 3)
BUSY = "x = 1.0\nwhile True:\n    for _ in range(1000): x = x * 1.0000001 % 7"


@contextmanager
def neighbours(count: int) -> Iterator[None]:
    """So many busy processes, gone afterwards."""
    busy = [subprocess.Popen([sys.executable, "-c", BUSY]) for _ in range(count)]
    try:
        yield
    finally:
        for process in busy:
            process.kill()
            process.wait()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--budget", type=float, default=10.0)
    parser.add_argument("--rounds", type=int, default=2, help="each is one run per clock and number of neighbours")
    options = parser.parse_args()
    slots: dict[Literal["wall", "cpu"], list[Slot]] = {"wall": [], "cpu": []}
    with tempfile.TemporaryDirectory(prefix="autoresearch-bench-") as name:
        for _ in range(options.rounds):
            for count in NEIGHBOURS:
                for clock, found in slots.items():
                    bench = Bench(Path(name) / f"{clock}-{len(found)}", options.budget, clock=clock)
                    with neighbours(count):
                        found.append(bench.run(SHIPPED, 1))
                    last = found[-1]
                    print(f"  {clock}, {count} busy: {last.result.steps} steps, {last.score:.4f}", file=sys.stderr)
    for what, of in (("steps", lambda slot: slot.result.steps or 0), ("bits per byte", lambda slot: slot.score)):
        spread = {clock: _relative([of(slot) for slot in found]) for clock, found in slots.items()}
        ratio = spread["cpu"] / spread["wall"] if spread["wall"] else float("nan")
        print(f"relative sd of {what:14} wall {spread['wall']:.3f}   cpu {spread['cpu']:.3f}   cpu / wall {ratio:.2f}")
    print(f"{len(slots['wall'])} runs of {options.budget:g} s on each clock, beside {NEIGHBOURS} busy processes")
    return 0


def _relative(values: list[float]) -> float:
    return statistics.stdev(values) / statistics.fmean(values)


if __name__ == "__main__":
    sys.exit(main())
