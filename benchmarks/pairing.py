"""How far two equal runs lie apart, by how they share the machine: `python -m benchmarks.pairing [--budget 8]`.

The shipped train.py at its CPU default, the same code and seed twice, beside 0 to 3 busy processes that come and go
(seeded, a change every few seconds): one after the other and free, or bound to a core; side by side
with the cores exchanged; in turns on one core. What is compared is the steps that fit into the same processor
seconds, and the bits per byte that come of them; the wall time of a slot says what a pair costs.
"""

from __future__ import annotations

import argparse
import math
import random
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.clock import BUSY
from benchmarks.training import SHIPPED, Bench
from mcp_server.nouns.paths import device_locks_folder
from mcp_server.nouns.records import Pairing
from mcp_server.runner.machine import cores

MOST_BUSY, CHANGE_SECONDS = 3, (1.0, 5.0)
WAYS = ("free", "bound", "side by side", "in turns")


@dataclass(frozen=True)
class Twice:
    """Two equal runs."""

    steps: tuple[int, int]
    bits: tuple[float, float]
    seconds: float  # on the wall, for both
    scoring: float  # of them


@contextmanager
def load(seed: int) -> Iterator[None]:
    """Busy processes that come and go by a seeded draw, gone afterwards."""
    draw, over, busy = random.Random(seed), threading.Event(), list[subprocess.Popen[bytes]]()

    def change() -> None:
        while not over.wait(draw.uniform(*CHANGE_SECONDS)):
            wanted = draw.randint(0, MOST_BUSY)
            while len(busy) < wanted:
                busy.append(subprocess.Popen([sys.executable, "-c", BUSY]))
            while len(busy) > wanted:
                _end(busy.pop())

    thread = threading.Thread(target=change)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
        for process in busy:
            _end(process)


def _end(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.wait()


class Unbound:
    """Holds every core's lock, so that a run finds none to be bound to."""

    def __init__(self) -> None:
        every = cores.allowed()
        self._leased = cores.lease(device_locks_folder(), every, len(every))

    def close(self) -> None:
        self._leased.release()


def twice(bench: Bench, way: str) -> Twice:
    """Two equal runs in one of the ways."""
    pairings: dict[str, Pairing] = {"side by side": "side_by_side", "in turns": "alternating"}
    if way in pairings:
        slot = bench.run(SHIPPED, 1, pairings[way])
        half = slot.result.beside
        if half is None or half.reason or slot.result.incumbent_score is None:
            raise SystemExit(f"The pair is broken: {'' if half is None else half.detail}")
        bits = (slot.score, slot.result.incumbent_score)
        steps = (slot.result.steps or 0, half.steps or 0)
        return Twice(steps, bits, slot.wall_seconds, slot.parts["scoring"])
    slots = []
    for _ in range(2):
        if way == "free":
            with closing(Unbound()):
                slots.append(bench.run(SHIPPED, 1))
        else:
            slots.append(bench.run(SHIPPED, 1))
    first, second = slots
    steps = (first.result.steps or 0, second.result.steps or 0)
    seconds, scoring = (first.wall_seconds + second.wall_seconds, first.parts["scoring"] + second.parts["scoring"])
    return Twice(steps, (first.score, second.score), seconds, scoring)


def apart(pairs: Sequence[Twice]) -> tuple[float, float]:
    """Root mean square of the log ratio of steps, and of the difference in bits per byte."""
    return _rms([math.log(one.steps[0] / one.steps[1]) for one in pairs]), _rms(
        [one.bits[0] - one.bits[1] for one in pairs]
    )


def _rms(values: Sequence[float]) -> float:
    return math.sqrt(sum(value * value for value in values) / len(values))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--budget", type=float, default=8.0, help="processor seconds of training")
    parser.add_argument("--rounds", type=int, default=5, help="each is two equal runs in every way")
    parser.add_argument("--steps", action="store_true", help="compare steps alone, without the time to score")
    parser.add_argument("--quiet", action="store_true", help="without the busy processes")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # the busy processes go with us
    found: dict[str, list[Twice]] = {way: [] for way in WAYS}
    with tempfile.TemporaryDirectory(prefix="autoresearch-bench-") as name:
        bench = Bench(Path(name), options.budget)
        if options.steps:
            bench.score_command = ("python", "-c", "print('{\"score\": 0}')")
        for turn in range(options.rounds):
            for way, pairs in found.items():
                if options.quiet:
                    pairs.append(twice(bench, way))
                else:
                    with load(1000 * turn + WAYS.index(way)):
                        pairs.append(twice(bench, way))
                print(f"  {way}: {pairs[-1]}", file=sys.stderr, flush=True)
    heads = ("two equal runs", "steps, rms log ratio", "bits per byte, rms", "steps", "wall seconds", "scoring")
    print("{:16} {:>22} {:>20} {:>7} {:>13} {:>9}".format(*heads))
    for way, pairs in found.items():
        steps, bits = apart(pairs)
        mean = sum(sum(one.steps) for one in pairs) / 2 / len(pairs)
        wall = sum(one.seconds for one in pairs) / len(pairs)
        scoring = sum(one.scoring for one in pairs) / len(pairs)
        print(f"{way:16} {steps:22.3f} {bits:20.4f} {mean:7.1f} {wall:13.1f} {scoring:9.1f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
