"""Whether train.py is still worth research: `python -m benchmarks.sweep [--steps 100 | --budget 20] [MOVE ...]`.

Twenty of its constants, each moved one usual step and compared with the shipped file on the same seed and data. An
arena in which one constant brings much was badly tuned, and one in which none brings anything is no arena: at most
`MOST` from any, something beyond `NOISE` from `FEWEST` or more. A MOVE is a name among them, or NAME=VALUE, with commas
between those to be moved together; without any, all twenty are moved one by one. A sweep may be taken in parts.

--budget trains each beside the shipped file, at the same moment on exchanged cores, in a slot of the real supervisor.
--steps needs no quiet machine and a tenth of the time: in this process, as many rows of text for both (a larger batch
takes fewer steps), the validation rows thinned out. A change that makes a step dearer is then not charged for it.
"""

from __future__ import annotations

import argparse
import math
import os
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from unittest import mock

import torch

import prepare
from benchmarks.training import SHIPPED, Bench
from mcp_server.edits.movable import Move, constants, edited, evaluated
from mcp_server.nouns.paths import cache_folder
from mcp_server.scoring.corpus import Split, read_split

STEPS = {
    "DEPTH": "2",
    "WIDTH": "96",
    "MLP_RATIO": "4",
    "WINDOW": "128",
    "QK_SCALE": "1.0",
    "RECENT_REACH": "100.0",
    "FOCUS": "0.9",
    "GRAM_SLOTS": "2**16",
    "MATRIX_LR": "0.02",
    "EMBED_LR": "0.4",
    "HEAD_LR": "0.024",
    "BONUS_LR": "0.015",
    "VOICE_LR": "0.01",
    "GRAM_LR": "0.2",
    "MOMENTUM": "0.8",
    "EMBED_INIT": "0.5",
    "MATRIX_INIT": "1.2",
    "WARMUP": "0.1",
    "COOLDOWN": "0.9",
    "BATCH": "4",
}
MOST, NOISE, FEWEST = 0.015, 0.001, 5  # of the bits per byte; constants
EVERY = 5  # of the validation rows one, where only steps are compared


@dataclass(frozen=True)
class Moved:
    """What one step brought: bits per byte with and without it, trained at the same moment."""

    moves: tuple[Move, ...]
    score: float
    shipped: float

    @property
    def gain(self) -> float:
        """As a share of the shipped file's bits per byte; positive is better."""
        return 1 - self.score / self.shipped


def moves(asked: Sequence[str]) -> list[tuple[Move, ...]]:
    """What is moved together, for each MOVE of the command line. Raises KeyError for a name that has no step."""
    here = {one.name: one.text for one in constants(SHIPPED.read_text("utf-8"), "cpu")}
    parts = [[part.partition("=") for part in one.split(",")] for one in asked]
    return [tuple(Move(name, here[name], value or STEPS[name]) for name, _, value in part) for part in parts]


def by_time(asked: Sequence[tuple[Move, ...]], budget: float, seed: int) -> list[Moved]:
    """One pair for each, in turn. Raises SystemExit where a run has no score."""
    source, found = SHIPPED.read_text("utf-8"), []
    with tempfile.TemporaryDirectory(prefix="autoresearch-sweep-") as name:
        bench = Bench(Path(name), budget)
        for together in asked:
            file = Path(name) / "moved.py"
            file.write_text(edited(source, together, "cpu"), "utf-8")
            result = bench.run(file, seed, "side_by_side", SHIPPED).result
            if result.score is None or result.incumbent_score is None:
                raise SystemExit(f"{together}: the pair broke, {result.flags}, {result.beside}")
            found.append(Moved(together, result.score, result.incumbent_score))
            print(line(found[-1]), flush=True)
    return found


def by_steps(asked: Sequence[tuple[Move, ...]], steps: int, seed: int) -> list[Moved]:
    """The shipped constants once, then each moved, all in this process and on one thread."""
    os.environ |= {"AUTORESEARCH_DEVICE": "cpu", "AUTORESEARCH_SEED": str(seed)}
    import train

    torch.set_num_threads(1)
    prepare.keep_memory()
    split, known = read_split((cache_folder() / "current").resolve(), "val"), train.build_model()
    practice = train.read_halves(known)

    rows = steps * train.BATCH

    def score() -> float:
        model = trained(train, rows // train.BATCH, practice)
        for kept, counted in zip(model.counts, known.counts, strict=True):
            kept.copy_(counted)
        return bits(model, split)

    shipped, found = score(), []
    for together in asked:
        with ExitStack() as stack:
            for move in together:
                stack.enter_context(mock.patch.object(train, move.name, evaluated(move.after)))
            found.append(Moved(together, score(), shipped))
        print(line(found[-1]), flush=True)
    return found


def trained(train: ModuleType, steps: int, practice: object) -> torch.nn.Module:
    """What `train.main` does, with a number of steps for a budget, and without the counts."""
    model = train.build_model()
    prepare.initialise(model, train.deviation)
    answering, model.arithmetic = model.arithmetic, train.fast_arithmetic()
    dense, sparse = train.optimizers(model), train.RowAdagrad(model.grams, train.GRAM_LR)
    batches = prepare.batches(2 * train.BATCH, folds=2)
    for step in range(steps):
        scale = train.schedule(step / steps)
        loss, _, grams, slots = train.losses(model, model.loss, *next(batches), practice)
        loss.backward()
        sparse.step(slots, grams.grad, scale)
        for optimizer in dense:
            optimizer.step(scale)
        model.zero_grad()
    model.arithmetic = answering
    trained_model: torch.nn.Module = model
    return trained_model


def bits(model: torch.nn.Module, split: Split) -> float:
    """Bits a token of every `EVERY`th validation row, as bits per byte of the whole split would be."""
    nats = 0.0
    with torch.inference_mode():
        for row in range(0, split.rows, EVERY):
            inputs, targets = (
                torch.from_numpy(part[row : row + 1].astype("int64")) for part in (split.inputs, split.targets)
            )
            said = model(inputs).log_softmax(-1).gather(-1, targets[..., None])[..., 0]
            nats -= float(said[torch.from_numpy(split.counted[row : row + 1])].double().sum())
    seen = split.counted[::EVERY].sum()
    return nats / math.log(2) / float(seen) * float(split.counted.sum()) / split.byte_count


def line(one: Moved) -> str:
    return f"{', '.join(map(str, one.moves)):36} {one.shipped:.4f} -> {one.score:.4f}   {100 * one.gain:+.2f} %"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("moves", nargs="*", metavar="MOVE", help=f"NAME=VALUE,… or one of {', '.join(STEPS)}")
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--steps", type=int, default=100, help="of either, in this process (default 100)")
    how.add_argument("--budget", type=float, help="processor seconds of either, in slots")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    try:
        asked = moves(options.moves or list(STEPS))
    except KeyError as unknown:
        parser.error(f"{unknown} is not among the swept constants")
    if options.budget is None:
        found = by_steps(asked, options.steps, options.seed)
    else:
        found = by_time(asked, options.budget, options.seed)
    helped = [one for one in found if one.gain > NOISE]
    best = max(one.gain for one in found)
    print(
        f"{len(found)} constants: {len(helped)} bring something (at least {FEWEST} should), "
        f"the most {100 * best:+.2f} % (at most {100 * MOST:g} % should)"
    )


if __name__ == "__main__":
    main()
