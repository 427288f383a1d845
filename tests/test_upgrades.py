"""A ledger of every earlier schema opens and is brought up to date; a newer or a damaged one is refused in words."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from mcp_server.ledger import Ledger, schema
from mcp_server.ledger.schema import STEPS, take
from mcp_server.nouns.decided import Decided
from mcp_server.nouns.errors import LedgerError
from mcp_server.nouns.records import Audit, RunResult, RunState
from tests.faults.cuts import cut_before
from tests.labs import attempt, begun, git, make_lab

AT = "2026-01-0{}T00:00:00.000+00:00"
# Sums of the steps as they were released: an old step is never edited, a new one is appended here and there.
RELEASED = {
    "FIRST": "3f22b55eaf944035",
    "SECOND": "8d383291224dca79",
    "THIRD": "257c8ea073273cb0",
    "FOURTH": "eec46369bd9e3f2f",
    "SIXTH": "70e64c177ded8769",
}


def old_ledger(path: Path, steps: int) -> None:
    """A ledger as the release that knew only the first `steps` steps left it: two keeps, a discard, an open attempt."""
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        for number, step in enumerate(STEPS[:steps], 1):
            take(db, step)
            db.execute(f"PRAGMA user_version = {number}")
        db.execute("INSERT INTO programs VALUES ('digest', 'text', ?)", (AT.format(1),))
        db.execute(
            "INSERT INTO campaigns (tag, pinned, began_at, seed, calibrate, secret, program, ready)"
            " VALUES ('first', ?, ?, 7, 0, 'secret', 'digest', 1)",
            ("0" * 40, AT.format(1)),
        )
        # number 3 was decided before number 2, as two agents do
        decisions = ((1, "keep", 1), (2, "keep", 4), (3, "revert", 3), (4, None, None))
        for number, decision, day in decisions:
            db.execute(
                "INSERT INTO experiments (campaign, number, kind, description, hypothesis, snapshot, fingerprint, edit,"
                " nodes, knobs, protocol, theme, program, opened_at, vaulted, decision, decided_at, settled, tree)"
                " VALUES ('first', ?1, 'attempt', 'idea', '', ?2, 'f' || ?1, 'e' || ?1,"
                " 1, '[]', '[]', 'model', 'digest', ?3, 1, ?4, ?5, ?6, '/tree')",
                (number, "0" * 40, AT.format(1), decision, AT.format(day) if day else None, int(day is not None)),
            )


@pytest.mark.parametrize("steps", range(1, len(STEPS)))
def test_an_earlier_schema_is_brought_up_to_date_and_nothing_is_lost(tmp_path: Path, steps: int) -> None:
    old_ledger(tmp_path / "lab.db", steps)
    with closing(Ledger(tmp_path / "lab.db")) as ledger:
        ledger.check()
        assert [one.number for one in ledger.experiments("first")] == [1, 2, 3, 4]
        assert [one.number for one in ledger.kept("first")] == [1, 2]
        assert ledger.since_keep("first") == 0
        ledger.intend("first", 4, "keep", None, Decided(), AT.format(2))  # the clock was set back since
        ledger.settle("first", 4, "keep", "c" * 40)
        incumbent = ledger.incumbent("first")
        assert incumbent is not None
        assert incumbent.number == 4


def tables_of(path: Path) -> set[tuple[str, str, str]]:
    with closing(sqlite3.connect(path)) as db:
        rows = db.execute("SELECT type, name, tbl_name FROM sqlite_master WHERE name NOT LIKE 'sqlite_%'").fetchall()
        columns = [("column", row[1], "experiments") for row in db.execute("PRAGMA table_info(experiments)")]
    return {*rows, *columns}


@pytest.mark.parametrize("steps", range(1, len(STEPS)))
def test_an_upgraded_ledger_has_the_schema_of_a_new_one(tmp_path: Path, steps: int) -> None:
    old_ledger(tmp_path / "old.db", steps)
    for name in ("old.db", "new.db"):
        Ledger(tmp_path / name).close()
    assert tables_of(tmp_path / "old.db") == tables_of(tmp_path / "new.db")


@pytest.mark.parametrize("name", RELEASED)
def test_a_released_step_is_never_edited(name: str) -> None:
    text: str = getattr(schema, name)
    assert hashlib.sha256(text.encode()).hexdigest()[:16] == RELEASED[name]


def test_an_upgrade_killed_at_any_point_leaves_the_old_ledger_or_the_new_one(tmp_path: Path) -> None:
    effect, killed = 1, True
    while killed:
        path = tmp_path / str(effect) / "lab.db"
        path.parent.mkdir()
        old_ledger(path, 1)
        cut = cut_before(effect, lambda path=path: Ledger(path).close())
        killed = cut.killed
        assert cut.answer is None
        with closing(sqlite3.connect(path)) as db:
            assert db.execute("PRAGMA user_version").fetchone()[0] in (1, len(STEPS))
        with closing(Ledger(path)) as ledger:
            assert [one.number for one in ledger.kept("first")] == [1, 2]
        effect += 1
    assert effect > 3


def test_two_servers_upgrade_one_ledger_at_once_and_it_happens_once(tmp_path: Path) -> None:
    path = tmp_path / "lab.db"
    old_ledger(path, 1)
    children = [_in_background(lambda: Ledger(path).close()) for _ in range(4)]
    assert [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children] == [0] * 4
    with closing(Ledger(path)) as ledger:
        assert [one.number for one in ledger.kept("first")] == [1, 2]


def _in_background(function: Callable[[], object]) -> int:
    child = os.fork()
    if child == 0:
        try:
            function()
        except BaseException:
            os.kill(os.getpid(), signal.SIGABRT)
        os._exit(0)
    return child


def test_a_newer_ledger_is_refused_by_every_verb_and_stays_as_it_is(tmp_path: Path) -> None:
    lab = make_lab(tmp_path / "lab")
    begun(lab)
    attempt(lab, "nearer", KNOB=2.0)
    lab.close()
    with closing(sqlite3.connect(lab.paths.ledger)) as db:
        db.execute(f"PRAGMA user_version = {len(STEPS) + 1}")
    refs, content = git(lab.paths.tree, "for-each-ref"), lab.paths.ledger.read_bytes()
    verbs = (
        lab.lab_status,
        lambda: lab.run_experiment("x"),
        lab.read_score,
        lab.commit_or_revert,
        lambda: lab.recall("x"),
    )
    for verb in verbs:
        with pytest.raises(LedgerError, match="upgrade autoresearch"):
            verb()
    assert git(lab.paths.tree, "for-each-ref") == refs
    assert lab.paths.ledger.read_bytes() == content


@pytest.mark.parametrize("damage", ["page", "header", "cut short"])
def test_a_damaged_ledger_is_refused_by_every_verb_and_the_vault_stays(tmp_path: Path, damage: str) -> None:
    lab = make_lab(tmp_path / "lab")
    begun(lab)
    lab.close()
    content = bytearray(lab.paths.ledger.read_bytes())
    if damage == "page":
        content[4096 : 4096 * 6] = b"\xa5" * (4096 * 5)
    elif damage == "header":
        content[:64] = b"\0" * 64
    else:
        del content[len(content) // 2 :]
    lab.paths.ledger.write_bytes(content)
    refs = git(lab.paths.tree, "for-each-ref")
    for verb in (lab.lab_status, lambda: lab.run_experiment("x"), lab.read_score):
        with pytest.raises(LedgerError, match=r"(?s)lab\.db is damaged.*vault refs"):
            verb()
    assert git(lab.paths.tree, "for-each-ref") == refs
    assert lab.paths.ledger.read_bytes() == content


AUDIT = Audit(correction=0.0, correction_sd=0.0, largest_difference=0.0, positions=3, tolerance=0.001)


def test_a_server_reads_the_result_of_a_later_releases_supervisor(tmp_path: Path) -> None:
    result = RunResult(state=RunState.SCORED, score=1.0, audit=AUDIT)
    said = json.loads(result.model_dump_json())
    said["of_a_later_release"] = said["audit"]["of_a_later_release"] = 1
    (tmp_path / "result.json").write_text(json.dumps(said))
    assert RunResult.read(tmp_path / "result.json") == result
