"""The tables of campaigns: versions of program.md, who joined which campaign, and how its rules were amended."""

from __future__ import annotations

import json
import sqlite3

from mcp_server.ledger.store import Store
from mcp_server.nouns.rows import Amendment, Campaign


class Campaigns(Store):
    """Programs and campaigns."""

    def note_program(self, digest: str, text: str, at: str) -> bool:
        """Remember a version of program.md; True when it is new."""
        if self._rows("SELECT 1 FROM programs WHERE digest = ?", digest):
            return False
        self._write("INSERT OR IGNORE INTO programs VALUES (?, ?, ?)", (digest, text, at))
        return True

    def programs(self) -> list[tuple[str, str, str]]:
        """(digest, text, first seen), oldest first."""
        return [
            tuple(row) for row in self._rows("SELECT digest, text, first_seen FROM programs ORDER BY first_seen, rowid")
        ]

    def program_text(self, digest: str) -> str | None:
        rows = self._rows("SELECT text FROM programs WHERE digest = ?", digest)
        return rows[0][0] if rows else None

    def intend_campaign(self, campaign: Campaign, tree: str) -> None:
        with self._fact():
            self._db.execute(
                "INSERT INTO campaigns (tag, pinned, began_at, seed, calibrate, corpus, fingerprint, secret, program)"
                " VALUES (:tag, :pinned, :began_at, :seed, :calibrate, :corpus, :fingerprint, :secret, :program)",
                campaign.__dict__,
            )
            self._join(tree, campaign.tag, campaign.began_at)

    def join(self, tree: str, tag: str, at: str) -> None:
        """From now on verbs called in `tree` act on campaign `tag`."""
        with self._fact():
            self._join(tree, tag, at)

    def _join(self, tree: str, tag: str, at: str) -> None:
        self._db.execute(
            "INSERT INTO trees VALUES (?, ?, ?) ON CONFLICT (tree) DO UPDATE SET campaign = "
            "excluded.campaign, joined_at = excluded.joined_at",
            (tree, tag, at),
        )

    def campaign_ready(self, tag: str) -> None:
        self._write("UPDATE campaigns SET ready = 1 WHERE tag = ?", (tag,))

    def set_program(self, tag: str, digest: str) -> None:
        """From now on `digest` is the version of program.md in force."""
        self._write("UPDATE campaigns SET program = ? WHERE tag = ?", (digest, tag))

    def amend(self, amendment: Amendment) -> None:
        """Record a change of the rules and put its program in force, as one fact."""
        a = amendment
        with self._fact():
            self._db.execute(
                "INSERT INTO amendments (campaign, at, before, after, changes, experiment) VALUES (?,?,?,?,?,?)",
                (a.campaign, a.at, a.before, a.after, json.dumps(a.changes), a.experiment),
            )
            self._db.execute("UPDATE campaigns SET program = ? WHERE tag = ?", (a.after, a.campaign))

    def amendments(self, campaign: str) -> list[Amendment]:
        """Oldest first."""
        rows = self._rows(
            "SELECT campaign, at, before, after, changes, experiment FROM amendments WHERE campaign = ? ORDER BY id",
            campaign,
        )
        return [Amendment(**{**dict(row), "changes": tuple(json.loads(row["changes"]))}) for row in rows]

    def campaigns(self) -> list[Campaign]:
        """Oldest first."""
        return [_campaign(row) for row in self._rows("SELECT * FROM campaigns ORDER BY began_at, rowid")]

    def campaign(self, tag: str) -> Campaign | None:
        rows = self._rows("SELECT * FROM campaigns WHERE tag = ?", tag)
        return _campaign(rows[0]) if rows else None

    def campaign_of(self, tree: str) -> str | None:
        rows = self._rows("SELECT campaign FROM trees WHERE tree = ?", tree)
        return rows[0][0] if rows else None

    def joined(self) -> list[str]:
        """Tags of the campaigns that some work tree works on."""
        return [row[0] for row in self._rows("SELECT DISTINCT campaign FROM trees")]


def _campaign(row: sqlite3.Row) -> Campaign:
    known = {name: row[name] for name in Campaign.__dataclass_fields__}
    return Campaign(**{**known, "ready": bool(row["ready"])})
