"""The record of every run and decision: SQLite, one transaction per fact.

`lab.db` is the only truth: WAL with full synchronisation, so an acknowledged fact survives a power cut. Every change of
the outside world is written here first as an intent (`vaulted = 0`, `settled = 0`, a run in state queued) and then as
an outcome; `recovery` carries unfinished intents out. Nothing outside this module speaks SQL.
"""

from __future__ import annotations

import contextlib
import json
import re
import secrets
import sqlite3
from collections.abc import Iterator, Sequence
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

from mcp_server.ledger.schema import STEPS
from mcp_server.nouns.baseline import Baseline
from mcp_server.nouns.decided import Decided
from mcp_server.nouns.errors import LedgerError, UnknownExperiment
from mcp_server.nouns.files import mend, private_file, private_folder
from mcp_server.nouns.records import CurvePoint, Kind, Purpose, RunResult, RunState
from mcp_server.nouns.rows import Amendment, Campaign, Exam, Experiment, Learning, Run, Trained

# the columns an experiment is born with; the rest is written by its decision
OPENED = (
    *("campaign", "number", "kind", "description", "hypothesis", "expected_delta", "snapshot", "base", "fingerprint"),
    *("edit", "nodes", "knobs", "protocol", "theme", "program", "style", "opened_at", "tree", "session"),
)
BUSY_SECONDS = 10.0
# given up after its supervisor died, each time it was run
_LOST = (
    "e.decision = 'revert' AND e.number IN (SELECT experiment FROM runs WHERE campaign = ?1 AND state = 'lost')"
    " AND NOT EXISTS (SELECT 1 FROM runs WHERE campaign = ?1 AND experiment = e.number AND state != 'lost')"
)
# of an experiment that was run more than once: they are few
_AGAIN = "experiment IN (SELECT experiment FROM runs WHERE campaign = ?1 AND run > 1)"


class Ledger:
    """An open lab.db. Safe for many processes; one thread at a time (the lab holds its lock for each verb).

    Raises LedgerError when the file is damaged, newer than this code, or cannot be written.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            private_folder(path.parent)
            # the campaign's secret is in it; SQLite gives its journals the mode that the ledger has
            private_file(path)
            mend(*(path.with_name(path.name + ending) for ending in ("-wal", "-shm")))
            self._db = sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False)
            self._db.row_factory = sqlite3.Row
            with self._words():
                self._db.execute("PRAGMA journal_mode = WAL")
                self._db.execute("PRAGMA synchronous = FULL")
                self._db.execute("PRAGMA foreign_keys = ON")
                self._migrate()
            self.lab: str = self._rows("SELECT id FROM lab")[0][0]  # this ledger's random name
        except (OSError, sqlite3.Error) as error:
            raise LedgerError(
                f"The ledger {path} cannot be opened: {error}. Check the disk and its permissions."
            ) from None
        self._file = self._identity()

    def _identity(self) -> tuple[int, int] | None:
        try:
            found = self.path.stat()
        except OSError:
            return None
        return found.st_dev, found.st_ino

    def in_place(self) -> bool:
        """Whether the file that was opened is still the one at its path."""
        return self._file is not None and self._file == self._identity()

    def close(self) -> None:
        self._db.close()

    def check(self) -> None:
        """Look for damage. Raises LedgerError that names the place."""
        with self._words():
            found = [row[0] for row in self._db.execute("PRAGMA quick_check(3)")]
        if found != ["ok"]:
            raise LedgerError(
                f"The ledger {self.path} is damaged: {'; '.join(found)}. Copy it away, restore a backup, or try "
                f"`sqlite3 lab.db .recover`; the vault refs and the run folders beside it are untouched."
            )

    def _migrate(self) -> None:
        version = self._db.execute("PRAGMA user_version").fetchone()[0]
        if version > len(STEPS):
            raise LedgerError(
                f"The ledger {self.path} has schema {version}; this autoresearch knows up to {len(STEPS)}. "
                "It was written by a newer version: upgrade autoresearch to use this lab."
            )
        if version == len(STEPS):
            return
        with self._fact():
            # another process may have migrated while we waited for the lock
            for number, step in enumerate(STEPS, 1):
                if number > self._db.execute("PRAGMA user_version").fetchone()[0]:
                    step(self._db)
                    self._db.execute(f"PRAGMA user_version = {number}")

    @contextlib.contextmanager
    def _words(self) -> Iterator[None]:
        """SQLite's complaints as ours, with the place and what to do."""
        try:
            yield
        except sqlite3.OperationalError as error:
            advice = (
                "Free some space, then call again."
                if "full" in str(error)
                else "Call again; if it stays, look at the disk."
            )
            raise LedgerError(
                f"The ledger {self.path} could not be used: {error}. Nothing was recorded. {advice}"
            ) from None
        except sqlite3.DatabaseError as error:
            raise LedgerError(
                f"The ledger {self.path} is damaged: {error}. Copy it away and restore a backup; the vault "
                "refs and the "
                "run folders beside it are untouched."
            ) from None

    @contextlib.contextmanager
    def _fact(self) -> Iterator[None]:
        """One transaction: all of it or nothing."""
        with self._words():
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._db.execute("COMMIT")
            except BaseException:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise

    def _rows(self, sql: str, *values: Any) -> list[sqlite3.Row]:
        with self._words():
            return self._db.execute(sql, values).fetchall()

    # --- programs and campaigns ------------------------------------------------------------------------------------

    def note_program(self, digest: str, text: str, at: str) -> bool:
        """Remember a version of program.md; True when it is new."""
        if self._rows("SELECT 1 FROM programs WHERE digest = ?", digest):
            return False
        with self._fact():
            self._db.execute("INSERT OR IGNORE INTO programs VALUES (?, ?, ?)", (digest, text, at))
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
        with self._fact():
            self._db.execute("UPDATE campaigns SET ready = 1 WHERE tag = ?", (tag,))

    def set_program(self, tag: str, digest: str) -> None:
        """From now on `digest` is the version of program.md in force."""
        with self._fact():
            self._db.execute("UPDATE campaigns SET program = ? WHERE tag = ?", (digest, tag))

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

    # --- experiments -------------------------------------------------------------------------------------------------

    def open_experiment(self, experiment: Experiment, seeds: Sequence[tuple[int, Purpose]]) -> None:
        """Record an attempt and the runs it is to have, as one fact. `seeds`: (seed, purpose) of each run."""
        e = experiment
        with self._fact():
            values = {
                **{name: getattr(experiment, name) for name in OPENED},
                "knobs": json.dumps(experiment.knobs),
                "protocol": json.dumps(experiment.protocol),
            }
            self._db.execute(
                f"INSERT INTO experiments ({', '.join(OPENED)}, held)"
                f" VALUES ({', '.join(':' + name for name in OPENED)}, 1)",
                values,
            )
            for seed, purpose in seeds:
                self._open_run(e.campaign, e.number, seed, purpose, e.opened_at)
            knobs = " ".join(f"{name} {before} {after}" for name, before, after in e.knobs)
            self._index(f"{e.description}\n{e.hypothesis}\n{knobs}\n{e.theme}", "experiment", e.campaign, e.number)

    def vaulted(self, campaign: str, number: int) -> None:
        with self._fact():
            self._db.execute("UPDATE experiments SET vaulted = 1 WHERE campaign = ? AND number = ?", (campaign, number))

    def next_number(self, campaign: str) -> int:
        return int(
            self._rows("SELECT coalesce(max(number), 0) + 1 FROM experiments WHERE campaign = ?", campaign)[0][0]
        )

    def experiment(self, campaign: str, number: int) -> Experiment:
        """Raises UnknownExperiment."""
        rows = self._rows("SELECT * FROM experiments WHERE campaign = ? AND number = ?", campaign, number)
        if not rows:
            last = self.next_number(campaign) - 1
            known = f"it has 1 to {last}" if last else "it has none yet"
            raise UnknownExperiment(
                f"Campaign {campaign} has no experiment {number}; {known}. `lab_status` lists the last ones."
            )
        return _experiment(rows[0])

    def experiments(self, campaign: str, *, last: int | None = None) -> list[Experiment]:
        """In order of number; only the last few when asked."""
        if last is None:
            return [
                _experiment(row)
                for row in self._rows("SELECT * FROM experiments WHERE campaign = ? ORDER BY number", campaign)
            ]
        rows = self._rows("SELECT * FROM experiments WHERE campaign = ? ORDER BY number DESC LIMIT ?", campaign, last)
        return [_experiment(row) for row in reversed(rows)]

    def last_begun_by(self, campaign: str, session: str) -> Experiment | None:
        """The newest experiment of a session; None when it began none."""
        question = "SELECT * FROM experiments WHERE campaign = ? AND session = ? ORDER BY number DESC LIMIT 1"
        rows = self._rows(question, campaign, session)
        return _experiment(rows[0]) if rows else None

    def twins(self, fingerprint: str, campaign: str) -> list[Experiment]:
        """Experiments of the same code after normalising, oldest first."""
        rows = self._rows(
            "SELECT * FROM experiments WHERE campaign = ? AND fingerprint = ? ORDER BY number", campaign, fingerprint
        )
        return [_experiment(row) for row in rows]

    def same_edit(self, edit: str, campaign: str) -> list[Experiment]:
        """Experiments that made the same change, on whatever base, oldest first."""
        rows = self._rows("SELECT * FROM experiments WHERE campaign = ? AND edit = ? ORDER BY number", campaign, edit)
        return [_experiment(row) for row in rows]

    def candidates(self, keys: Sequence[tuple[str, int]], knobs: Sequence[str], newest: int) -> list[Experiment]:
        """Experiments of all campaigns worth ranking: the ones named, the ones that changed a constant, the newest."""
        named = " OR ".join("(campaign = ? AND number = ?)" for _ in keys) or "0"
        changed = " OR ".join("instr(lower(knobs), lower(?))" for _ in knobs) or "0"
        rows = self._rows(
            f"SELECT * FROM experiments WHERE {named} UNION SELECT * FROM (SELECT * FROM experiments WHERE {changed}"
            " ORDER BY opened_at DESC LIMIT ?) UNION"
            " SELECT * FROM (SELECT * FROM experiments ORDER BY opened_at DESC LIMIT ?) ORDER BY opened_at, number",
            *(value for key in keys for value in key),
            *knobs,
            newest,
            newest,
        )
        return [_experiment(row) for row in rows]

    def undecided(self, campaign: str) -> list[Experiment]:
        rows = self._rows("SELECT * FROM experiments WHERE campaign = ? AND decision IS NULL ORDER BY number", campaign)
        return [_experiment(row) for row in rows]

    def decided(self, campaign: str) -> list[Experiment]:
        """In the order in which they were decided."""
        rows = self._rows(
            "SELECT * FROM experiments WHERE campaign = ? AND decision IS NOT NULL ORDER BY turn", campaign
        )
        return [_experiment(row) for row in rows]

    def kept(self, campaign: str) -> list[Experiment]:
        """Kept and settled, in the order in which they were kept; the last one is the incumbent."""
        rows = self._rows(
            "SELECT * FROM experiments WHERE campaign = ? AND decision = 'keep' AND settled = 1 ORDER BY turn",
            campaign,
        )
        return [_experiment(row) for row in rows]

    def incumbent(self, campaign: str) -> Experiment | None:
        rows = self._rows(
            "SELECT * FROM experiments WHERE campaign = ? AND decision = 'keep' AND settled = 1 ORDER BY "
            "turn DESC LIMIT 1",
            campaign,
        )
        return _experiment(rows[0]) if rows else None

    def baseline(self, campaign: str) -> Baseline | None:
        """The one that was kept, else the last that was offered; None before the campaign has begun."""
        rows = self._rows(
            "SELECT * FROM experiments WHERE campaign = ? AND kind = 'baseline'"
            " ORDER BY decision IS 'keep' DESC, number DESC LIMIT 1",
            campaign,
        )
        found = _experiment(rows[0]) if rows else None
        return None if found is None else Baseline(found, tuple(self.runs(campaign, found.number)))

    def count(self, campaign: str) -> dict[str, int]:
        """Attempts by decision ("open" while there is none) and in "all"; those that only got lost count as "lost".

        A kept baseline is no keep: it counts as "baseline".
        """
        found = {
            row[0] or "open": row[1]
            for row in self._rows(
                "SELECT CASE WHEN decision = 'keep' AND kind = 'baseline' THEN kind ELSE decision END, count(*)"
                " FROM experiments WHERE campaign = ? GROUP BY 1",
                campaign,
            )
        }
        lost = self._rows(f"SELECT count(*) FROM experiments AS e WHERE campaign = ?1 AND {_LOST}", campaign)[0][0]
        if lost:
            found["revert"] -= lost
            found["lost"] = lost
        counted = {name: number for name, number in found.items() if number}
        return {"all": sum(number for name, number in counted.items() if name != "lost"), **counted}

    def since_keep(self, campaign: str) -> int:
        """Attempts decided after the last keep; what got lost says nothing and does not count."""
        rows = self._rows(
            "SELECT count(*) FROM experiments AS e WHERE campaign = ?1 AND turn >"
            " coalesce((SELECT max(turn) FROM experiments WHERE campaign = ?1 AND decision = 'keep'), 0)"
            f" AND NOT ({_LOST})",
            campaign,
        )
        return int(rows[0][0])

    # --- decisions: an intent, then its outcome ----------------------------------------------------------------------

    def intend(self, campaign: str, number: int, decision: str, label: str | None, verdict: Decided, at: str) -> None:
        """Write what is to happen before git moves."""
        with self._fact():
            self._db.execute(
                "UPDATE experiments SET decision = ?3, label = ?4, verdict = ?5, decided_at = ?6, settled = 0,"
                # a clock may be set back; the order of decisions may not
                " turn = (SELECT coalesce(max(turn), 0) + 1 FROM experiments WHERE campaign = ?1)"
                " WHERE campaign = ?1 AND number = ?2 AND decision IS NULL",
                (campaign, number, decision, label, verdict.text(), at),
            )

    def unsettled(self) -> list[Experiment]:
        """Decided, but git may not have followed; in the order of the decisions."""
        return [
            _experiment(row)
            for row in self._rows(
                "SELECT * FROM experiments WHERE decision IS NOT NULL AND settled = 0 ORDER BY campaign, turn"
            )
        ]

    def unvaulted(self) -> list[Experiment]:
        return [_experiment(row) for row in self._rows("SELECT * FROM experiments WHERE vaulted = 0")]

    def unheld(self) -> list[Experiment]:
        """Settled, but git was never told to keep the snapshot: experiments of an older version."""
        return [_experiment(row) for row in self._rows("SELECT * FROM experiments WHERE settled = 1 AND held = 0")]

    def held(self, keys: Sequence[tuple[str, int]], *, gone: bool = False) -> None:
        """Git keeps the snapshots of these experiments from now on; or they are gone."""
        with self._fact():
            self._db.executemany(
                f"UPDATE experiments SET held = {-1 if gone else 1} WHERE campaign = ? AND number = ?", keys
            )

    def settle(
        self, campaign: str, number: int, decision: str, commit: str | None, said: str = "", *, gone: bool = False
    ) -> None:
        """Git has followed; `decision` may have become "overtaken", and `said` is then the reason.

        gone: git lost the snapshot, so that nothing is left to be kept.
        """
        with self._fact():
            self._db.execute(
                "UPDATE experiments SET decision = ?3, commit_sha = ?4, settled = 1,"
                " held = CASE WHEN ?6 THEN -1 ELSE held END, label = CASE WHEN ?3 = 'keep' THEN label END,"
                " verdict = CASE WHEN ?5 = '' THEN verdict ELSE json_set(verdict, '$.reason', ?5, '$.outcome', ?3) END"
                " WHERE campaign = ?1 AND number = ?2",
                (campaign, number, decision, commit, said, gone),
            )

    # --- runs --------------------------------------------------------------------------------------------------------

    def open_run(
        self, campaign: str, experiment: int, seed: int, purpose: Purpose, at: str, not_before: datetime | None = None
    ) -> Run:
        """Order one more run; `not_before` lets it wait, for a machine that is quiet again."""
        with self._fact():
            self._open_run(campaign, experiment, seed, purpose, at, not_before.timestamp() if not_before else None)
        return self.runs(campaign, experiment)[-1]

    def _open_run(
        self, campaign: str, experiment: int, seed: int, purpose: Purpose, at: str, not_before: float | None = None
    ) -> None:
        self._db.execute(
            "INSERT INTO runs (campaign, experiment, run, seed, purpose, state, opened_at, ask_again_at, run_id)"
            " SELECT ?1, ?2, coalesce(max(run), 0) + 1, ?3, ?4, 'queued', ?5, ?6, ?7 FROM runs WHERE campaign = "
            "?1 AND experiment = ?2",
            (campaign, experiment, seed, purpose, at, not_before, secrets.token_hex(16)),
        )

    def active_campaigns(self) -> list[str]:
        """Tags of campaigns that have begun."""
        return [row[0] for row in self._rows("SELECT tag FROM campaigns WHERE ready = 1 ORDER BY began_at, rowid")]

    def runs(self, campaign: str, experiment: int) -> list[Run]:
        rows = self._rows("SELECT * FROM runs WHERE campaign = ? AND experiment = ? ORDER BY run", campaign, experiment)
        return [_run(row) for row in rows]

    def open_runs(self) -> list[Run]:
        """Of all campaigns, in the order of the queue."""
        return [
            _run(row)
            for row in self._rows("SELECT * FROM runs WHERE state IN ('queued', 'running', 'pending') ORDER BY ticket")
        ]

    def scored_runs(self, campaign: str, *, only_repeated: bool = False) -> list[Run]:
        """Runs whose score may decide something; with `only_repeated`, of experiments that have at least two."""
        more = (
            " AND experiment IN (SELECT experiment FROM runs WHERE campaign = ?1 AND state = 'scored' AND "
            f"tainted = '' AND purpose != 'exam' AND {_AGAIN}"
            " GROUP BY experiment HAVING count(*) > 1)"
            if only_repeated
            else ""
        )
        rows = self._rows(
            "SELECT *, NULL AS result FROM runs WHERE campaign = ?1 AND state = 'scored' AND tainted = '' "
            "AND purpose != 'exam'" + more + " ORDER BY ticket",
            campaign,
        )
        return [_run(row, light=True) for row in rows]

    def curves(self, campaign: str, last: int) -> list[Trained]:
        """The newest runs that count and told their training loss, oldest first."""
        rows = self._rows(
            "SELECT experiment, seed, machine, purpose, score, json_extract(result, '$.curve') AS curve FROM runs"
            " WHERE campaign = ? AND state = 'scored' AND tainted = '' AND purpose != 'exam' AND curve IS NOT NULL"
            " ORDER BY ticket DESC LIMIT ?",
            campaign,
            last,
        )
        return [
            Trained(
                row["experiment"],
                row["seed"],
                row["machine"],
                Purpose(row["purpose"]),
                row["score"],
                tuple(CurvePoint(**point) for point in json.loads(row["curve"])),
            )
            for row in reversed(rows)
        ]

    def saved(self, campaign: str) -> tuple[int, float]:
        """(runs that were stopped as hopeless, seconds of their budgets that were left)."""
        row = self._rows(
            "SELECT count(*), total(json_extract(result, '$.saved_seconds')) FROM runs WHERE campaign = ?"
            " AND state = 'cancelled' AND json_extract(result, '$.saved_seconds') IS NOT NULL",
            campaign,
        )[0]
        return row[0], row[1]

    def measured_beside(self, campaign: str) -> list[tuple[int, int, str, int, float, float]]:
        """(experiment, seed, machine, incumbent, own score, its score) of every run that counts and has both."""
        rows = self._rows(
            "SELECT experiment, seed, machine, incumbent, score, incumbent_score FROM runs WHERE campaign = ?1"
            " AND incumbent_score IS NOT NULL AND incumbent IS NOT NULL AND state = 'scored' AND tainted = ''"
            " AND purpose != 'exam' ORDER BY ticket",
            campaign,
        )
        return [tuple(row) for row in rows]

    def repeat_spreads(self, campaign: str) -> list[float]:
        """Largest less smallest score of each code that ran more than once on a seed and machine, side by side too."""
        counts = "campaign = ?1 AND score IS NOT NULL AND state = 'scored' AND tainted = '' AND purpose != 'exam'"
        rows = self._rows(
            "SELECT max(score) - min(score) FROM"
            f" (SELECT experiment, seed, machine, score FROM runs WHERE {counts} AND {_AGAIN}"
            "  UNION ALL SELECT experiment, seed, machine, score FROM runs"
            f"  WHERE {counts} AND incumbent_score IS NOT NULL AND incumbent = experiment AND NOT {_AGAIN}"
            "  UNION ALL SELECT experiment, seed, machine, incumbent_score FROM runs"
            f"  WHERE {counts} AND incumbent_score IS NOT NULL AND incumbent = experiment)"
            " GROUP BY experiment, seed, machine HAVING count(*) > 1",
            campaign,
        )
        return [row[0] for row in rows]

    def compared(self, campaign: str) -> list[tuple[int, int]]:
        """(candidate, incumbent of its time) of every decided experiment that was compared."""
        rows = self._rows(
            "SELECT e.number, json_extract(e.verdict, '$.against') AS against FROM"
            " (SELECT experiment FROM runs WHERE campaign = ?1 AND state = 'scored' AND tainted = ''"
            f" AND {_AGAIN} GROUP BY experiment HAVING count(*) > 1) AS repeated"
            # CROSS: begin with the few, whatever the planner thinks
            " CROSS JOIN experiments AS e ON e.campaign = ?1 AND e.number = repeated.experiment"
            " WHERE e.decision IS NOT NULL AND against IS NOT NULL ORDER BY e.number",
            campaign,
        )
        return [(row["number"], row["against"]) for row in rows]

    def run_state(self, run: Run, state: RunState) -> None:
        with self._fact():
            self._db.execute(
                "UPDATE runs SET state = ? WHERE ticket = ? AND state IN ('queued', 'running', 'pending')",
                (state, run.ticket),
            )

    def close_run(self, run: Run, result: RunResult, at: str, ask_again_at: float | None = None) -> bool:
        """Move a result into the ledger, once; False when the run was closed already."""
        values = {
            "state": result.state,
            "at": at if result.state.terminal else None,
            "score": result.score,
            "tainted": result.tainted,
            "machine": machine_of(result),
            "incumbent": result.incumbent,
            "beside": result.incumbent_score,
            "again": ask_again_at,
            "result": result.model_dump_json(exclude_defaults=True),
            "ticket": run.ticket,
        }
        with self._fact():
            changed = self._db.execute(
                "UPDATE runs SET state = :state, closed_at = :at, score = :score, tainted = :tainted,"
                " machine = :machine, incumbent = :incumbent, incumbent_score = :beside, ask_again_at = :again,"
                " result = :result"
                " WHERE ticket = :ticket AND state IN ('queued', 'running', 'pending')",
                values,
            ).rowcount
        return bool(changed)

    # --- learnings and words -----------------------------------------------------------------------------------------

    def add_learning(
        self, campaign: str | None, experiment: int | None, text: str, tags: Sequence[str], source: str, at: str
    ) -> int:
        with self._fact():
            key = self._db.execute(
                "INSERT INTO learnings (campaign, experiment, text, tags, source, at) VALUES (?,?,?,?,?,?)",
                (campaign, experiment, text, json.dumps(list(tags)), source, at),
            ).lastrowid
            assert key is not None
            self._index(text + "\n" + " ".join(tags), "learning", campaign or "", key)
        return key

    def learnings(self, *, last: int | None = None) -> list[Learning]:
        """Oldest first; only the last few when asked."""
        rows = self._rows("SELECT * FROM learnings ORDER BY id DESC LIMIT ?", -1 if last is None else last)
        return [_learning(row) for row in reversed(rows)]

    def learnings_with(self, keys: Sequence[int], newest: int) -> list[Learning]:
        """The learnings named and the newest, oldest first."""
        marks = ",".join("?" for _ in keys)
        rows = self._rows(
            f"SELECT * FROM learnings WHERE id IN ({marks}) OR id > (SELECT coalesce(max(id), 0) FROM "
            "learnings) - ? ORDER BY id",
            *keys,
            newest,
        )
        return [_learning(row) for row in rows]

    def learnings_of(self, campaign: str, experiment: int) -> list[Learning]:
        return [
            _learning(row)
            for row in self._rows(
                "SELECT * FROM learnings WHERE campaign = ? AND experiment = ? ORDER BY id", campaign, experiment
            )
        ]

    def lessons_by_experiment(self, keys: Sequence[tuple[str, int]]) -> dict[tuple[str, int], list[str]]:
        """What was learned from each of many experiments, asked at once."""
        found: dict[tuple[str, int], list[str]] = {}
        if keys:
            rows = self._rows(
                f"WITH wanted (campaign, experiment) AS (VALUES {', '.join('(?, ?)' for _ in keys)})"
                " SELECT campaign, experiment, text FROM wanted JOIN learnings USING (campaign, experiment)"
                " ORDER BY id",
                *(value for key in keys for value in key),
            )
            for row in rows:
                found.setdefault((row["campaign"], row["experiment"]), []).append(row["text"])
        return found

    def _index(self, text: str, kind: str, campaign: str, key: int) -> None:
        self._db.execute(
            "INSERT INTO words (text, kind, campaign, key) VALUES (?,?,?,?)", (text, kind, campaign, str(key))
        )

    def search(self, query: str, limit: int = 50) -> list[tuple[str, str, int, float]]:
        """(kind, campaign, key, rank) by words, best first; smaller rank is better. Any text is a query."""
        words = re.findall(r"\w+", query.lower())[:32]
        if not words:
            return []
        match = " OR ".join(f'"{word}"*' for word in words)
        rows = self._rows(
            "SELECT kind, campaign, key, bm25(words) AS rank FROM words WHERE words MATCH ? ORDER BY rank LIMIT ?",
            match,
            limit,
        )
        return [(row["kind"], row["campaign"], int(row["key"]), row["rank"]) for row in rows]

    def views_stamp(self, campaign: str) -> tuple[str, str]:
        """What changes whenever the table or the chart of this campaign would show something else, and its lessons."""
        row = self._rows(
            "SELECT (SELECT max(turn) FROM experiments WHERE campaign = ?1), (SELECT count(*) FROM experiments"
            " WHERE campaign = ?1 AND decision IS NOT NULL AND settled = 0),"
            # the plus keeps the planner on the label's index
            " (SELECT count(*) FROM experiments WHERE label = 'confirmed' AND +campaign = ?1),"
            " (SELECT count(*) FROM exams WHERE result IS NOT NULL),"
            # an incumbent is measured again after its decision, for somebody else's
            " (SELECT ticket FROM runs WHERE run > 1 ORDER BY ticket DESC LIMIT 1),"
            " (SELECT count(*) FROM runs WHERE run > 1 AND state IN ('queued', 'running', 'pending')),"
            " (SELECT max(id) FROM learnings)",
            campaign,
        )[0]
        *tables, lesson = (str(value) for value in row)
        return f"{campaign} {' '.join(tables)}", lesson

    # --- exams -------------------------------------------------------------------------------------------------------

    def open_exam(
        self, campaign: str, baseline: int, incumbent: int, seeds: Sequence[int], at: str, paired: bool = False
    ) -> None:
        """The exam and its runs, as one fact. paired: the baseline runs beside the incumbent, in the same slots."""
        with self._fact():
            self._db.execute(
                "INSERT INTO exams (campaign, baseline, incumbent, seeds, opened_at) VALUES (?,?,?,?,?)",
                (campaign, baseline, incumbent, json.dumps(list(seeds)), at),
            )
            for seed in seeds:
                for number in (incumbent,) if paired else dict.fromkeys((baseline, incumbent)):
                    self._open_run(campaign, number, seed, Purpose.EXAM, at)

    def exam(self, campaign: str) -> Exam | None:
        """The last one."""
        rows = self._rows("SELECT * FROM exams WHERE campaign = ? ORDER BY id DESC LIMIT 1", campaign)
        if not rows:
            return None
        row = rows[0]
        return Exam(
            row["id"],
            row["campaign"],
            row["baseline"],
            row["incumbent"],
            tuple(json.loads(row["seeds"])),
            row["opened_at"],
            row["result"],
        )

    def close_exam(self, exam: Exam, result: str) -> None:
        with self._fact():
            self._db.execute("UPDATE exams SET result = ? WHERE id = ?", (result, exam.id))


def machine_of(result: RunResult) -> str:
    """What must be equal for two scores to be measured alike: device, driver."""
    return "" if result.device is None else f"{result.device.identity} {result.device.driver or ''}".strip()


def _campaign(row: sqlite3.Row) -> Campaign:
    return Campaign(**{**dict(row), "ready": bool(row["ready"])})


@lru_cache(maxsize=2048)  # a past is read again and again, and reading its JSON was most of recalling it
def _experiment(row: sqlite3.Row) -> Experiment:
    values: dict[str, Any] = {name: row[name] for name in Experiment.__dataclass_fields__}
    values["kind"] = Kind(row["kind"])
    values["knobs"] = tuple(tuple(change) for change in json.loads(row["knobs"]))
    values["protocol"] = tuple(json.loads(row["protocol"]))
    values["verdict"] = Decided.read(row["verdict"])
    values["vaulted"], values["settled"] = bool(row["vaulted"]), bool(row["settled"])
    return Experiment(**values)


def _run(row: sqlite3.Row, light: bool = False) -> Run:
    values = {name: row[name] for name in Run.__dataclass_fields__}
    values["state"], values["purpose"] = RunState(row["state"]), Purpose(row["purpose"])
    values["result"] = RunResult.model_validate_json(row["result"]) if row["result"] and not light else None
    return Run(**values)


def _learning(row: sqlite3.Row) -> Learning:
    return Learning(
        row["id"],
        row["campaign"],
        row["experiment"],
        row["text"],
        tuple(json.loads(row["tags"])),
        row["source"],
        row["at"],
    )
