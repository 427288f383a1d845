"""The table of events: what happened, numbered, each once, whoever noticed it and however often it was looked at.

An event is one line of JSON of a published form (docs/reference/events.schema.json). Fields are only ever added; a
change of what a field means is a new `version`.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from mcp_server.ledger.store import Store


class EventKind(StrEnum):
    """What can happen. A keep is a decision too, and both are told."""

    KEEP = "keep"
    CRASH = "crash"
    IDLE = "idle"
    STOP = "stop"
    DECISION = "decision"
    VERDICT = "verdict"


class Event(BaseModel):
    """One thing that happened in a lab. Gains are positive when better; text of agents and runs is data."""

    model_config = ConfigDict(frozen=True, extra="ignore", title="autoresearch event")

    version: Literal[1] = 1
    event: int = Field(description="1, 2, 3, ... in the order in which they were noticed; never used twice in a lab")
    kind: EventKind
    at: str = Field(description="when it was noticed, ISO 8601, UTC")
    lab: str = Field(description="the random name of the lab's ledger")
    campaign: str
    words: str = Field(description="the whole of it as one sentence for people")
    experiment: int | None = None
    description: str | None = Field(default=None, description="what its proposer said of the experiment")
    status: str | None = Field(default=None, description="of the experiment: kept, discarded, crashed, ...")
    decision: str | None = Field(
        default=None, description="keep, revert or overtaken; of a verdict: keep, discard, confirm"
    )
    label: str | None = Field(default=None, description="of a keep: baseline, provisional, confirmed, simplification")
    score: float | None = None
    change: float | None = Field(default=None, description="gain over the incumbent; positive is better")
    noise_widths: float | None = None
    reason: str | None = None
    commit: str | None = Field(default=None, description="of a keep, on the campaign's branch")

    def line(self) -> str:
        """As events.jsonl has it: what is not known is left out."""
        return self.model_dump_json(exclude_none=True)


class Events(Store):
    """What happened, in the order in which it was noticed."""

    def add_event(self, name: str, kind: EventKind, campaign: str, at: str, told: BaseModel | dict[str, Any]) -> bool:
        """Record an event once: `name` says which it is, and the second of one name is none. True when it is new."""
        if self._rows("SELECT 1 FROM events WHERE name = ?", name):
            return False
        found = told if isinstance(told, dict) else told.model_dump(exclude_none=True)
        with self._fact():
            number = self._db.execute("SELECT coalesce(max(number), 0) + 1 FROM events").fetchone()[0]
            event = Event(event=number, kind=kind, at=at, lab=self.lab, campaign=campaign, **found)
            self._db.execute(
                "INSERT INTO events (number, name, kind, campaign, at, line) VALUES (?, ?, ?, ?, ?, ?)",
                (number, name, kind, campaign, at, event.line()),
            )
        return True

    def knows_event(self, name: str) -> bool:
        return bool(self._rows("SELECT 1 FROM events WHERE name = ?", name))

    def last_event(self) -> int:
        """Number of the newest event; 0 while there is none."""
        return int(self._rows("SELECT coalesce(max(number), 0) FROM events")[0][0])

    def events(
        self, after: int = 0, kinds: Sequence[str] = (), campaign: str = "", limit: int = -1, newest: bool = False
    ) -> list[Event]:
        """Events beyond number `after`, in order; of some kinds, of one campaign, oldest or newest ones."""
        wanted = f" AND kind IN ({', '.join('?' for _ in kinds)})" if kinds else ""
        here = " AND (campaign = ? OR kind = 'idle')" if campaign else ""
        order = "DESC" if newest else ""
        rows = self._rows(
            f"SELECT line FROM events WHERE number > ?{wanted}{here} ORDER BY number {order} LIMIT ?",
            after,
            *kinds,
            *([campaign] if campaign else []),
            limit,
        )
        found = [Event.model_validate_json(row["line"]) for row in rows]
        return found[::-1] if newest else found

    def untold(self) -> list[tuple[str, int, int]]:
        """(campaign, experiment, turn) of settled decisions that may have no event yet, in order."""
        rows = self._rows(
            "SELECT campaign, number, e.turn AS turn FROM campaigns CROSS JOIN experiments AS e ON campaign = tag"
            " AND e.turn > heard WHERE settled = 1 ORDER BY decided_at, e.turn"
        )
        return [(row["campaign"], row["number"], row["turn"]) for row in rows]

    def told_until(self, campaign: str, turn: int) -> None:
        """Every decision up to a turn has its event; one that git could not follow yet keeps its turn open."""
        self._write(
            "UPDATE campaigns SET heard = max(heard, min(?2, coalesce((SELECT min(turn) - 1 FROM experiments WHERE"
            " campaign = ?1 AND decision IS NOT NULL AND settled = 0), ?2))) WHERE tag = ?1",
            (campaign, turn),
        )

    def unjudged(self) -> list[tuple[str, int, int]]:
        """(campaign, number, runs) of undecided experiments of all campaigns whose runs are over."""
        rows = self._rows(
            "SELECT e.campaign AS campaign, e.number AS number, count(*) AS runs FROM experiments AS e"
            " INDEXED BY experiments_undecided JOIN runs ON runs.campaign = e.campaign AND experiment = e.number"
            " WHERE e.decision IS NULL GROUP BY e.campaign, e.number"
            " HAVING sum(state IN ('queued', 'running', 'pending')) = 0"
        )
        return [tuple(row) for row in rows]

    def campaign_of_run(self, ticket: int) -> str:
        return str(self._rows("SELECT campaign FROM runs WHERE ticket = ?", ticket)[0][0])

    def resting_since(self) -> int:
        """The ticket of the newest run while nothing runs or waits for a device; 0 while something does, or before."""
        row = self._rows(
            "SELECT coalesce(max(ticket), 0), (SELECT count(*) FROM runs INDEXED BY runs_by_state"
            " WHERE state IN ('queued', 'running')) FROM runs"
        )[0]
        return 0 if row[1] else int(row[0])
