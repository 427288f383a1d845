"""What the ledger remembers: campaigns, experiments, runs, learnings and exams, as plain frozen data."""

from __future__ import annotations

from dataclasses import dataclass

from mcp_server.nouns.decided import UNDECIDED, Decided
from mcp_server.nouns.records import CurvePoint, Kind, Purpose, RunResult, RunState


@dataclass(frozen=True)
class Campaign:
    """One line of research, branch `autoresearch/<tag>`."""

    tag: str
    pinned: str
    began_at: str
    seed: int
    calibrate: int
    corpus: str | None
    fingerprint: str | None
    secret: str
    program: str
    ready: bool

    @property
    def branch(self) -> str:
        return f"autoresearch/{self.tag}"


@dataclass(frozen=True)
class Experiment:
    """One attempt. `decision` is None until somebody decided; `settled` says whether git has followed."""

    campaign: str
    number: int
    kind: Kind
    description: str
    hypothesis: str
    expected_delta: float | None
    snapshot: str
    base: int | None
    fingerprint: str
    edit: str
    nodes: int
    knobs: tuple[tuple[str, str, str], ...]
    protocol: tuple[str, ...]
    theme: str
    program: str
    style: str | None
    opened_at: str
    tree: str
    vaulted: bool = False
    decision: str | None = None
    label: str | None = None
    verdict: Decided = UNDECIDED
    commit_sha: str | None = None
    decided_at: str | None = None
    settled: bool = False
    session: str = ""  # who began it: one connection of a client; empty at a terminal


@dataclass(frozen=True)
class Run:
    """One timed execution. `result` is None until it is closed."""

    ticket: int
    campaign: str
    experiment: int
    run: int
    seed: int
    purpose: Purpose
    state: RunState
    opened_at: str
    closed_at: str | None
    score: float | None
    tainted: str
    machine: str
    ask_again_at: float | None
    result: RunResult | None
    run_id: str = ""  # random; "" for a run that an older version opened

    @property
    def counts(self) -> bool:
        """Whether its score may decide anything."""
        return self.state is RunState.SCORED and not self.tainted and self.score is not None


@dataclass(frozen=True)
class Trained:
    """A scored run as its training curve tells it."""

    experiment: int
    seed: int
    machine: str
    purpose: Purpose
    score: float
    curve: tuple[CurvePoint, ...]


@dataclass(frozen=True)
class Learning:
    """One lesson of the shared memory."""

    id: int
    campaign: str | None
    experiment: int | None
    text: str
    tags: tuple[str, ...]
    source: str
    at: str


@dataclass(frozen=True)
class Amendment:
    """A change of a running campaign's rules by a person: digests of both programs, and what differs in words."""

    campaign: str
    at: str
    before: str
    after: str
    changes: tuple[str, ...]
    experiment: int  # the last one that was opened under the rules before


@dataclass(frozen=True)
class Exam:
    """The closing exam of a campaign; `result` is JSON text once all its runs are in."""

    id: int
    campaign: str
    baseline: int
    incumbent: int
    seeds: tuple[int, ...]
    opened_at: str
    result: str | None
