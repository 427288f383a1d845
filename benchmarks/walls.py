"""What the walls cost a slot: `python -m benchmarks.walls [--budget 5] [--rounds 5]`.

The shipped train.py is trained and scored by the real supervisor, in turn with and without the filters of system calls,
the hiding of copies of the sealed text, and the counting of what a host leaves for others. The sandbox itself stays.
What is added is the same for every budget, so it is told in seconds too, and as a share of a slot of 60 s.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
from pathlib import Path

from benchmarks.training import SHIPPED, Bench, Slot

USUAL_SECONDS = 60.0
# read by the interpreters of supervisor and scorer as they start; what they shut in never sees it
WITHOUT = """
from mcp_server.runner.sandbox import calls, traces
from mcp_server.secrecy import hidden

calls.program = lambda walls_of_namespaces, machine=None: b""
traces.counted = traces.refused = lambda machine=None: b""
hidden.hidden_copies = lambda corpus: ()
"""


def slots(bench: Bench, rounds: int, without: Path) -> tuple[list[Slot], list[Slot]]:
    """(with the walls, without), in turn; which comes first changes from round to round."""
    found: tuple[list[Slot], list[Slot]] = ([], [])
    for number in range(rounds):
        for off in (0, 1) if number % 2 == 0 else (1, 0):
            if off:
                os.environ["PYTHONPATH"] = str(without)
            else:
                os.environ.pop("PYTHONPATH", None)
            found[off].append(bench.run(SHIPPED, seed=1 + number))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--budget", type=float, default=5.0, help="seconds of training")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="autoresearch-walls-") as name:
        without = Path(name, "without")
        without.mkdir()
        (without / "sitecustomize.py").write_text(WITHOUT)
        bench = Bench(Path(name), options.budget)
        on, off = slots(bench, options.rounds, without)
    print(f"{'':12} {'with':>8} {'without':>8} {'difference':>11}   medians of {options.rounds} in turn, seconds")
    for part in on[0].parts:
        row(part, [slot.parts[part] for slot in on], [slot.parts[part] for slot in off])
    more = row("the slot", [slot.wall_seconds for slot in on], [slot.wall_seconds for slot in off])
    print(f"of a slot of {USUAL_SECONDS:g} s and more: {more / USUAL_SECONDS:+.1%}")
    tokens = [statistics.median(slot.result.tokens or 0 for slot in half) for half in (on, off)]
    print(f"tokens trained on, with / without: {tokens[0] / tokens[1]:.3f}")


def row(what: str, on: list[float], off: list[float]) -> float:
    """Print one line; the median of the differences, round by round."""
    apart = [a - b for a, b in zip(on, off, strict=True)]
    middle = statistics.median(apart)
    spread = f"({min(apart):+.2f} to {max(apart):+.2f})"
    print(f"{what:12} {statistics.median(on):8.2f} {statistics.median(off):8.2f} {middle:+11.2f} {spread}")
    return middle


if __name__ == "__main__":
    main()
