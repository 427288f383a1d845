"""One attempt, one shape: an experiment with its status, score and gain, as every face, view and the memory shows it.

Nothing of it is stored; it follows from the experiment's row, its decision and its runs. Pure but for `read`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from mcp_server.arena.program import Arena
from mcp_server.ledger import Ledger
from mcp_server.nouns.records import Kind, Purpose, RunState, Status
from mcp_server.nouns.rows import Experiment, Run


@dataclass(frozen=True)
class Attempt:
    """One experiment as it is shown. Gains are positive when better; None was not measured.

    runs: all of them, or none where the decision alone tells everything.
    """

    experiment: Experiment
    status: Status
    score: float | None  # in the arena's direction
    runs: tuple[Run, ...] = ()

    @classmethod
    def of(cls, experiment: Experiment, runs: Sequence[Run], arena: Arena) -> Attempt:
        """What was not kept scored what its verdict saw; a keep may have been measured again since."""
        verdict = experiment.verdict
        status = Status(verdict.outcome) if _told(experiment) else status_of(experiment, runs)
        score = verdict.score if experiment.decision not in (None, "keep") else None
        return cls(experiment, status, mean_score(runs, arena) if score is None else score, tuple(runs))

    @classmethod
    def read(cls, ledger: Ledger, experiment: Experiment, arena: Arena) -> Attempt:
        """From the ledger, without its runs where the verdict tells all: a table of thousands asks for few."""
        complete = _told(experiment) and experiment.verdict.score is not None
        return cls.of(experiment, () if complete else ledger.runs(experiment.campaign, experiment.number), arena)

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
    def outcome(self) -> str:
        """The status in one word for whoever counts: a kept baseline is no kept change."""
        return "baseline" if self.status is Status.KEPT and self.experiment.kind == Kind.BASELINE else str(self.status)

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


def _told(experiment: Experiment) -> bool:
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


def losses(runs: Sequence[Run], arena: Arena, machine: str | None = None) -> dict[int, float]:
    """Mean score by seed, smaller is better; only runs that count, and of one machine when it is named."""
    by_seed: defaultdict[int, list[float]] = defaultdict(list)
    for run in runs:
        if run.counts and run.purpose != Purpose.EXAM and run.score is not None and machine in (None, run.machine):
            by_seed[run.seed].append(arena.loss(run.score))
    return {seed: fmean(values) for seed, values in by_seed.items()}


def losses_beside(runs: Sequence[Run], arena: Arena, incumbent: int) -> dict[int, float]:
    """What the incumbent got in the candidate's own slots, by seed; empty where its scorer measured nothing beside."""
    by_seed: defaultdict[int, list[float]] = defaultdict(list)
    for run in runs:
        found = run.result
        # another experiment may have become the incumbent since
        if not run.counts or run.purpose == Purpose.EXAM or found is None or found.incumbent != incumbent:
            continue
        if found.incumbent_score is not None:
            by_seed[run.seed].append(arena.loss(found.incumbent_score))
    return {seed: fmean(values) for seed, values in by_seed.items()}


def mean_score(runs: Sequence[Run], arena: Arena) -> float | None:
    """An experiment's score: the mean over its seeds, in the arena's direction."""
    found = losses(runs, arena)
    return arena.loss(fmean(found.values())) if found else None
