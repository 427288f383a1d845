"""Measures how far apart an honest model's answers are on this machine: `autoresearch doctor --calibrate` runs it.

    python -m mcp_server.scoring.calibrate --device cuda     # in a lab's folder

A transformer of which we know that it is honest goes through two hosts just as a candidate does: claims for true rows,
answers with replaced suffixes, other company and, where the model takes them, cut rows. The largest difference and the
mean one, with a margin, become the lab's tolerances for this backend and dtype. The weights are random but as spread as
trained ones: log-probabilities reach from 0 to -20 nats.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from importlib import resources
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save_file

from mcp_server.nouns.errors import AutoresearchError
from mcp_server.nouns.files import write_atomically
from mcp_server.nouns.paths import LabPaths, cache_folder
from mcp_server.nouns.records import Tier
from mcp_server.repo.git import Repository
from mcp_server.runner.machine import devices, nvidia
from mcp_server.runner.sandbox import probe
from mcp_server.scoring import audit
from mcp_server.scoring.corpus import Split, read_split
from mcp_server.scoring.evaluation import ask, batch_rows, claim_all
from mcp_server.scoring.lm import REPLY_SECONDS, START_SECONDS
from mcp_server.scoring.remote import Host, HostFailed, Setting
from mcp_server.scoring.tolerances import Entry, Table

DTYPES = ("float32", "bfloat16")
SIZES = {"cpu": (2, 128), "cuda": (6, 512)}  # depth, width: what the presets of train.py are like
MARGIN = 8.0  # times what was seen: another model, another day
# Nobody gains by less: it is under what a lab can tell apart, and it is corrected in the score anyway.
FLOORS = {"float32": Entry(largest=1e-3, mean=1e-4), "bfloat16": Entry(largest=4e-3, mean=4e-4)}
TABLE = "tolerances.json"  # in the lab's state; every scoring of the lab is told where it is
POSITIONS = 512
ROWS = 128  # of the split; enough company for 512 positions


@dataclass(frozen=True)
class Reading:
    """What was seen of one dtype, in nats."""

    largest: float
    mean: float  # the absolute value of the average difference
    narrow: bool  # whether cut rows were asked about

    def entry(self, floor: Entry) -> Entry:
        return Entry(largest=max(floor.largest, MARGIN * self.largest), mean=max(floor.mean, MARGIN * self.mean))


def calibrate(
    corpus: Path, device: str, threads: int, tier: Tier, gpus: tuple[int, ...] = (), dtypes: Sequence[str] = DTYPES
) -> dict[str, Reading]:
    """Measure each dtype on `device`; keys are "backend/dtype". Raises AutoresearchError."""
    whole = read_split(corpus, "val")
    split = replace(whole, inputs=whole.inputs[:ROWS], targets=whole.targets[:ROWS], counted=whole.counted[:ROWS])
    return {f"{device}/{dtype}": _measure(split, corpus, device, threads, tier, gpus, dtype) for dtype in dtypes}


def table(readings: dict[str, Reading]) -> Table:
    """The tolerances that follow."""
    return Table(entries={name: reading.entry(FLOORS[name.split("/")[1]]) for name, reading in readings.items()})


def _measure(
    split: Split, corpus: Path, device: str, threads: int, tier: Tier, gpus: tuple[int, ...], dtype: str
) -> Reading:
    with tempfile.TemporaryDirectory(prefix="autoresearch-calibrate-") as name:
        folder = Path(name)
        depth, width = SIZES[device]
        _write_model(folder, split.vocab_size, depth, width, dtype)
        setting = Setting(
            snapshot=folder / "work",
            weights=folder / "artifact" / "model.safetensors",
            data=corpus,
            device=device,
            threads=threads,
            rows=batch_rows(split, device),
            width=split.width,
            vocab=split.vocab_size,
            start_seconds=START_SECONDS,
            reply_seconds=REPLY_SECONDS,
            tier=tier,
            gpus=gpus,
        )
        try:
            return _compare(split, setting)
        except HostFailed as failure:
            raise AutoresearchError(f"The calibration's own model failed on {device}: {failure.detail}") from failure


def _compare(split: Split, setting: Setting) -> Reading:
    random = np.random.default_rng()
    with closing(Host("A", setting)) as first, closing(Host("B", setting)) as second:
        first.wait_until_ready()
        second.wait_until_ready()
        claims = claim_all(first, split, random, lambda fraction: None)
        positions = audit.draw(split.counted, POSITIONS, random)
        claimed = claims[positions.rows, positions.columns].astype(np.float64)
        # in one round: this model has no memory, and its weights are ours
        ways = [ask(second, split, positions, narrow, random) for narrow in {False, second.narrow}]
    apart = [claimed - found for found in ways]
    return Reading(
        largest=max(float(np.abs(difference).max()) for difference in apart),
        mean=max(abs(float(difference.mean())) for difference in apart),
        narrow=second.narrow,
    )


def _write_model(folder: Path, vocab: int, depth: int, width: int, dtype: str) -> None:
    """A snapshot with the honest model and an artifact with weights for it."""
    constants = f"DTYPE, DEPTH, WIDTH, VOCAB = torch.{dtype}, {depth}, {width}, {vocab}\n"
    source = resources.files("mcp_server.scoring").joinpath("honest_model.txt").read_text("utf-8")
    (folder / "work").mkdir()
    (folder / "artifact").mkdir()
    (folder / "work" / "train.py").write_text(f"{source}\n\n{constants}")
    random = np.random.default_rng(0)

    def matrix(outputs: int, inputs: int, spread: float) -> NDArray[np.float32]:
        values: NDArray[np.float32] = random.standard_normal((outputs, inputs), np.float32)
        values *= np.float32(spread * inputs**-0.5)
        return values

    weights = {"embed.weight": matrix(vocab, width, width**0.5), "head.weight": matrix(vocab, width, 3.0)}
    for block in range(depth):
        for part, outputs, inputs in (
            ("qkv", 3 * width, width),
            ("out", width, width),
            ("up", 4 * width, width),
            ("down", width, 4 * width),
        ):
            weights[f"blocks.{block}.{part}.weight"] = matrix(outputs, inputs, 1.0)
    save_file(weights, folder / "artifact" / "model.safetensors")


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--table", type=Path, help="where the tolerances go (default: the state of the lab in this folder)"
    )
    parser.add_argument("--corpus", type=Path, default=cache_folder() / "current", help="a prepared corpus")
    parser.add_argument("--device", choices=sorted(SIZES), help="cpu or cuda (default: all that this machine has)")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args(argv)
    here = {name.partition(":")[0]: name for name in reversed(devices.available())}
    try:
        path = options.table or LabPaths(Repository.at(Path.cwd()).common, Path.cwd()).state / TABLE
        for device in [options.device] if options.device else here:
            name = here.get(device, device)
            gpus, card = devices.gpus_of(name), devices.card_of(name)
            if card is not None:
                os.environ["CUDA_VISIBLE_DEVICES"] = nvidia.shown_as(card)  # as in a run
            readings = calibrate(options.corpus.resolve(), device, options.threads, probe().tier, gpus)
            write_table(path, table(readings))
            for name, reading in readings.items():
                rows = "whole and cut rows" if reading.narrow else "whole rows"
                seen = f"largest difference {reading.largest:.3g} nats, mean {reading.mean:.3g}"
                print(f"{name}: {seen}, over {rows}", flush=True)
    except AutoresearchError as error:
        print(f"calibrate: {error}", file=sys.stderr)
        return 1
    return 0


def write_table(path: Path, found: Table) -> None:
    """Lay `found` over what is in `path` already. Raises OSError."""
    before = Table.model_validate_json(path.read_bytes()).entries if path.exists() else {}
    path.parent.mkdir(parents=True, exist_ok=True)
    merged = Table(entries=before | found.entries)
    write_atomically(path, json.dumps(merged.model_dump(), indent=1).encode() + os.linesep.encode())


if __name__ == "__main__":
    sys.exit(main())
