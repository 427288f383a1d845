"""A sorting network of 11 wires with few comparators: simulated annealing from Batcher's, on all 2,048 inputs at once.

A wire is an integer of 2,048 bits, its value for each input of zeros and ones; a comparator is one `and` and one `or`.
A network that sorts these sorts everything (the zero-one principle, Knuth, The Art of Computer Programming, 5.3.4).
"""

from __future__ import annotations

import json
import math
import os
import random
import time
from itertools import pairwise
from pathlib import Path

# ---- what to try ----
WIRES = 11
PRICE = 0.3  # of an input that is not sorted, in comparators
HOT = 0.6  # temperature at the beginning, in comparators
COLD = 0.3  # and at the end
SWEEPS = 4  # times that it is heated again
INSERTS = 0.15  # of the moves
DELETES = 0.25
SWAPS = 0.2  # of neighbours; the rest puts another comparator in a place
CHANGES = 60_000
SEED = 0

INPUTS = [sum((number >> wire & 1) << number for number in range(1 << WIRES)) for wire in range(WIRES)]
STRIDE = 8  # comparators between two remembered states of the wires
Network = list[tuple[int, int]]


def batcher() -> Network:
    """The merge exchange of Batcher (1968) for any number of wires, as in Knuth's Algorithm 5.2.2M."""
    found, top = [], 1 << (math.ceil(math.log2(WIRES)) - 1)
    p = top
    while p > 0:
        q, r, d = top, 0, p
        while d > 0:
            found += [(i, i + d) for i in range(WIRES - d) if i & p == r]
            d, q, r = q - p, q >> 1, p
        p >>= 1
    return found


def after(wires: list[int], network: Network) -> list[int]:
    wires = wires.copy()
    for low, high in network:
        a, b = wires[low], wires[high]
        wires[low], wires[high] = a & b, a | b
    return wires


def unsorted(wires: list[int]) -> int:
    """Inputs that come out of order."""
    wrong = 0
    for one, two in pairwise(wires):
        wrong |= one & ~two
    return wrong.bit_count()


def changed(network: Network, draw: random.Random) -> tuple[int, Network]:
    """(the first place that differs, another network)."""
    kind, other = draw.random(), network.copy()
    new = tuple(sorted(draw.sample(range(WIRES), 2)))
    if kind < INSERTS:
        at = draw.randrange(len(network) + 1)
        other.insert(at, new)
    elif kind < INSERTS + DELETES:
        at = draw.randrange(len(network))
        del other[at]
    elif kind < INSERTS + DELETES + SWAPS:
        at = draw.randrange(len(network) - 1)
        other[at], other[at + 1] = other[at + 1], other[at]
    else:
        at = draw.randrange(len(network))
        other[at] = new
    return at, other


def _marks(network: Network, first: int = 0, wires: list[int] | None = None) -> list[list[int]]:
    """The wires at every stride from `first` on: with `wires` given (as they stand there), those after it."""
    found = [] if wires else [INPUTS]
    here = wires or INPUTS
    for start in range(first * STRIDE, len(network) - STRIDE + 1, STRIDE):
        here = after(here, network[start : start + STRIDE])
        found.append(here)
    return found


def main() -> None:
    end = 0.9 * float(os.environ.get("AUTORESEARCH_BUDGET_SECONDS", "5"))
    draw = random.Random(SEED)
    network = best = batcher()
    cost, marks = float(len(network)), _marks(network)
    for turn in range(CHANGES):
        if turn % 256 == 0 and time.process_time() > end:
            break
        heat = HOT * (COLD / HOT) ** (turn / CHANGES * SWEEPS % 1.0)
        at, other = changed(network, draw)
        wrong = unsorted(after(marks[at // STRIDE], other[at // STRIDE * STRIDE :]))
        price = len(other) + PRICE * wrong
        if price <= cost or draw.random() < math.exp((cost - price) / heat):
            network, cost = other, price
            marks[at // STRIDE + 1 :] = _marks(other, at // STRIDE, marks[at // STRIDE])
            if not wrong and len(other) < len(best):
                best = other
    (Path(os.environ.get("AUTORESEARCH_OUT", ".")) / "network.json").write_text(json.dumps(best))
    print(f"{len(best)} comparators, as this program believes")


if __name__ == "__main__":
    main()
