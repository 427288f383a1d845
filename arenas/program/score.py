"""What a memo is worth: a small tournament of the built-in researcher, with the memo against without one.

Played in this process, on the toy lab's function: a lab inside a score would wait for the device that the score holds.
Campaigns are paired by block (ground and choices), and blocks are drawn from AUTORESEARCH_DRAW, so that a memo cannot
be made for them. The memo is data: the researcher reads two kinds of lines in it, and nothing of it is run.
"""

from __future__ import annotations

import json
import os
import random
from pathlib import Path
from statistics import fmean

from toy import Block

from mcp_server.edits.movable import constants
from mcp_server.judging.arms import difference
from mcp_server.researcher.habits import KEPT, WORSE, Trial, propose
from mcp_server.researcher.memo import Hints, hints

MOST_BYTES = 8_000
BLOCKS, EXPERIMENTS = 24, 10
NOISE = 0.02  # sd of a measured gain, as a share of the first loss


def campaign(block: Block, told: Hints, seed: int) -> float:
    """Mean share of the loss that was gained over a campaign's experiments: who is early has more of it."""
    draw, source, trials = random.Random(f"{seed} noise"), block.source, []
    begun = best = _loss(block, source)
    gained = []
    for number in range(1, EXPERIMENTS + 1):
        idea = propose(source, trials, seed, hints=told)
        if idea is not None:
            gain = best - _loss(block, idea.source) + draw.gauss(0, NOISE * begun)
            kept = gain > 2 * NOISE * begun
            trials.append(Trial(number, idea.moves, KEPT if kept else WORSE, gain))
            if kept:
                source, best = idea.source, _loss(block, idea.source)
        gained.append(1 - best / begun)
    return fmean(gained)


def _loss(block: Block, source: str) -> float:
    return block.loss({one.name: float(one.value) for one in constants(source)})


def main() -> None:
    path = Path(os.environ["AUTORESEARCH_ARTIFACT"]) / "memo.md"
    if not path.is_file() or path.stat().st_size > MOST_BYTES:
        print(json.dumps({"rejected": "bad_output", "detail": f"memo.md is missing, or over {MOST_BYTES} bytes."}))
        return
    told = hints(path.read_text("utf-8", errors="replace"))
    draw = random.Random(os.environ.get("AUTORESEARCH_DRAW", "0"))
    seeds = [draw.randrange(10**9) for _ in range(BLOCKS)]
    blocks = [Block(seed) for seed in seeds]
    ours = [campaign(block, told, seed) for block, seed in zip(blocks, seeds, strict=True)]
    without = [campaign(block, Hints(), seed) for block, seed in zip(blocks, seeds, strict=True)]
    found = difference(ours, without, paired=True)
    secondary = {"over_no_memo": round(found.estimate, 6), "low": round(found.low or 0.0, 6)}
    print(json.dumps({"score": round(fmean(ours), 6), "secondary": secondary}))


if __name__ == "__main__":
    main()
