"""How many threads buy the most: the arena's own code, trained for a short budget with 1, 2, 4 ... of them in turn.

What a thread is worth depends on the machine and on the clock: two threads of a small model may use twice the processor
seconds for a tenth more steps. So it is measured, once, and written into program.md by whoever believes it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from mcp_server.nouns.errors import ArenaError
from mcp_server.nouns.records import RunState
from mcp_server.proving.ground import proving_ground, read_source
from mcp_server.runner.machine import cores

BUDGET_SECONDS = 20.0  # of each run, where the arena's own is longer
ROUNDS = 2  # in turn, so that a machine that moves does not favour one


@dataclass(frozen=True)
class Tried:
    """The runs with one number of threads; `loss` is smaller where the score is better."""

    threads: int
    loss: float | None  # the mean; None where a run had no score
    score: float | None
    steps: float | None


def counts(usable: int) -> list[int]:
    """1, 2, 4, ... up to all cores."""
    return sorted({*(2**power for power in range(int(math.log2(usable)) + 1)), usable})


def best(tried: Sequence[Tried]) -> Tried | None:
    """The lowest loss; None where nothing was scored."""
    scored = [one for one in tried if one.loss is not None]
    return min(scored, key=lambda one: (one.loss or 0.0, one.threads), default=None)


def measure(folder: Path, say: Callable[[Tried], None]) -> list[Tried]:
    """Train the lab's code with each number of threads. Raises AutoresearchError."""
    with proving_ground(read_source(folder)) as ground:
        arena = ground.arena
        if arena.devices.startswith("cuda"):
            raise ArenaError(f"This arena runs on {arena.devices}. Threads are only measured on the processor.")
        budget = arena.budget.model_copy(update={"seconds": min(BUDGET_SECONDS, arena.budget.seconds)})
        found: dict[int, list[tuple[float | None, int | None]]] = {count: [] for count in counts(cores.usable())}
        for _ in range(ROUNDS):
            for count, runs in found.items():
                ground.arena = arena.model_copy(update={"threads": count, "budget": budget})
                result = ground.wait(ground.launch(f"{count} threads")).result
                runs.append((result.score if result.state is RunState.SCORED else None, result.steps))
        tried = []
        for count, runs in found.items():
            score, steps = _mean([score for score, _ in runs]), _mean([steps for _, steps in runs])
            tried.append(Tried(count, None if score is None else arena.loss(score), score, steps))
            say(tried[-1])
        return tried


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known and len(known) == len(values) else None
