"""Whether train.py is still worth research: `python -m benchmarks.sweep [--budget 20] [NAME ...]`.

Twenty of its constants, each moved one usual step while the shipped file trains beside it in the same slot of the real
supervisor: same seed, same data, cores exchanged. An arena in which one constant brings much was badly tuned, and one
in which none brings anything is no arena: at most `MOST` from any, something beyond `NOISE` from `FEWEST` or more. With
names only these are moved; a sweep may be taken in parts.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.training import ROOT, SHIPPED, Bench
from mcp_server.edits.movable import Move, constants, edited

STEPS = {
    "DEPTH": "2",
    "WIDTH": "96",
    "MLP_RATIO": "4",
    "WINDOW": "128",
    "QK_SCALE": "1.0",
    "RECENT_REACH": "200.0",
    "FOCUS": "0.9",
    "GRAM_SLOTS": "2**16",
    "MATRIX_LR": "0.02",
    "EMBED_LR": "0.1",
    "HEAD_LR": "0.024",
    "BONUS_LR": "0.06",
    "VOICE_LR": "0.01",
    "GRAM_LR": "0.2",
    "MOMENTUM": "0.8",
    "EMBED_INIT": "0.5",
    "MATRIX_INIT": "1.2",
    "WARMUP": "0.1",
    "COOLDOWN": "0.9",
    "BATCH": "2",
}
MOST, NOISE, FEWEST = 0.015, 0.001, 5  # of the bits per byte; constants


@dataclass(frozen=True)
class Moved:
    """What one step brought: bits per byte with and without it, trained at the same moment."""

    move: Move
    score: float
    shipped: float

    @property
    def gain(self) -> float:
        """As a share of the shipped file's bits per byte; positive is better."""
        return 1 - self.score / self.shipped


def sweep(names: Sequence[str], budget: float, seed: int) -> list[Moved]:
    """One pair for each name, in turn. Raises SystemExit where a run has no score."""
    source = SHIPPED.read_text("utf-8")
    here = {one.name: one.text for one in constants(source, "cpu")}
    found = []
    with tempfile.TemporaryDirectory(prefix="autoresearch-sweep-") as name:
        bench = Bench(Path(name), budget)
        for constant in names:
            move = Move(constant, here[constant], STEPS[constant])
            file = Path(name) / f"{constant}.py"
            file.write_text(edited(source, [move], "cpu"), "utf-8")
            result = bench.run(file, seed, "side_by_side", SHIPPED).result
            if result.score is None or result.incumbent_score is None:
                raise SystemExit(f"{move}: the pair broke, {result.flags}, {result.beside}")
            found.append(Moved(move, result.score, result.incumbent_score))
            print(line(found[-1]), flush=True)
    return found


def line(one: Moved) -> str:
    return f"{one.move!s:36} {one.shipped:.4f} -> {one.score:.4f}   {100 * one.gain:+.2f} %"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {ROOT.name}'s train.py: {', '.join(STEPS)}")
    parser.add_argument("--budget", type=float, default=20.0, help="processor seconds of training, for each half")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    unknown = set(options.names) - set(STEPS)
    if unknown:
        parser.error(f"not among the swept constants: {', '.join(sorted(unknown))}")
    found = sweep(options.names or list(STEPS), options.budget, options.seed)
    helped = [one for one in found if one.gain > NOISE]
    best = max(one.gain for one in found)
    print(
        f"{len(found)} constants: {len(helped)} bring something (at least {FEWEST} should), "
        f"the most {100 * best:+.2f} % (at most {100 * MOST:g} % should)"
    )


if __name__ == "__main__":
    main()
