"""The baseline: the experiment that a campaign's gains are counted from, with the runs that measure its noise.

Usually it is experiment 1. When that failed by itself, the next attempt is offered in its place, with the same number
of runs. Which experiment is the baseline, what it scored and which of its runs are still missing is said here and
nowhere else; what to do about it is `recovery`'s, and how it is told to people `beginning`'s.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import takewhile

from mcp_server.nouns.records import Purpose, RunState
from mcp_server.nouns.rows import Experiment, Run

ORDERED = (Purpose.FIRST, Purpose.REPEAT, Purpose.SEED)  # purposes of the runs that a baseline is born with
MEASURING = (*ORDERED, Purpose.RETRY)
FIRST_WAIT_SECONDS, LONGEST_WAIT_SECONDS = 30.0, 1800.0
MOST_LOST = 3  # supervisors that die every time are no accident


def calibration(seed: int, extra: int, paired: bool) -> list[tuple[int, Purpose]]:
    """(seed, purpose) of a baseline's runs: one, and `extra` more that measure the noise.

    The first extra run repeats the same seed, which tells how far the machine moves a score; the rest are new seeds.
    paired: each run has itself beside it, which is that repeat and costs no slot.
    """
    repeats = [(seed, Purpose.REPEAT) if turn == 0 else (seed + turn, Purpose.SEED) for turn in range(extra)]
    return [(seed, Purpose.FIRST), *repeats[1 if paired else 0 :]]


@dataclass(frozen=True)
class Baseline:
    """A baseline and its runs, oldest first."""

    experiment: Experiment
    runs: tuple[Run, ...]

    @property
    def number(self) -> int:
        return self.experiment.number

    @property
    def kept(self) -> bool:
        """Whether the campaign has begun: its branch carries this code, and candidates are compared with it."""
        return self.experiment.decision == "keep" and self.experiment.settled

    @property
    def measuring(self) -> tuple[Run, ...]:
        """The runs that measure it; repeats for the sake of later candidates are not among them."""
        return tuple(run for run in self.runs if run.purpose in MEASURING)

    @property
    def open(self) -> tuple[Run, ...]:
        return tuple(run for run in self.measuring if not run.state.terminal)

    @property
    def counting(self) -> tuple[Run, ...]:
        return tuple(run for run in self.measuring if run.counts)

    @property
    def rejected(self) -> bool:
        """A rejection outweighs any score of the same code: it says that the score is not what it seems."""
        return any(run.state is RunState.REJECTED for run in self.measuring)

    @property
    def score(self) -> float | None:
        """The first score that counts, in the arena's unit; the scale of the campaign is taken from it."""
        return self.counting[0].score if self.counting else None

    @property
    def in_the_field(self) -> bool:
        """Whether only the world is awaited: a run may be out for days, and other work goes on meanwhile."""
        return bool(self.open) and not self.counting and all(run.state is RunState.PENDING for run in self.open)

    @property
    def tainted(self) -> tuple[Run, ...]:
        return tuple(run for run in self.measuring if run.state is RunState.SCORED and run.tainted)

    def missing(self) -> list[int]:
        """Seeds, one for each run that was ordered and neither counts, is open, nor failed by itself."""
        wanted = Counter(run.seed for run in self.measuring if run.purpose in ORDERED)
        spent = Counter(run.seed for run in self.measuring if not _disturbed(run))
        return list((wanted - spent).elements())

    @property
    def calibrated(self) -> bool:
        """Whether all runs it was born with are in, as far as its code allows: nothing is judged before."""
        return bool(self.counting) and not self.open and not self.again()

    @property
    def failed(self) -> bool:
        """Whether nothing more comes of it, so that the next attempt is offered in its place."""
        if self.experiment.decision is not None:
            return self.experiment.decision != "keep"
        return not self.open and not self.again() and (not self.counting or self.rejected)

    def again(self) -> list[int]:
        """Seeds of the runs to repeat now that all are in; one at a time until the machine is known to be quiet again.

        A run beside other programs is repeated until it counts; one whose supervisor died a bounded number of times.
        Whoever cancels a repeat, or whose code fails in one, has ended this.
        """
        missing = self.missing()
        if self.open or not missing or self.rejected:
            return []
        last = self.measuring[-1]
        if last.counts:
            return missing
        lost = sum(run.state is RunState.LOST for run in self.measuring)
        return missing[:1] if last.tainted or (last.state is RunState.LOST and lost < MOST_LOST) else []

    def not_before(self) -> datetime | None:
        return quiet_again(self.measuring)


def quiet_again(runs: Sequence[Run]) -> datetime | None:
    """When the next repeat of a code may begin: later from time to time while other programs keep the machine busy.

    None: at once, for the last run was not disturbed by them.
    """
    last = runs[-1]
    if last.closed_at is None or not last.tainted:
        return None
    tries = len(list(takewhile(lambda run: run.purpose == Purpose.RETRY and run.tainted, reversed(runs))))
    seconds = min(FIRST_WAIT_SECONDS * 2.0**tries, LONGEST_WAIT_SECONDS)
    return datetime.fromisoformat(last.closed_at) + timedelta(seconds=seconds)


def _disturbed(run: Run) -> bool:
    """Whether a run ended by something outside that may be over the next time."""
    return run.state is RunState.LOST or (run.state is RunState.SCORED and bool(run.tainted))
