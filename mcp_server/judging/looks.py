"""How often the score of a code on a seed was looked at: what a second chance costs.

A run that is cancelled, that crashes or that is called off is run again sooner or later, and whoever may repeat a run
until it is lucky buys luck. So every ended run is a look. Excused is only what the supervisor saw from outside and no
trainer can say about itself, and that only so many times for one code and seed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from mcp_server.nouns.records import Purpose, RunState
from mcp_server.nouns.rows import Run

MOST_EXCUSED = 3  # per code and seed; machines rarely fail more often, and what fails every time is no accident
MOST_REPEATS = 5  # of one code and seed in all, however its runs ended
NO_LOOK = (Purpose.EXAM, Purpose.ANCHOR)  # ordered by the lab on code that is decided already: nobody chooses by them


def excused(run: Run) -> bool:
    """Whether a run ended by something outside of its code, as its supervisor or its absence tells.

    A full disk counts only where the supervisor itself met it: then no crash of the trainer is on record.
    """
    if run.state is RunState.LOST or (run.state is RunState.SCORED and run.tainted):
        return True
    result = run.result
    if result is None or run.state is not RunState.CRASHED:
        return False
    return result.reason == "no_sandbox" or (result.reason == "disk_full" and result.crash is None)


def told_live(run: Run) -> bool:
    """Whether what a running run reports of its loss is told. A repeat whose luck can be watched can be called off."""
    return run.purpose == Purpose.FIRST


def may_repeat(run: Run) -> bool:
    """Whether a run told so little about its code that it may be run again: it was excused, or somebody stopped it."""
    return excused(run) or run.state is RunState.CANCELLED


def repeats_left(runs: Iterable[Run], seed: int) -> int:
    """How often this code may still be run again on this seed; runs that count end it, and so does their number."""
    ended = sum(run.seed == seed and run.purpose not in NO_LOOK for run in runs)
    return max(0, 1 + MOST_REPEATS - ended)


def looks(runs: Iterable[Run]) -> dict[int, int]:
    """Looks by seed at one code, from all its runs: ended ones, less the excused ones up to `MOST_EXCUSED` a seed."""
    ended: Counter[int] = Counter()
    forgiven: Counter[int] = Counter()
    for run in runs:
        if run.state.terminal and run.purpose not in NO_LOOK:
            ended[run.seed] += 1
            forgiven[run.seed] += excused(run)
    return {seed: count - min(forgiven[seed], MOST_EXCUSED) for seed, count in ended.items()}


def excuses_left(runs: Iterable[Run], seed: int) -> int:
    """How many more runs of this code on this seed may be repeated without counting as a look."""
    used = sum(run.seed == seed and run.purpose not in NO_LOOK and excused(run) for run in runs)
    return max(0, MOST_EXCUSED - used)
