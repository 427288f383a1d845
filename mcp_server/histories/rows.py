"""The nouns of a history: raw records with their lines, how they are to be read, and the attempts they tell of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from mcp_server.arena.metrics import Better

KEPT, DISCARDED, CRASHED, UNKNOWN = "kept", "discarded", "crashed", "unknown"
STATUSES = (KEPT, DISCARDED, CRASHED, UNKNOWN)


@dataclass(frozen=True)
class Record:
    """One row as it stands in the source: its line there (of a branch, the place of the commit), and its cells."""

    line: int
    cells: Mapping[str, str]
    segment: int = 0  # counts the config lines before it: a log that was begun anew measures something new


@dataclass(frozen=True)
class Unreadable:
    """A row that nothing was made of, and why."""

    line: int
    why: str
    text: str = ""
    number: int | None = None
    other: bool = False  # it can be read, and measures something else

    def words(self) -> str:
        return f"line {self.line}: {self.why}" + (f" ({self.text})" if self.text else "")


@dataclass(frozen=True)
class Raw:
    """What a source holds before anybody says what it means. told: what the source itself says of its metric."""

    name: str
    shape: str
    columns: tuple[str, ...]
    records: tuple[Record, ...]
    unreadable: tuple[Unreadable, ...] = ()
    told: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Schema:
    """How the rows of a source are read. columns: the source's column for each field of ours; reasons: why so."""

    metric: str
    direction: Better
    columns: Mapping[str, str]
    statuses: Mapping[str, str]  # the source's word -> ours
    reasons: tuple[str, ...]
    unused: tuple[str, ...]


@dataclass(frozen=True)
class Row:
    """One attempt of a history. Scores are as they were told; gains are positive when better."""

    line: int
    status: str
    score: float | None
    description: str
    number: int | None = None
    commit: str = ""
    parent: str = ""
    before: float | None = None  # what it was compared with, where the log tells
    reasoning: str = ""
    verdict: str = ""
    config: str = ""
    seed: int | None = None
    steps: float | None = None
    at: str = ""
    segment: int = 0  # of rows that measure the same, from one baseline on
    variant: str = ""  # of what is measured: a subject, a data set
    word: str = ""  # the source's own for the outcome
    baseline: bool = False  # the code as it was found: it claims no gain

    @property
    def scored(self) -> bool:
        return self.score is not None and self.status != CRASHED

    def words(self) -> str:
        """The row as a finding lists it."""
        named = f", run {self.number}" if self.number is not None else ""
        named += f", {self.commit[:10]}" if self.commit else ""
        score = "no score" if self.score is None else f"{self.score:.6g}"
        return f"line {self.line}{named}: {self.status}, {score}: {self.description or '(no description)'}"


@dataclass(frozen=True)
class History:
    """A source that was read."""

    name: str
    shape: str
    schema: Schema
    rows: tuple[Row, ...]
    unreadable: tuple[Unreadable, ...]
    notes: tuple[str, ...] = ()

    def gain(self, better: float, than: float) -> float:
        """By how much one score is better than another."""
        return than - better if self.schema.direction == "minimize" else better - than

    def gain_over_best(self) -> dict[int, float]:
        """By line, the gain of each scored row over the best that was kept before it in its segment."""
        best: dict[int, float] = {}
        gains = {}
        for row in self.rows:
            if not row.scored or row.score is None:
                continue
            if row.segment in best:
                gains[row.line] = self.gain(row.score, best[row.segment])
            if row.status == KEPT and (row.segment not in best or self.gain(row.score, best[row.segment]) > 0):
                best[row.segment] = row.score
        return gains
