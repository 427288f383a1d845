"""`python -m mcp_server.researcher`: one turn of the built-in researcher in a lab: it edits one file and ends.

What a loop of fresh agents starts where no language model is at hand, and what a tournament compares memos with. It
reads the memo of program.md (`memo`) and what the lab knows of its attempts; running and deciding are the loop's.
"""

from __future__ import annotations

import argparse
import contextlib
import sys
from pathlib import Path

from mcp_server.campaign.attempt import read_all
from mcp_server.campaign.runs.dispatch import resolve_devices
from mcp_server.edits.movable import Move, constants
from mcp_server.lab import Lab
from mcp_server.nouns.attempt import Attempt
from mcp_server.nouns.errors import AutoresearchError
from mcp_server.nouns.files import write_atomically
from mcp_server.nouns.records import Kind
from mcp_server.researcher import classical, habits
from mcp_server.researcher.habits import UNKNOWN, Trial, deviation, judged
from mcp_server.researcher.memo import hints
from mcp_server.suggesting.observations import numbers

FAILED, UNTOLD = ("crashed", "timeout", "rejected"), ("cancelled", "lost")  # the latter say nothing of the idea


def turn(folder: Path, researcher: str, seed: int) -> str:
    """Make the next edit; what it was, or why there is none. Raises AutoresearchError."""
    with contextlib.closing(Lab(folder)) as lab:
        with lab.reading() as (bench, campaign, arena):
            program = bench.program(campaign.program)
            attempts = read_all(bench.ledger, bench.ledger.experiments(campaign.tag))
            device = resolve_devices(arena)[0]
        path = lab.paths.tree / arena.editable[0]
        source = path.read_text("utf-8")
        names = {one.name for one in constants(source, device)}
        trials = [
            _trial(one, names, device) for one in attempts if one.experiment.kind != Kind.BASELINE and not one.open
        ]
        if researcher == "tpe":
            idea = classical.propose(source, trials, campaign.seed + seed, device, hints(program.memo))
        else:
            idea = habits.propose(source, trials, campaign.seed + seed, device, hints(program.memo))
        if idea is None:
            return "Every step this researcher knows was tried."
        write_atomically(path, idea.source.encode())
        return idea.description


def _trial(one: Attempt, names: set[str], device: str) -> Trial:
    """An attempt of the ledger as the researcher remembers it."""
    suffix = f".{device.partition(':')[0]}"
    moves = tuple(
        Move(full.removesuffix(suffix), before, after)
        for full, before, after in one.experiment.knobs
        if full.removesuffix(suffix) in names and numbers(before, after) is not None
    )
    if str(one.status) in UNTOLD:
        return Trial(one.number, moves, UNKNOWN)
    gain = None if str(one.status) in FAILED else one.gain
    interval = one.interval or ()
    came = judged(one.experiment.decision == "keep", gain, interval)
    return Trial(one.number, moves, came, gain, deviation(interval))


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--researcher", choices=("seeded", "tpe"), default="seeded")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    try:
        print(turn(Path.cwd(), options.researcher, options.seed))
    except AutoresearchError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
