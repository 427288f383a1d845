"""The tables of runs and of closing exams."""

from __future__ import annotations

import json
import secrets
import sqlite3
import zlib
from collections.abc import Mapping, Sequence
from datetime import datetime

from mcp_server.ledger.store import Store
from mcp_server.nouns.records import Purpose, RunResult, RunState
from mcp_server.nouns.rows import Exam, Run, Scored

# of an experiment that was run more than once: they are few
_AGAIN = "experiment IN (SELECT experiment FROM runs WHERE campaign = ?1 AND run > 1)"
_DECIDES = "campaign = ?1 AND state = 'scored' AND tainted = '' AND purpose != 'exam'"  # a run whose score may
_TWICE = (  # experiments with two such runs at least
    f"SELECT experiment FROM runs INDEXED BY runs_repeated WHERE {_DECIDES} AND {_AGAIN}"
    " GROUP BY experiment HAVING count(*) > 1"
)
REMEMBERED = 1000  # of the newest measurements: the noise of today's machine is in them, and a verb reads no more


class Runs(Store):
    """Runs, each closed once, and exams."""

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

    def runs_by_experiment(self, keys: Sequence[tuple[str, int]]) -> dict[tuple[str, int], list[Run]]:
        """The runs of many experiments, without their results, by (campaign, experiment)."""
        found: dict[tuple[str, int], list[Run]] = {}
        for start in range(0, len(keys), 500):
            some = keys[start : start + 500]
            rows = self._rows(
                f"WITH wanted (campaign, experiment) AS (VALUES {', '.join('(?, ?)' for _ in some)})"
                " SELECT runs.*, NULL AS result FROM wanted JOIN runs USING (campaign, experiment) ORDER BY ticket",
                *(value for key in some for value in key),
            )
            for row in rows:
                found.setdefault((row["campaign"], row["experiment"]), []).append(_run(row, light=True))
        return found

    def open_runs(self) -> list[Run]:
        """Of all campaigns, in the order of the queue."""
        return [
            _run(row)
            for row in self._rows("SELECT * FROM runs WHERE state IN ('queued', 'running', 'pending') ORDER BY ticket")
        ]

    def scored_runs(self, campaign: str, *, only_repeated: bool = False) -> list[Scored]:
        """The newest runs whose score may decide something; with `only_repeated`, of codes that have at least two."""
        index, more = "runs_measured", ""
        if only_repeated:
            index, more = "runs_repeated", f" AND experiment IN ({_TWICE})"
        rows = self._rows(
            f"SELECT ticket, experiment, seed, machine, score FROM runs INDEXED BY {index} WHERE {_DECIDES}{more}"
            f" AND score IS NOT NULL ORDER BY ticket DESC LIMIT {REMEMBERED}",
            campaign,
        )
        return [Scored(*row) for row in reversed(rows)]

    def measured_beside(self, campaign: str) -> list[tuple[int, int, str, int, float, float]]:
        """(experiment, seed, machine, incumbent, own score, its score) of the newest runs that count and have both."""
        rows = self._rows(
            "SELECT experiment, seed, machine, incumbent, score, incumbent_score FROM runs INDEXED BY runs_measured"
            f" WHERE {_DECIDES} AND incumbent_score IS NOT NULL AND incumbent IS NOT NULL"
            f" ORDER BY ticket DESC LIMIT {REMEMBERED}",
            campaign,
        )
        return [tuple(row) for row in reversed(rows)]

    def secondaries(self, campaign: str, names: Sequence[str]) -> dict[int, dict[str, float]]:
        """By experiment: the mean of what its runs that count measured of some metrics beside the score."""
        if not names:
            return {}
        rows = self._rows(
            "SELECT experiment, told.key AS name, avg(told.value) AS value FROM runs,"
            f" json_each(result, '$.secondary') AS told WHERE {_DECIDES} AND score IS NOT NULL"
            " AND told.value IS NOT NULL AND told.key IN (SELECT value FROM json_each(?2))"
            " GROUP BY experiment, name",
            campaign,
            json.dumps(list(names)),
        )
        found: dict[int, dict[str, float]] = {}
        for row in rows:
            found.setdefault(row["experiment"], {})[row["name"]] = row["value"]
        return found

    def repeat_spreads(self, campaign: str) -> list[float]:
        """Largest less smallest score of each code that ran more than once on a seed and machine, side by side too."""
        counts = f"{_DECIDES} AND score IS NOT NULL"
        itself = f"FROM runs INDEXED BY runs_beside_themselves WHERE {counts} AND incumbent_score IS NOT NULL"
        itself += " AND incumbent = experiment"
        rows = self._rows(
            "SELECT max(score) - min(score) FROM (SELECT experiment, seed, machine, score FROM runs INDEXED BY "
            f"runs_repeated WHERE {counts} AND {_AGAIN} UNION ALL SELECT experiment, seed, machine, score {itself} AND"
            f" NOT {_AGAIN} UNION ALL SELECT experiment, seed, machine, incumbent_score {itself})"
            " GROUP BY experiment, seed, machine HAVING count(*) > 1",
            campaign,
        )
        return [row[0] for row in rows]

    def compared(self, campaign: str) -> list[tuple[int, int]]:
        """(candidate, incumbent of its time) of the newest experiments that were repeated and compared."""
        rows = self._rows(
            "SELECT e.number, json_extract(e.verdict, '$.against') AS against FROM"
            f" ({_TWICE} ORDER BY experiment DESC LIMIT {REMEMBERED})"
            " AS repeated"
            # CROSS: begin with the few, whatever the planner thinks
            " CROSS JOIN experiments AS e ON e.campaign = ?1 AND e.number = repeated.experiment"
            " WHERE e.decision IS NOT NULL AND against IS NOT NULL ORDER BY e.number",
            campaign,
        )
        return [(row["number"], row["against"]) for row in rows]

    def run_state(self, run: Run, state: RunState) -> None:
        self._write(
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
            "result": result.model_dump_json(exclude_defaults=True, exclude={"units", "incumbent_units"}),
            "ticket": run.ticket,
        }
        with self._fact():
            changed = self._db.execute(
                "UPDATE runs SET state = :state, closed_at = :at, score = :score, tainted = :tainted, machine = "
                ":machine, incumbent = :incumbent, incumbent_score = :beside, ask_again_at = :again, result = :result "
                "WHERE ticket = :ticket AND state IN ('queued', 'running', 'pending')",
                values,
            ).rowcount
            if changed and result.units:
                self._db.execute(
                    "INSERT OR REPLACE INTO units VALUES (?, ?, ?)",
                    (run.ticket, packed(result.units), packed(result.incumbent_units)),
                )
        return bool(changed)

    def units(self, campaign: str, experiment: int) -> dict[int, tuple[bytes, bytes]]:
        """By ticket: what each example contributed to a run's score, and to the incumbent's beside it, both packed."""
        rows = self._rows(
            "SELECT ticket, own, beside FROM units JOIN runs USING (ticket) WHERE campaign = ? AND experiment = ?",
            campaign,
            experiment,
        )
        return {row["ticket"]: (row["own"], row["beside"]) for row in rows}

    def note_folder(self, run: Run, size_bytes: int) -> None:
        """Remember what the folder of a run takes on the disk."""
        known = self._rows("SELECT bytes FROM folders WHERE ticket = ?", run.ticket)
        if not known or known[0][0] != size_bytes:
            self._write("INSERT OR REPLACE INTO folders VALUES (?, ?)", (run.ticket, size_bytes))

    def only_folders(self, tickets: Sequence[int]) -> None:
        """No folders are there but those of these runs."""
        self._write(
            "DELETE FROM folders WHERE ticket NOT IN (SELECT value FROM json_each(?))", (json.dumps(list(tickets)),)
        )

    def folders_total(self) -> int:
        """Bytes that the folders of all closed runs take."""
        return int(self._rows("SELECT total(bytes) FROM folders")[0][0])

    def folders(self, newest: int) -> list[int]:
        """Bytes of the newest folders, each."""
        return [row[0] for row in self._rows("SELECT bytes FROM folders ORDER BY ticket DESC LIMIT ?", newest)]

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
        self._write("UPDATE exams SET result = ? WHERE id = ?", (result, exam.id))


def machine_of(result: RunResult) -> str:
    """What must be equal for two scores to be measured alike: device, driver."""
    return "" if result.device is None else f"{result.device.identity} {result.device.driver or ''}".strip()


def _run(row: sqlite3.Row, light: bool = False) -> Run:
    values = {name: row[name] for name in Run.__dataclass_fields__}
    values["state"], values["purpose"] = RunState(row["state"]), Purpose(row["purpose"])
    values["result"] = RunResult.model_validate_json(row["result"]) if row["result"] and not light else None
    return Run(**values)


def packed(units: Mapping[str, float]) -> bytes:
    """As the ledger keeps them; nothing for nothing."""
    return zlib.compress(json.dumps(dict(units), separators=(",", ":")).encode()) if units else b""


def unpacked(content: bytes) -> dict[str, float]:
    """What `packed` made; nothing where it cannot be read."""
    try:
        found = json.loads(zlib.decompress(content)) if content else {}
    except (ValueError, zlib.error):
        return {}
    return {str(name): float(value) for name, value in found.items()} if isinstance(found, dict) else {}
