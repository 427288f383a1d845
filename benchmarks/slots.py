"""Where the time of a slot goes: `python -m benchmarks.slots [--budget 20] [--rounds 3]`, and part of `make bench`.

The shipped train.py in a slot of the real supervisor, alone and beside itself, fully shut in (T2) and at the weaker
tier (T1), in turn; medians of seconds on the wall. What is over the budget in training is `overrun`: the batch that was
under way when it ended, the seal's copy, and on a busy machine what a processor second takes longer than a second. In a
pair both are scored, one after the other, and the incumbent's audit is an eighth of the candidate's, which is the one
shown.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
from pathlib import Path
from unittest import mock

from benchmarks.training import FIRST_ALLOWED, SHIPPED, Bench, Slot, spread
from mcp_server.nouns.records import Pairing

WAYS: dict[str, tuple[str, Pairing]] = {
    "T2, alone": ("T2", ""),
    "T2, side by side": ("T2", "side_by_side"),
    "T1, alone": ("T1", ""),
    "T1, side by side": ("T1", "side_by_side"),
}


def taken(folder: Path, budget: float, rounds: int) -> dict[str, list[Slot]]:
    """Slots of every way, in turn. Raises SystemExit where one has no score."""
    bench, found = Bench(folder, budget), {way: list[Slot]() for way in WAYS}
    with mock.patch.dict(os.environ):  # as it was afterwards
        for _ in range(rounds):
            for way, (tier, pairing) in WAYS.items():
                os.environ["AUTORESEARCH_TIER"] = tier
                slot = bench.run(SHIPPED, 1, pairing)
                if slot.result.tier == tier:  # a machine without namespaces offers T1 alone
                    found[way].append(slot)
    return {way: slots for way, slots in found.items() if slots}


def rows(budget: float, rounds: int) -> list[tuple[str, str, str]]:
    """(what, value, spread), for the table of `make bench`."""
    with tempfile.TemporaryDirectory(prefix="autoresearch-slots-") as name:
        found = taken(Path(name), budget, rounds)
    table = []
    for way, slots in found.items():
        over = [slot.wall_seconds - budget for slot in slots]
        table.append((f"slot of {budget:g} s less its budget, {way}", f"{statistics.median(over):.1f} s", spread(over)))
        parts = {name: [slot.parts[name] for slot in slots] for name in slots[0].parts}
        parts["overrun"] = [seconds - budget for seconds in parts["training"]]
        for part, seconds in parts.items():
            table.append((f"  {part}", f"{statistics.median(seconds):.1f} s", spread(seconds)))
        for part in slots[0].processor:
            used = [slot.processor[part] for slot in slots]
            table.append((f"  {part}, of the processor", f"{statistics.median(used):.1f} s", spread(used)))
        if len(slots) > 1:
            first, *others = [slot.wall_seconds for slot in slots]
            ratio = first / statistics.median(others)
            table.append(("  the first slot / the others", f"{ratio:.2f}", f"allowed {FIRST_ALLOWED:g}"))
    return table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--budget", type=float, default=20.0, help="processor seconds of training")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    for what, value, spread_of in rows(options.budget, options.rounds):
        print(f"{what:50} {value:>10}   {spread_of}")


if __name__ == "__main__":
    main()
