"""The ledger keeps every acknowledged fact, and says in words when it cannot."""

from __future__ import annotations

import multiprocessing
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from mcp_server.ledger import Ledger
from mcp_server.ledger.schema import STEPS
from mcp_server.nouns.decided import Decided
from mcp_server.nouns.errors import LedgerError, UnknownExperiment
from mcp_server.nouns.records import RunResult, RunState
from mcp_server.nouns.rows import Campaign, Experiment

AT = "2026-01-01T00:00:00+00:00"


def campaign(tag: str = "first") -> Campaign:
    return Campaign(tag, "0" * 40, AT, 7, 0, None, None, "secret", "digest", False)


def experiment(number: int, **more: object) -> Experiment:
    values: dict[str, object] = {
        **{"campaign": "first", "number": number, "kind": "attempt", "description": f"idea {number}", "hypothesis": ""},
        **{
            "expected_delta": None,
            "snapshot": "0" * 40,
            "base": None,
            "fingerprint": f"f{number}",
            "edit": f"e{number}",
        },
        **{"nodes": 10, "knobs": (("LR", "1", "2"),), "protocol": (), "theme": "optimizer", "program": "digest"},
        **{"style": None, "opened_at": AT, "tree": "/tree", **more},
    }
    return Experiment(**values)  # type: ignore[arg-type]


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    opened = Ledger(tmp_path / "lab.db")
    opened.note_program("digest", "text", AT)
    opened.intend_campaign(campaign(), "/tree")
    return opened


def test_a_run_is_closed_once_and_the_first_result_stays(ledger: Ledger) -> None:
    ledger.open_experiment(experiment(1), [(7, "first")])
    run = ledger.runs("first", 1)[0]
    assert ledger.close_run(run, RunResult(state=RunState.SCORED, score=1.0), AT)
    assert not ledger.close_run(run, RunResult(state=RunState.CRASHED), AT)
    again = ledger.runs("first", 1)[0]
    assert (again.state, again.score, again.counts) == (RunState.SCORED, 1.0, True)


def test_a_tainted_score_does_not_count(ledger: Ledger) -> None:
    ledger.open_experiment(experiment(1), [(7, "first")])
    ledger.close_run(ledger.runs("first", 1)[0], RunResult(state=RunState.SCORED, score=1.0, tainted="a neighbour"), AT)
    assert not ledger.runs("first", 1)[0].counts


def test_a_decision_is_an_intent_until_git_has_followed(ledger: Ledger) -> None:
    ledger.open_experiment(experiment(1), [])
    ledger.intend("first", 1, "keep", "provisional", Decided(score=1.0), AT)
    assert [one.number for one in ledger.unsettled()] == [1]
    assert ledger.incumbent("first") is None
    ledger.intend("first", 1, "revert", None, Decided(), AT)  # too late: the first decision stands
    ledger.settle("first", 1, "keep", "c" * 40)
    incumbent = ledger.incumbent("first")
    assert incumbent is not None
    assert (incumbent.number, incumbent.commit_sha, ledger.unsettled()) == (1, "c" * 40, [])


def test_an_unknown_experiment_is_answered_with_the_known_ones(ledger: Ledger) -> None:
    ledger.open_experiment(experiment(1), [])
    with pytest.raises(UnknownExperiment, match="it has 1 to 1"):
        ledger.experiment("first", 9)


@pytest.mark.parametrize("query", ["learning rate", '"; DROP TABLE words; --', "NEAR(", "*", "héllo 日本", "a" * 5000])
def test_any_text_is_a_valid_search(ledger: Ledger, query: str) -> None:
    ledger.add_learning("first", None, "a higher learning rate diverged", ["optimizer"], "agent", AT)
    found = ledger.search(query)
    assert bool(found) == (query == "learning rate")


def test_a_newer_ledger_is_refused_in_words(tmp_path: Path) -> None:
    Ledger(tmp_path / "lab.db").close()
    with sqlite3.connect(tmp_path / "lab.db") as db:
        db.execute(f"PRAGMA user_version = {len(STEPS) + 1}")
    with pytest.raises(LedgerError, match="newer version"):
        Ledger(tmp_path / "lab.db")


def test_a_damaged_ledger_is_refused_and_the_place_is_named(tmp_path: Path) -> None:
    path = tmp_path / "lab.db"
    ledger = Ledger(path)
    ledger.note_program("digest", "text" * 5000, AT)
    ledger.close()
    content = bytearray(path.read_bytes())
    content[4096 : 4096 * 4] = b"\xa5" * (4096 * 3)
    path.write_bytes(content)
    with pytest.raises(LedgerError, match=r"lab\.db is damaged"):
        Ledger(path).check()


def looked_through(path: Path) -> bool:
    """Whether opening the ledger reads all of it, to find damage before it is trusted; and closed again."""
    ledger, said = Ledger(path), list[str]()
    ledger._db.set_trace_callback(said.append)
    ledger.check(touched=True)
    ledger.close()
    return any("quick_check" in one for one in said)


def test_a_ledger_is_looked_through_where_somebody_may_have_written_it(tmp_path: Path) -> None:
    path = tmp_path / "lab.db"
    assert [looked_through(path) for _ in range(3)] == [True, False, False]
    ledger = Ledger(path)
    ledger.check(touched=True)
    ledger.note_program("digest", "text" * 5000, AT)
    assert looked_through(path)  # another has it open
    ledger.close()
    assert not looked_through(path)
    unchecked = Ledger(path)
    unchecked.note_program("another", "text", AT)
    unchecked.close()
    assert [looked_through(path) for _ in range(2)] == [True, False]
    killed = (
        "import os, pathlib, mcp_server.ledger; ledger = mcp_server.ledger.Ledger(pathlib.Path('lab.db'));"
        f"ledger.check(touched=True); ledger.note_program('third', 'text', '{AT}'); os._exit(9)"
    )
    assert subprocess.run([sys.executable, "-c", killed], cwd=tmp_path, check=False).returncode == 9
    assert [looked_through(path) for _ in range(2)] == [True, False]
    path.write_bytes(path.read_bytes())  # of the same size, at once
    assert looked_through(path)
    ledger, content = Ledger(path), path.read_bytes()
    ledger.check(touched=True)
    for file in tmp_path.glob("lab.db*"):
        file.unlink()
    path.write_bytes(content)  # a backup, while a server had the other open
    ledger.close()
    assert looked_through(path)


def test_damage_to_a_ledger_that_was_closed_whole_is_found(tmp_path: Path) -> None:
    path = tmp_path / "lab.db"
    ledger = Ledger(path)
    ledger.note_program("digest", "text" * 5000, AT)
    ledger.check(touched=True)
    ledger.close()
    content = bytearray(path.read_bytes())
    content[4096 : 4096 * 4] = b"\xa5" * (4096 * 3)
    path.write_bytes(content)
    with pytest.raises(LedgerError, match=r"lab\.db is damaged"):
        Ledger(path).check(touched=True)


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    (tmp_path / "lab.db").write_bytes(b"not a database at all, not even close" * 100)
    with pytest.raises(LedgerError, match=r"lab\.db is damaged"):
        Ledger(tmp_path / "lab.db")


def write_many(path: str, who: int) -> None:
    ledger = Ledger(Path(path))
    for turn in range(25):
        ledger.add_learning("first", None, f"lesson {who} {turn}", [], "agent", AT)


def test_four_processes_write_a_hundred_facts_and_none_is_lost(ledger: Ledger) -> None:
    spawn = multiprocessing.get_context("spawn")
    writers = [spawn.Process(target=write_many, args=(str(ledger.path), who)) for who in range(4)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert sorted(one.text for one in ledger.learnings()) == sorted(
        f"lesson {w} {t}" for w in range(4) for t in range(25)
    )


def test_every_step_of_the_schema_is_counted(tmp_path: Path) -> None:
    Ledger(tmp_path / "lab.db").close()
    with sqlite3.connect(tmp_path / "lab.db") as db:
        assert db.execute("PRAGMA user_version").fetchone()[0] == len(STEPS)


def test_two_open_ledgers_of_one_process_lose_nothing_when_another_process_looks_in(tmp_path: Path) -> None:
    """A server with two work trees has the file open twice; a command in a terminal opens and closes it meanwhile."""
    path = tmp_path / "lab.db"
    first = Ledger(path)
    first.note_program("d", "p", AT)
    second = Ledger(path)
    look = f"from pathlib import Path; from mcp_server.ledger import Ledger; Ledger(Path({str(path)!r})).close()"
    subprocess.run([sys.executable, "-c", look], check=True, cwd=Path(__file__).parents[1])
    first.note_program("after", "p", AT)
    assert [digest for digest, _, _ in second.programs()] == ["d", "after"]
    fresh = Ledger(path)
    assert [digest for digest, _, _ in fresh.programs()] == ["d", "after"]
    for one in (first, second, fresh):
        one.close()
