"""What the ledger remembers: campaigns, experiments, runs, learnings and exams, as plain frozen data."""

from __future__ import annotations

import re
from dataclasses import dataclass

from pydantic import BaseModel, ConfigDict

from mcp_server.nouns.decided import UNDECIDED, Decided
from mcp_server.nouns.records import Kind, Purpose, RunResult, RunState
from mcp_server.nouns.text import clean_line

PROPOSER_WORDS = 80
_WITHOUT = re.compile(r"(?:experiment \d+ on \d+: )*without experiment (\d+): ")  # a re-test, and one carried on


@dataclass(frozen=True)
class Draws:
    """What a campaign draws by chance, where several are to share it: the first seed, and the secret of the exam."""

    seed: int
    secret: str


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
class Spent:
    """US dollars and tokens; None where nobody told."""

    cost_usd: float | None = None
    tokens: int | None = None

    def words(self) -> str:
        """`1.25 USD, 340,000 tokens`; "" where nothing is known."""
        parts = [] if self.cost_usd is None else [f"{self.cost_usd:,.2f} USD"]
        return ", ".join(parts + ([] if self.tokens is None else [f"{self.tokens:,} tokens"]))

    def __bool__(self) -> bool:
        return self.cost_usd is not None or self.tokens is not None


class Proposer(BaseModel):
    """Who proposed an experiment, as the client introduced itself and the loop that drove it heard.

    All of it is somebody's own word. What nobody told is unknown, never zero.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    client: str = ""  # claude-code, codex-mcp-client, cli, ralph, ...
    version: str = ""
    model: str = ""  # where told
    command: str = ""  # of the agent, where a loop started it
    tokens: int | None = None
    cost_usd: float | None = None

    @classmethod
    def of(cls, client: str, version: str = "", model: str = "") -> Proposer:
        return cls(
            client=clean_line(client, PROPOSER_WORDS),
            version=clean_line(version, PROPOSER_WORDS),
            model=clean_line(model, PROPOSER_WORDS),
        )

    @classmethod
    def read(cls, text: str | None) -> Proposer:
        """From the ledger's JSON; nobody where there is none, or nothing that could be read."""
        try:
            return cls.model_validate_json(text) if text else NOBODY
        except ValueError:
            return NOBODY

    def after(self, spent: Spent) -> Proposer:
        """The same one once something more is known of the cost; what is not told anew stays as it was."""
        told = {name: value for name, value in vars(spent).items() if value is not None}
        return self.model_copy(update=told)

    def text(self) -> str:
        return self.model_dump_json(exclude_defaults=True)

    @property
    def agent(self) -> str:
        """By what experiments of one agent are told from another's: the client, and the model where it is told."""
        named = self.client if not self.command else self.command
        return f"{named} {self.model}".strip() or "unknown"

    def words(self) -> str:
        """For people: `claude-code 2.1, opus, 12,000 tokens, 0.31 USD`."""
        parts = [f"{self.client} {self.version}".strip(), self.command, self.model]
        parts += [f"{self.tokens:,} tokens"] if self.tokens is not None else []
        parts += [f"{self.cost_usd:.2f} USD"] if self.cost_usd is not None else []
        return ", ".join(part for part in parts if part)


NOBODY = Proposer()


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
    proposer: Proposer = NOBODY
    repeats: str = ""  # LAB/n of the attempt elsewhere that it repeats
    joins: tuple[str, ...] = ()  # the attempts, here (n) or elsewhere (LAB/n), whose changes it puts together

    @property
    def takes_back(self) -> int | None:
        """The number of the keep whose change this re-test takes back."""
        found = _WITHOUT.match(self.description) if self.kind == Kind.PRUNE else None
        return int(found[1]) if found else None


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

    @property
    def judged(self) -> bool:
        """Whether a verdict may be made of it: what an exam measured is for the end alone."""
        return self.counts and self.purpose != Purpose.EXAM


@dataclass(frozen=True)
class Scored:
    """A run whose score may decide something: what noise is learnt from."""

    ticket: int
    experiment: int
    seed: int
    machine: str
    score: float


@dataclass(frozen=True)
class Standing:
    """How far a campaign had come at some moment: the last decision and run, and what was not over then."""

    turn: int = 0
    ticket: int = 0
    opened: tuple[int, ...] = ()  # tickets of runs that were not closed
    unsettled: tuple[int, ...] = ()  # experiments that were decided, while git had not followed


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
class Imported:
    """An attempt that a log of another tool tells of. It was measured elsewhere, by nobody of this lab."""

    digest: str
    source: str
    line: int
    metric: str
    direction: str
    status: str  # kept, discarded, crashed or unknown, as its author says
    score: float | None
    gain: float | None  # over what was kept before it there; positive is better
    commit_sha: str
    parent: str
    description: str
    reasoning: str
    knobs: tuple[tuple[str, str, str], ...]
    at: str
    imported_at: str
    id: int = 0


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
