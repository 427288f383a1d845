"""The table of experiments: opened, decided by an intent, settled by its outcome."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from mcp_server.ledger.lessons import Lessons
from mcp_server.ledger.runs import Runs
from mcp_server.nouns.baseline import Baseline
from mcp_server.nouns.decided import Decided
from mcp_server.nouns.errors import UnknownExperiment
from mcp_server.nouns.records import Kind, Purpose
from mcp_server.nouns.rows import Experiment, Proposer, Standing

# the columns an experiment is born with; the rest is written by its decision
OPENED = (
    *("campaign", "number", "kind", "description", "hypothesis", "expected_delta", "snapshot", "base", "fingerprint"),
    *("edit", "nodes", "knobs", "protocol", "theme", "program", "style", "opened_at", "tree", "session"),
    *("proposer", "repeats", "joins"),
)
BEYOND = 1 << 62  # every experiment's number
# given up after its supervisor died, each time it was run
_LOST = (
    "e.decision = 'revert' AND e.number IN (SELECT experiment FROM runs WHERE campaign = ?1 AND state = 'lost')"
    " AND NOT EXISTS (SELECT 1 FROM runs WHERE campaign = ?1 AND experiment = e.number AND state != 'lost')"
)


class Experiments(Runs, Lessons):
    """Experiments and what was decided on them."""

    def open_experiment(self, experiment: Experiment, seeds: Sequence[tuple[int, Purpose]]) -> None:
        """Record an attempt and the runs it is to have, as one fact. `seeds`: (seed, purpose) of each run."""
        e = experiment
        with self._fact():
            values = {
                **{name: getattr(experiment, name) for name in OPENED},
                "knobs": json.dumps(experiment.knobs),
                "protocol": json.dumps(experiment.protocol),
                "proposer": experiment.proposer.text(),
                "joins": " ".join(experiment.joins),
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

    def note_proposer(self, campaign: str, number: int, proposer: Proposer) -> None:
        """What became known of who proposed an experiment, once its agent has ended: what it cost."""
        self._write(
            "UPDATE experiments SET proposer = ? WHERE campaign = ? AND number = ?",
            (proposer.text(), campaign, number),
        )

    def vaulted(self, campaign: str, number: int) -> None:
        self._write("UPDATE experiments SET vaulted = 1 WHERE campaign = ? AND number = ?", (campaign, number))

    def next_number(self, campaign: str) -> int:
        return int(
            self._rows("SELECT coalesce(max(number), 0) + 1 FROM experiments WHERE campaign = ?", campaign)[0][0]
        )

    def _experiments(self, which: str, *values: object) -> list[Experiment]:
        """Experiments; which: what stands behind the table's name."""
        return [_experiment(row) for row in self._rows(f"SELECT * FROM experiments {which}", *values)]

    def _an_experiment(self, which: str, *values: object) -> Experiment | None:
        return next(iter(self._experiments(which, *values)), None)

    def experiment(self, campaign: str, number: int) -> Experiment:
        """Raises UnknownExperiment."""
        found = self._an_experiment("WHERE campaign = ? AND number = ?", campaign, number)
        if found is None:
            last = self.next_number(campaign) - 1
            known = f"it has 1 to {last}" if last else "it has none yet"
            raise UnknownExperiment(
                f"Campaign {campaign} has no experiment {number}; {known}. `lab_status` lists the last ones."
            )
        return found

    def experiments(self, campaign: str, *, last: int | None = None, before: int | None = None) -> list[Experiment]:
        """In order of number; only the last few when asked, and only those below the number `before`."""
        found = self._experiments(
            "WHERE campaign = ? AND number < ? ORDER BY number DESC LIMIT ?",
            *(campaign, BEYOND if before is None else before, -1 if last is None else last),
        )
        return found[::-1]

    def named(self, keys: Sequence[tuple[str, int]]) -> dict[tuple[str, int], Experiment]:
        """Many experiments, asked for at once."""
        if not keys:
            return {}
        marks = ", ".join("(?, ?)" for _ in keys)
        rows = self._rows(
            f"WITH wanted (campaign, number) AS (VALUES {marks}) SELECT e.* FROM wanted JOIN experiments AS e USING"
            " (campaign, number)",
            *(value for key in keys for value in key),
        )
        return {(row["campaign"], row["number"]): _experiment(row) for row in rows}

    def standing(self, campaign: str) -> Standing:
        """How far the campaign has come, for whoever asks later what has changed since."""
        turn, ticket = self._rows(
            "SELECT (SELECT coalesce(max(turn), 0) FROM experiments WHERE campaign = ?1),"
            " (SELECT coalesce(max(ticket), 0) FROM runs WHERE campaign = ?1)",
            campaign,
        )[0]
        opened = [run.ticket for run in self.open_runs() if run.campaign == campaign]
        unsettled = [one.number for one in self.unsettled() if one.campaign == campaign]
        return Standing(turn, ticket, tuple(opened), tuple(unsettled))

    def settled_since(self, campaign: str, then: Standing) -> list[Experiment]:
        """Settled experiments that were decided, settled or run since, in order of number."""
        return self._experiments(
            "WHERE campaign = ?1 AND settled = 1 AND decision IS NOT NULL AND number IN ("
            " SELECT number FROM experiments WHERE campaign = ?1 AND turn > ?2"
            " UNION SELECT experiment FROM runs WHERE campaign = ?1 AND ticket > ?3"
            " UNION SELECT experiment FROM runs WHERE ticket IN (SELECT value FROM json_each(?4)) AND campaign = ?1"
            " UNION SELECT value FROM json_each(?5)) ORDER BY number",
            *(campaign, then.turn, then.ticket, json.dumps(then.opened), json.dumps(then.unsettled)),
        )

    def last_begun_by(self, campaign: str, session: str) -> Experiment | None:
        """The newest experiment of a session; None when it began none."""
        return self._an_experiment("WHERE campaign = ? AND session = ? ORDER BY number DESC LIMIT 1", campaign, session)

    def last_begun_in(self, campaign: str, tree: str) -> Experiment | None:
        """The newest experiment from a work tree; None when none came from there."""
        return self._an_experiment("WHERE campaign = ? AND tree = ? ORDER BY number DESC LIMIT 1", campaign, tree)

    def twins(self, fingerprint: str, campaign: str) -> list[Experiment]:
        """Experiments of the same code after normalising, oldest first."""
        return self._experiments("WHERE campaign = ? AND fingerprint = ? ORDER BY number", campaign, fingerprint)

    def same_edit(self, edit: str, campaign: str) -> list[Experiment]:
        """Experiments that made the same change, on whatever base, oldest first."""
        return self._experiments("WHERE campaign = ? AND edit = ? ORDER BY number", campaign, edit)

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

    def conditions(self, campaign: str) -> list[tuple[int, str, str]]:
        """(experiment, program, style) wherever one of the two was another than before, in order of number."""
        rows = self._rows(
            "SELECT number, program, coalesce(style, '') AS style FROM (SELECT number, program, style,"
            " lag(program) OVER w AS last_program, lag(style) OVER w AS last_style"
            " FROM experiments INDEXED BY experiments_conditions WHERE campaign = ? WINDOW w AS (ORDER BY number))"
            " WHERE last_program IS NOT program OR coalesce(last_style, '') != coalesce(style, '') ORDER BY number",
            campaign,
        )
        return [tuple(row) for row in rows]

    def outcomes(
        self, campaign: str
    ) -> list[tuple[int, str, tuple[float | None, float | None, int | None, str | None]]]:
        """(experiment, outcome, (score, gain, the incumbent's number, how they were compared)) of every decided attempt
        that was not kept, as its verdict tells them."""
        rows = self._rows(
            "SELECT number, json_extract(verdict, '$.outcome') AS outcome, json_extract(verdict, '$.score'),"
            " json_extract(verdict, '$.change'), json_extract(verdict, '$.against'),"
            " json_extract(verdict, '$.comparison')"
            " FROM experiments WHERE campaign = ? AND decision = 'revert' AND outcome IS NOT NULL ORDER BY number",
            campaign,
        )
        return [(number, outcome, tuple(where)) for number, outcome, *where in rows]

    def undecided(self, campaign: str) -> list[Experiment]:
        return self._experiments(
            "INDEXED BY experiments_undecided WHERE campaign = ? AND decision IS NULL ORDER BY number", campaign
        )

    def decided(self, campaign: str, after: int = 0) -> list[tuple[int, Experiment]]:
        """(turn, experiment) in the order in which they were decided; only those of later turns than `after`."""
        rows = self._rows(
            "SELECT * FROM experiments WHERE campaign = ? AND decision IS NOT NULL AND turn > ? ORDER BY turn",
            campaign,
            after,
        )
        return [(row["turn"], _experiment(row)) for row in rows]

    def decided_after(self, campaign: str, turn: int, limit: int) -> list[tuple[int, Experiment]]:
        """(turn, experiment) decided after a turn, in order; it ends before the first that git has not followed yet."""
        rows = self._rows(
            "SELECT * FROM experiments WHERE campaign = ?1 AND turn > ?2 AND turn < coalesce((SELECT min(turn) FROM"
            " experiments WHERE campaign = ?1 AND decision IS NOT NULL AND settled = 0), ?2 + 1000000000)"
            " ORDER BY turn LIMIT ?3",
            campaign,
            turn,
            limit,
        )
        return [(row["turn"], _experiment(row)) for row in rows]

    def record(self, campaign: str) -> tuple[int, float, bool, float]:
        """(turn, evidence, proven, spent): what the verdicts up to a turn add up to, as it was last noted."""
        rows = self._rows("SELECT turn, evidence, proven, spent FROM records WHERE campaign = ?", campaign)
        return (rows[0][0], rows[0][1], bool(rows[0][2]), rows[0][3]) if rows else (0, 0.0, False, 0.0)

    def note_record(self, campaign: str, turn: int, evidence: float, proven: bool, spent: float) -> None:
        """Remember what the verdicts up to a turn add up to; all of them are settled, so that it cannot change."""
        self._write("INSERT OR REPLACE INTO records VALUES (?, ?, ?, ?, ?)", (campaign, turn, evidence, proven, spent))

    def kept(self, campaign: str, *, last: int | None = None) -> list[Experiment]:
        """Kept and settled, in the order in which they were kept; the last one is the incumbent."""
        found = self._experiments(
            "WHERE campaign = ? AND decision = 'keep' AND settled = 1 ORDER BY turn DESC LIMIT ?",
            *(campaign, -1 if last is None else last),
        )
        return found[::-1]

    def incumbent(self, campaign: str) -> Experiment | None:
        return next(iter(self.kept(campaign, last=1)), None)

    def carried_on(self, campaign: str, number: int) -> Experiment | None:
        """The newest attempt that is the change of experiment `number`, made on a later incumbent."""
        return self._an_experiment(
            "WHERE campaign = ? AND joins = ? ORDER BY number DESC LIMIT 1", campaign, str(number)
        )

    def stands_on(self, campaign: str, number: int, base: int) -> None:
        """An attempt has what was kept as `base` in it, so that it is compared with that from now on."""
        self._write(
            "UPDATE experiments SET base = ? WHERE campaign = ? AND number = ? AND decision IS NULL",
            (base, campaign, number),
        )

    def first_of(self, campaign: str) -> Experiment | None:
        """The experiment that a campaign began with, whatever came of it."""
        return self._an_experiment("WHERE campaign = ? ORDER BY number LIMIT 1", campaign)

    def baseline(self, campaign: str) -> Baseline | None:
        """The one that was kept, else the last that was offered; None before the campaign has begun."""
        found = self._an_experiment(
            "INDEXED BY experiments_baseline WHERE campaign = ? AND kind = 'baseline'"
            " ORDER BY decision IS 'keep' DESC, number DESC LIMIT 1",
            campaign,
        )
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
        lost = self._rows(
            "SELECT count(*) FROM (SELECT DISTINCT experiment FROM runs INDEXED BY runs_by_state WHERE campaign = ?1"
            " AND state = 'lost') AS gone"
            f" CROSS JOIN experiments AS e ON e.campaign = ?1 AND e.number = gone.experiment WHERE {_LOST}",
            campaign,
        )[0][0]
        if lost:
            found["revert"] -= lost
            found["lost"] = lost
        counted = {name: number for name, number in found.items() if number}
        return {"all": sum(number for name, number in counted.items() if name != "lost"), **counted}

    def since_keep(self, campaign: str) -> int:
        """Attempts decided after the last keep; what got lost says nothing, what goes on as another counts there."""
        rows = self._rows(
            "SELECT count(*) FROM experiments AS e WHERE campaign = ?1 AND turn >"
            " coalesce((SELECT max(turn) FROM experiments WHERE campaign = ?1 AND decision = 'keep'), 0)"
            f" AND NOT ({_LOST}) AND coalesce(json_extract(verdict, '$.code'), '') != 'rebased'",
            campaign,
        )
        return int(rows[0][0])

    def repeated(self, campaign: str) -> list[Experiment]:
        """Experiments that repeat another lab's, oldest first. A baseline that is another's code repeats no edit."""
        return self._experiments(
            "WHERE campaign = ? AND repeats != '' AND kind != 'baseline' ORDER BY number", campaign
        )

    def spent(self, campaign: str) -> tuple[int, int]:
        """(runs of attempts, those of them that repeated another lab's); the baseline's are none."""
        row = self._rows(
            "SELECT count(*) AS runs, coalesce(sum(repeats != ''), 0) AS repeats FROM runs JOIN experiments ON"
            " experiments.campaign = runs.campaign AND number = experiment WHERE runs.campaign = ?"
            " AND kind != 'baseline' AND purpose NOT IN ('anchor', 'exam')",
            campaign,
        )[0]
        return row["runs"], row["repeats"]

    def edits(self, campaign: str) -> list[str]:
        """The fingerprint of every edit that was tried."""
        rows = self._rows("SELECT DISTINCT edit FROM experiments WHERE campaign = ? AND edit != ''", campaign)
        return [row["edit"] for row in rows]

    # --- decisions: an intent, then its outcome ----------------------------------------------------------------------

    def intend(
        self,
        campaign: str,
        number: int,
        decision: str,
        label: str | None,
        verdict: Decided,
        at: str,
        veto: int | None = None,
    ) -> None:
        """Write what is to happen before git moves. veto: the order that is used up by it, as one fact with it."""
        with self._fact():
            self._db.execute(
                "UPDATE experiments SET decision = ?3, label = ?4, verdict = ?5, decided_at = ?6, settled = 0,"
                # a clock may be set back; the order of decisions may not
                " turn = (SELECT coalesce(max(turn), 0) + 1 FROM experiments WHERE campaign = ?1)"
                " WHERE campaign = ?1 AND number = ?2 AND decision IS NULL",
                (campaign, number, decision, label, verdict.text(), at),
            )
            if veto is not None:
                used = f"used on experiment {number}"
                self._db.execute("UPDATE orders SET done_at = ?, done = ? WHERE id = ?", (at, used, veto))

    def unsettled(self) -> list[Experiment]:
        """Decided, but git may not have followed; in the order of the decisions."""
        return self._experiments("WHERE decision IS NOT NULL AND settled = 0 ORDER BY campaign, turn")

    def unvaulted(self) -> list[Experiment]:
        return self._experiments("WHERE vaulted = 0")

    def unheld(self) -> list[Experiment]:
        """Settled, but git was never told to keep the snapshot: experiments of an older version."""
        return self._experiments("WHERE settled = 1 AND held = 0")

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
        self._write(
            "UPDATE experiments SET decision = ?3, commit_sha = ?4, settled = 1,"
            " held = CASE WHEN ?6 THEN -1 ELSE held END, label = CASE WHEN ?3 = 'keep' THEN label END,"
            " verdict = CASE WHEN ?5 = '' THEN verdict ELSE json_set(verdict, '$.reason', ?5, '$.outcome', ?3) END"
            " WHERE campaign = ?1 AND number = ?2",
            (campaign, number, decision, commit, said, gone),
        )


@lru_cache(maxsize=2048)  # a past is read again and again, and reading its JSON was most of recalling it
def _experiment(row: sqlite3.Row) -> Experiment:
    values: dict[str, Any] = {name: row[name] for name in Experiment.__dataclass_fields__}
    values["kind"] = Kind(row["kind"])
    values["knobs"] = tuple(tuple(change) for change in json.loads(row["knobs"]))
    values["protocol"] = tuple(json.loads(row["protocol"]))
    values["joins"] = tuple(row["joins"].split())
    values["verdict"] = Decided.read(row["verdict"])
    values["proposer"] = Proposer.read(row["proposer"])
    values["vaulted"], values["settled"] = bool(row["vaulted"]), bool(row["settled"])
    return Experiment(**values)
