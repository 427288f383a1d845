"""The tables of a person's hand on a campaign: pauses, vetoes and notes, and the queue of ideas."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from enum import StrEnum

from mcp_server.ledger.store import Store
from mcp_server.nouns.errors import NotNow


class Order(StrEnum):
    """What a person asks for."""

    PAUSE = "pause"
    VETO = "veto"
    NOTE = "note"


@dataclass(frozen=True)
class Asked:
    """One thing a person asked for; `done_at` says when it was over, and `done` how."""

    id: int
    campaign: str
    at: str
    verb: Order
    text: str
    experiment: int | None  # of a veto: which one; None is whichever is kept next
    until: str | None  # of a pause that ends by itself
    done_at: str | None
    done: str


class IdeaState(StrEnum):
    """Where an idea of the queue is."""

    PINNED = "pinned"
    OPEN = "open"
    PARKED = "parked"
    TRIED = "tried"
    DROPPED = "dropped"


@dataclass(frozen=True)
class Idea:
    """Something that could be tried, by whom and how urgent: a greater priority goes first."""

    id: int
    campaign: str
    text: str
    priority: int
    state: IdeaState
    source: str  # person | agent
    at: str
    experiment: int | None  # that tried it


WAITING = (IdeaState.PINNED, IdeaState.OPEN)


class Orders(Store):
    """Orders and ideas."""

    def ask(
        self,
        campaign: str,
        verb: Order,
        text: str,
        at: str,
        experiment: int | None = None,
        until: str | None = None,
    ) -> int:
        return self._write(
            "INSERT INTO orders (campaign, at, verb, text, experiment, until) VALUES (?, ?, ?, ?, ?, ?)",
            (campaign, at, verb, text, experiment, until),
        )

    def asked(self, campaign: str, verb: Order) -> list[Asked]:
        """What is asked for and not over, oldest first."""
        rows = self._rows(
            "SELECT * FROM orders WHERE campaign = ? AND verb = ? AND done_at IS NULL ORDER BY id", campaign, verb
        )
        return [_asked(row) for row in rows]

    def pausing(self) -> list[str]:
        """Campaigns with a pause that nobody has taken back; it may be over by itself."""
        rows = self._rows("SELECT DISTINCT campaign FROM orders WHERE verb = 'pause' AND done_at IS NULL")
        return [row[0] for row in rows]

    def asked_last(self, campaign: str, verb: Order, last: int) -> list[Asked]:
        """The newest, over or not, oldest first."""
        rows = self._rows(
            "SELECT * FROM orders WHERE campaign = ? AND verb = ? ORDER BY id DESC LIMIT ?", campaign, verb, last
        )
        return [_asked(row) for row in reversed(rows)]

    def over(self, keys: list[int], at: str, how: str) -> None:
        """These are over, unless they were already."""
        with self._fact():
            self._db.executemany(
                "UPDATE orders SET done_at = ?, done = ? WHERE id = ? AND done_at IS NULL",
                [(at, how, key) for key in keys],
            )

    def veto_on(self, campaign: str, numbers: list[int]) -> Asked | None:
        """The veto that a keep of a change, tried under these numbers, meets: one on it, else the oldest on any."""
        found = [one for one in self.asked(campaign, Order.VETO) if one.experiment in (None, *numbers)]
        return min(found, key=lambda one: (one.experiment is None, one.id), default=None)

    def has_notes(self) -> bool:
        """Whether any note of any campaign waits for its agent."""
        return bool(self._rows("SELECT 1 FROM orders WHERE verb = 'note' AND done_at IS NULL LIMIT 1"))

    def add_idea(self, campaign: str, text: str, priority: int, source: str, at: str) -> int:
        return self._write(
            "INSERT INTO ideas (campaign, text, priority, state, source, at) VALUES (?, ?, ?, 'open', ?, ?)",
            (campaign, text, priority, source, at),
        )

    def idea(self, campaign: str, key: int) -> Idea:
        """Raises NotNow."""
        rows = self._rows("SELECT * FROM ideas WHERE campaign = ? AND id = ?", campaign, key)
        if not rows:
            raise NotNow(f"There is no idea {key} in campaign {campaign}. `autoresearch ideas` lists those there are.")
        return _idea(rows[0])

    def change_idea(
        self, key: int, state: IdeaState, priority: int | None = None, experiment: int | None = None
    ) -> None:
        self._write(
            "UPDATE ideas SET state = ?, priority = coalesce(?, priority), experiment = coalesce(?, experiment)"
            " WHERE id = ?",
            (state, priority, experiment, key),
        )

    def queue(self, campaign: str) -> list[Idea]:
        """What waits to be tried: pinned ones first, then by priority, then the oldest."""
        rows = self._rows(
            "SELECT * FROM ideas WHERE campaign = ? AND state IN ('pinned', 'open')"
            " ORDER BY state = 'pinned' DESC, priority DESC, id",
            campaign,
        )
        return [_idea(row) for row in rows]

    def ideas(self, campaign: str, last: int = 200) -> list[Idea]:
        """All of them, the newest `last`, oldest first."""
        rows = self._rows("SELECT * FROM ideas WHERE campaign = ? ORDER BY id DESC LIMIT ?", campaign, last)
        return [_idea(row) for row in reversed(rows)]


def _asked(row: sqlite3.Row) -> Asked:
    return Asked(**{**dict(row), "verb": Order(row["verb"])})


def _idea(row: sqlite3.Row) -> Idea:
    return Idea(**{**dict(row), "state": IdeaState(row["state"])})
