"""One attempt, one shape: an experiment with its status, score and gain, as every face, view and the memory shows it.

Nothing of it is stored; it follows from the experiment's row, its decision and its runs. What another lab told of an
attempt has the same shape and names that lab. Which score is shown is decided here and nowhere else. Pure.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from mcp_server.nouns.decided import UNDECIDED, Decided
from mcp_server.nouns.exchanged import SHORT
from mcp_server.nouns.records import Kind, Purpose, RunState, Status
from mcp_server.nouns.rows import Experiment, Run

# of an experiment's row, where a lab did not tell it
_UNTOLD: dict[str, Any] = {
    **dict.fromkeys(("hypothesis", "snapshot", "fingerprint", "edit", "program", "opened_at", "tree"), ""),
    **{"kind": Kind.ATTEMPT, "expected_delta": None, "base": None, "nodes": 0, "protocol": (), "theme": "other"},
    "style": None,
}


@dataclass(frozen=True)
class Attempt:
    """One experiment as it is shown. Gains are positive when better; None was not measured.

    runs: all of them, or none where the decision alone tells everything. lessons: what was learned from it, oldest
    first, where the reader asked for them.
    """

    experiment: Experiment
    status: Status
    score: float | None  # in the arena's direction
    runs: tuple[Run, ...] = ()
    lessons: tuple[str, ...] = ()
    origin: str = ""  # the lab that made it, where that is another
    standing: str = ""  # of a gain elsewhere: what other labs made of it; claimed, replicated, refuted, machine-bound
    beside: tuple[Run, ...] = ()  # open runs of the incumbent that a scored one waits for

    @classmethod
    def of(
        cls,
        experiment: Experiment,
        runs: Sequence[Run] = (),
        lessons: Sequence[str] = (),
        incumbent: Sequence[Run] = (),
    ) -> Attempt:
        """What was not kept scored what its verdict saw; a keep may have been measured again since.

        incumbent: its runs, for an attempt that is not decided; one that waits for them is still being confirmed.
        """
        verdict = experiment.verdict
        status = Status(verdict.outcome) if told(experiment) else status_of(experiment, runs)
        beside = awaited(runs, incumbent) if status is Status.SCORED else []
        score = verdict.score if experiment.decision not in (None, "keep") else None
        return cls(
            experiment,
            Status.CONFIRMING if beside else status,
            mean_score(runs) if score is None else score,
            tuple(runs),
            tuple(lessons),
            beside=tuple(beside),
        )

    @classmethod
    def elsewhere(
        cls,
        lab: str,
        number: int,
        status: Status,
        description: str,
        knobs: tuple[tuple[str, str, str], ...],
        verdict: Decided = UNDECIDED,
        lessons: tuple[str, ...] = (),
        standing: str = "",
        **told: Any,
    ) -> Attempt:
        """What another lab told: no runs, and of the row's fields those in `told`. No tag of ours begins with @."""
        row = Experiment(
            f"@{lab}", number, description=description, knobs=knobs, verdict=verdict, **{**_UNTOLD, **told}
        )
        return cls(row, status, verdict.score, lessons=lessons, origin=lab[:SHORT], standing=standing)

    @property
    def number(self) -> int:
        return self.experiment.number

    @property
    def campaign(self) -> str:
        return self.experiment.campaign

    @property
    def label(self) -> str:
        """Of a keep: baseline, provisional, confirmed, simplification."""
        return self.experiment.label or ""

    @property
    def open(self) -> bool:
        return self.status.open

    @property
    def gain(self) -> float | None:
        """Measured, over the incumbent of its time."""
        return self.experiment.verdict.change

    @property
    def widths(self) -> float | None:
        return self.experiment.verdict.noise_widths

    @property
    def interval(self) -> tuple[float, float] | None:
        """95 % interval of the gain."""
        return self.experiment.verdict.interval

    @property
    def doubt(self) -> str:
        """Why the gain says nothing: "within noise", "within what the machine moved"; "" if it does."""
        return self.experiment.verdict.doubt

    @property
    def reason(self) -> str:
        """Why it has no score; "" where it has one."""
        return self.experiment.verdict.reason if self.score is None else ""

    @property
    def outcome(self) -> str:
        """The status in one word for whoever counts: a kept baseline is no kept change."""
        return "baseline" if self.status is Status.KEPT and self.experiment.kind == Kind.BASELINE else str(self.status)

    @property
    def came(self) -> str:
        """The status in words: what is within noise did not fail, nobody knows."""
        return self.doubt if self.doubt and self.status is Status.DISCARDED else str(self.status)

    @property
    def mark(self) -> str:
        """As a chart tells it apart: a keep by its label, and what was only measured beside other programs."""
        if self.experiment.decision is None:
            tainted = any(run.tainted for run in self.runs) and not any(run.counts for run in self.runs)
            return "tainted" if tainted else str(self.status)
        return self.experiment.label or str(self.status) if self.status is Status.KEPT else str(self.status)

    @property
    def seconds(self) -> float:
        """What its runs took on the wall."""
        results = [run.result for run in self.runs if run.result]
        return sum(result.wall_seconds or result.train_seconds or 0.0 for result in results)


def told(experiment: Experiment) -> bool:
    """Whether the verdict alone says how it ended: decided, not kept, and by a version that wrote the outcome down."""
    known = experiment.verdict.outcome in set(Status)
    return experiment.decision not in (None, "keep", "overtaken") and known


def status_of(experiment: Experiment, runs: Sequence[Run]) -> Status:
    """An experiment's status follows from its decision and its runs; it is stored nowhere."""
    if experiment.decision is not None:
        if experiment.decision == "keep":
            return Status.KEPT
        if experiment.decision == "overtaken":
            return Status.OVERTAKEN
        worst = failure_of(runs)
        return Status(worst.state) if worst else Status.DISCARDED
    mine = [run for run in runs if run.purpose not in (Purpose.ANCHOR, Purpose.EXAM)]
    waiting = [run for run in mine if not run.state.terminal]
    if waiting:
        if any(run.counts for run in mine) and experiment.kind != Kind.BASELINE:
            return Status.CONFIRMING
        return Status(max(waiting, key=lambda run: run.state is not RunState.QUEUED).state)
    worst = failure_of(mine)
    if worst:
        return Status(worst.state)
    return Status.SCORED


def failure_of(runs: Sequence[Run]) -> Run | None:
    """The run that tells why an experiment has no score; None when it has one."""
    finished = [run for run in runs if run.state.terminal and run.purpose not in (Purpose.ANCHOR, Purpose.EXAM)]
    # a rejection outweighs any score of the same code: it says that the score is not what it seems
    rejected = [run for run in finished if run.state is RunState.REJECTED]
    if rejected:
        return rejected[-1]
    if not finished or any(run.state is RunState.SCORED for run in finished):
        return None
    return finished[-1]


def awaited(runs: Sequence[Run], theirs: Sequence[Run]) -> list[Run]:
    """The incumbent's runs that are still open and on whose seeds this candidate ran: no verdict before they are in."""
    seeds = {run.seed for run in runs}
    return [
        run
        for run in theirs
        if not run.state.terminal
        and (run.purpose == Purpose.REPEAT or (run.purpose in (Purpose.CONFIRM, Purpose.ANCHOR) and run.seed in seeds))
    ]


def mean_score(runs: Sequence[Run]) -> float | None:
    """What runs that count scored: the mean over their seeds."""
    by_seed: defaultdict[int, list[float]] = defaultdict(list)
    for run in runs:
        if run.judged and run.score is not None:
            by_seed[run.seed].append(run.score)
    return fmean(map(fmean, by_seed.values())) if by_seed else None
