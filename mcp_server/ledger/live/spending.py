"""What research has cost: as its proposers told, and as the user's own command read it."""

from __future__ import annotations

from dataclasses import dataclass

from mcp_server.ledger.store import Store
from mcp_server.nouns.rows import Spent

_COST = "CASE WHEN json_valid(proposer) THEN json_extract(proposer, '$.cost_usd') END"
_TOKENS = "CASE WHEN json_valid(proposer) THEN json_extract(proposer, '$.tokens') END"


@dataclass(frozen=True)
class Reading:
    """What a command said was spent until a moment. A counter counts from anywhere; else it counts the campaign."""

    campaign: str
    at: str
    spent: Spent
    counter: bool
    problem: str = ""


@dataclass(frozen=True)
class Told:
    """What the attempts of a campaign told together, and how many of them told anything."""

    spent: Spent
    telling: int
    attempts: int


class Spending(Store):
    """Tokens and money. Baselines are nobody's proposal and cost none."""

    def told_spent(self, campaign: str) -> Told:
        row = self._rows(
            f"SELECT sum(cost) AS cost, sum(tokens) AS tokens, count(*) AS attempts,"
            " coalesce(sum(cost IS NOT NULL OR tokens IS NOT NULL), 0) AS telling"
            f" FROM (SELECT {_COST} AS cost, {_TOKENS} AS tokens FROM experiments WHERE campaign = ? AND"
            " kind <> 'baseline')",
            campaign,
        )[0]
        return Told(Spent(row["cost"], row["tokens"]), row["telling"], row["attempts"])

    def proposals_since(self, at: str) -> list[tuple[str, Spent]]:
        """(moment, what it told) of each attempt of any campaign that was begun after a moment, oldest first."""
        rows = self._rows(
            f"SELECT opened_at, {_COST} AS cost, {_TOKENS} AS tokens FROM experiments WHERE opened_at > ?"
            " AND kind <> 'baseline' ORDER BY opened_at",
            at,
        )
        return [(row["opened_at"], Spent(row["cost"], row["tokens"])) for row in rows]

    def add_reading(self, reading: Reading) -> None:
        """Record what the user's command said; one that says the same again is no new line, it only was asked again."""
        before = self.last_reading(reading.campaign)
        values = (reading.spent.cost_usd, reading.spent.tokens, int(reading.counter), reading.problem)
        with self._fact():
            if before is not None and before[1:] == values:
                self._db.execute(
                    "UPDATE spending SET asked_at = ? WHERE id = (SELECT max(id) FROM spending WHERE campaign = ?)",
                    (reading.at, reading.campaign),
                )
                return
            self._db.execute(
                "INSERT INTO spending (campaign, at, asked_at, cost_usd, tokens, counter, problem)"
                " VALUES (?, ?, ?, ?, ?, ?, ?)",
                (reading.campaign, reading.at, reading.at, *values),
            )

    def last_reading(self, campaign: str) -> tuple[str, float | None, int | None, int, str] | None:
        """(when it was asked last, cost, tokens, counter, problem), whether or not it answered."""
        rows = self._rows(
            "SELECT asked_at, cost_usd, tokens, counter, problem FROM spending WHERE campaign = ? ORDER BY id DESC"
            " LIMIT 1",
            campaign,
        )
        return tuple(rows[0]) if rows else None

    def readings(self, campaign: str) -> list[Reading]:
        """Those that answered, oldest first."""
        rows = self._rows("SELECT * FROM spending WHERE campaign = ? AND problem = '' ORDER BY id", campaign)
        return [
            Reading(row["campaign"], row["at"], Spent(row["cost_usd"], row["tokens"]), bool(row["counter"]))
            for row in rows
        ]
