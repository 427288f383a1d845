"""What plain counting reaches, and what it still knows that train.py does not: `python -m benchmarks.counting`.

On the validation bytes that the scorer counts, cut into the same rows: xz with the training text before it; Kneser-Ney
counts of up to 5 and of up to 8 tokens, the latter also with what stood in the row before, believed by context; and
the shipped train.py after its budget, alone and with that last one mixed into its answers afterwards, the weights
fitted on the other half of the rows. A model that left out what counting knows gains by such a mixture.
"""

from __future__ import annotations

import argparse
import lzma
import math
import os
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file
from torch import Tensor, nn

import prepare
from benchmarks.evaluation import sealed_weights
from benchmarks.training import SHIPPED
from mcp_server.nouns.paths import cache_folder
from mcp_server.scoring.corpus import Split, read_split

XZ = [{"id": lzma.FILTER_LZMA2, "preset": 9 | lzma.PRESET_EXTREME, "dict_size": 1 << 27}]
PRACTICE_ROWS = 96  # to learn on how far each count is to be believed
SLOTS = 2**24
ALLOWED = 0.01  # bits per byte that mixing counts in afterwards may gain


@dataclass(frozen=True)
class Looked:
    """What counts and rows say of the targets of n places."""

    levels: Tensor  # (n, orders)
    longest: Tensor  # (n,) tokens that are the same here and at an earlier place of the row
    said: Tensor  # (n, voices) probabilities of the target

    def __getitem__(self, at: Tensor) -> Looked:
        return Looked(self.levels[at], self.longest[at], self.said[at])


class Believed(nn.Module):
    """How much each voice is believed, by how well its contexts are known."""

    def __init__(self, orders: int, levels: int, lengths: int) -> None:
        super().__init__()
        self.offset = torch.arange(orders) * levels
        self.level, self.length = nn.Embedding(orders * levels, orders + 3), nn.Embedding(lengths, orders + 3)
        for table in (self.level, self.length):
            nn.init.zeros_(table.weight)

    def forward(self, of: Looked) -> Tensor:
        weights = (self.level(of.levels + self.offset).sum(1) + self.length(of.longest)).softmax(1)
        return (weights * of.said).sum(1).clamp(min=1e-30)


def look(train: ModuleType, tokens: Tensor, targets: Tensor, counts: object) -> Looked:
    """Everything of rows (B, T)."""
    heard, found = train.hear(tokens, targets, counts), train.matches(tokens, train.everywhere(tokens))
    best = (found.length == found.longest.flatten()[found.place]).float()
    right = best * (found.follower == targets.flatten()[found.place])
    none = torch.zeros(tokens.numel())
    matched = none.index_add(0, found.place, right) / none.index_add(0, found.place, best).clamp(min=1)
    said = torch.cat([heard.chances.flatten(0, 1), matched[:, None]], 1)
    return Looked(heard.levels.flatten(0, 1), found.longest.flatten(), said)


def fitted(make: Callable[[], nn.Module], of: Looked, epochs: int = 4) -> nn.Module:
    """A mixture that says the targets of `of` best."""
    model = make()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.05)
    for epoch in range(epochs):
        for group in optimizer.param_groups:
            group["lr"] = 0.05 * (1 - epoch / epochs)
        for at in torch.randperm(len(of.said), generator=torch.Generator().manual_seed(epoch)).split(2048):
            optimizer.zero_grad()
            (-model(of[at]).log().mean()).backward()
            optimizer.step()
    return model


def compressed(folder: Path) -> float:
    """Bits per byte of the validation text behind the training text, by xz."""
    decode = prepare.read_tokenizer(folder).decode_bytes
    bos = prepare.meta().bos_id

    def text(stream: NDArray[np.uint16]) -> bytes:
        return decode(stream[stream != bos].tolist())

    before, val = text(np.concatenate(prepare.stretch())), text(np.fromfile(folder / "sealed" / "val.bin", "<u2"))
    sizes = [len(lzma.compress(part, lzma.FORMAT_XZ, filters=XZ)) for part in (before, before + val)]
    return 8 * (sizes[1] - sizes[0]) / len(val)


def counted(train: ModuleType, split: Split, orders: int) -> tuple[Looked, Looked, float]:
    """(rows to practise on, validation rows, seconds of processor time to count the whole text once)."""
    train.COUNT_ORDERS, train.COUNT_SLOTS = tuple(range(1, orders + 1)), SLOTS  # type: ignore[attr-defined]  # of a module
    halves = [torch.from_numpy(np.concatenate(prepare.stretch(half, 2)).astype(np.int64)) for half in (0, 1)]
    began = time.process_time()
    whole = train.count(torch.cat(halves))
    seconds = time.process_time() - began
    other = train.Counts(*(torch.cat(parts) for parts in zip(*map(train.count, halves[::-1]), strict=True)))
    rows = prepare.batches(2, folds=2)
    practice = [look(train, *next(rows), other) for _ in range(PRACTICE_ROWS // 2)]
    inputs, targets = (torch.from_numpy(part.astype(np.int64)) for part in (split.inputs, split.targets))
    val = [look(train, *pair, whole) for pair in zip(inputs.split(2), targets.split(2), strict=True)]
    return together(practice), together(val), seconds


def together(parts: list[Looked]) -> Looked:
    return Looked(*(torch.cat([getattr(one, name) for one in parts]) for name in ("levels", "longest", "said")))


def answered(train: ModuleType, weights: Path, split: Split) -> Tensor:
    """(n,) the shipped model's probability of each target."""
    model, said = train.build_model(), []
    model.load_state_dict(load_file(weights))
    with torch.inference_mode():
        for begin in range(0, split.rows, 2):
            inputs, targets = (
                torch.from_numpy(part[begin : begin + 2].astype(np.int64)) for part in (split.inputs, split.targets)
            )
            said.append(model(inputs).softmax(-1).gather(-1, targets[..., None]).flatten())
    return torch.cat(said)


def rows(budget: float) -> list[tuple[str, str, str]]:
    """(what, value, spread), for the table of `make bench`."""
    os.environ.setdefault("AUTORESEARCH_DEVICE", "cpu")
    import train

    torch.set_num_threads(1)
    folder = (cache_folder() / "current").resolve()
    split = read_split(folder, "val")
    kept = torch.from_numpy(split.counted).flatten()

    def bits(said: Tensor) -> float:
        return -float(said[kept].clamp(min=1e-30).log().double().sum()) / math.log(2) / split.byte_count

    with tempfile.TemporaryDirectory(prefix="autoresearch-bench-") as name:
        shipped = answered(train, sealed_weights(SHIPPED, Path(name), folder, 1, budget=budget), split)
    table = [("bits per byte, xz with the training text before", f"{compressed(folder):.4f}", "")]
    for orders in (5, 8):
        practice, val, seconds = counted(train, split, orders)
        said = val.said[:, orders]
        table.append((f"bits per byte, Kneser-Ney {orders}-gram", f"{bits(said):.4f}", f"counted in {seconds:.1f} s"))
    believed = fitted(lambda: Believed(8, train.LEVELS, train.MATCH_LENGTH + 1), practice)
    with torch.no_grad():
        cached = believed(val)
    table.append(("  with what stood in the row, by context", f"{bits(cached):.4f}", f"{PRACTICE_ROWS} rows"))
    table.append((f"bits per byte, shipped, {budget:g} s on one thread", f"{bits(shipped):.4f}", "one run"))
    gain = bits(shipped) - bits(mixed_afterwards(shipped, cached, val, split))
    table.append(("  gain by mixing that in afterwards", f"{gain:+.4f}", f"allowed {ALLOWED:g}"))
    return table


def mixed_afterwards(shipped: Tensor, outside: Tensor, val: Looked, split: Split) -> Tensor:
    """(n,) both, weighted by the length of the longest match, each half of the rows with weights of the other half."""
    both = Looked(val.levels[:, -1:], val.longest, torch.stack([shipped, outside], 1))
    second = torch.arange(len(shipped)) // split.width >= split.rows // 2
    answer = torch.empty_like(shipped)
    for half in (second, ~second):
        weighted = fitted(lambda: Two(int(val.longest.max()) + 1), both[~half])
        with torch.no_grad():
            answer[half] = weighted(both[half])
    return answer


class Two(nn.Module):
    """A weight for each of two answers, by the length of the longest match."""

    def __init__(self, lengths: int) -> None:
        super().__init__()
        self.length = nn.Embedding(lengths, 2)
        with torch.no_grad():
            self.length.weight.copy_(torch.tensor([3.0, 0.0]))

    def forward(self, of: Looked) -> Tensor:
        said: Tensor = (self.length(of.longest).softmax(1) * of.said).sum(1)
        return said.clamp(min=1e-30)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--budget", type=float, default=60.0, help="processor seconds of training (default 60)")
    for what, value, spread in rows(parser.parse_args().budget):
        print(f"{what:50} {value:>10}   {spread}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
