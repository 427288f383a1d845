"""Labs tell each other what they tried, over real git: everything arrives once, and nothing but what may leave."""

from __future__ import annotations

import contextlib
import json
import os
import random
import shutil
import signal
import subprocess
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest

from mcp_server.community import membership
from mcp_server.community.exchange import Exchange
from mcp_server.community.membership import Wishes
from mcp_server.community.settings import read_last
from mcp_server.community.wire.store import BRANCHES, LABS, make_bare
from mcp_server.nouns.errors import CommunityError, NotNow
from mcp_server.nouns.exchanged import LINE_BYTES, Attempt
from mcp_server.repo.workspace import Workspace
from tests.community import servers
from tests.community.past import NOW, Past
from tests.labs import TRAIN, git


def refs(folder: Path) -> list[str]:
    return git(folder, "for-each-ref", "--format=%(refname)").split()


@pytest.fixture
def remote(tmp_path: Path) -> Path:
    make_bare(tmp_path / "remote.git")
    return tmp_path / "remote.git"


def test_what_one_lab_tried_another_one_knows(tmp_path: Path, remote: Path) -> None:
    north, south = Past(tmp_path / "north"), Past(tmp_path / "south")
    north.attempt("kept", "raise it", gain=3.0, score=1.0, KNOB=2.0, lesson="it likes to be near three")
    for status in ("discarded", "crashed", "cancelled", "lost", "rejected", "timeout"):
        north.attempt(status, f"one that {status}", KNOB=9.0)
    for lab in (north, south):
        lab.join(remote)
    assert north.exchange().published == 8
    report = south.exchange()
    assert (report.received, report.published, report.labs) == (8, 1, 2)
    assert north.exchange().received == 1
    assert north.table() == south.table()
    foreign = south.foreign()
    told = {one.attempt.n: one.attempt for one in foreign.newest(foreign.all_contracts()[0], 20)}
    foreign.close()
    assert [told[n].status for n in sorted(told)][2:] == [
        "discarded",
        "crashed",
        "cancelled",
        "lost",
        "rejected",
        "timeout",
    ]
    kept = told[2]
    assert (kept.base, kept.knobs, kept.lesson) == (1, (("KNOB", "1.0", "2.0"),), "it likes to be near three")
    assert (kept.gain, kept.low, kept.high, kept.score, kept.against) == (3.0, 2.9, 3.1, 1.0, 4.0)
    assert kept.machine == "NVIDIA H200"


def test_one_ref_a_lab_and_a_commit_that_is_nothing_but_the_editable_files(tmp_path: Path, remote: Path) -> None:
    north = Past(tmp_path / "north")
    north.attempt("discarded", KNOB=7.0)
    north.join(remote)
    north.exchange()
    (ref,) = refs(remote)
    assert ref.startswith(LABS)
    commits = git(remote, "rev-list", "--parents", ref).split("\n")[:-1]
    everything = subprocess.run(
        ["git", "-C", str(remote), "cat-file", "--batch-all-objects", "--batch", "--unordered"],
        capture_output=True,
        check=True,
    ).stdout.decode("utf-8", "replace")
    paths = {
        line.split("\t")[1] for one in commits for line in git(remote, "ls-tree", "-r", one.split()[0]).splitlines()
    }
    assert paths == {"train.py", "records.jsonl"}
    assert "KNOB = 7.0" in everything
    for private in ("User", "user@example.com", "nobody else's business", str(tmp_path), "notes.txt", "score.py"):
        assert private not in everything, private


def test_with_no_code_only_records_travel(tmp_path: Path, remote: Path) -> None:
    north, south = Past(tmp_path / "north"), Past(tmp_path / "south")
    north.attempt("discarded", KNOB=7.0)
    north.join(remote, code=False)
    south.join(remote)
    north.exchange()
    assert south.exchange().received == 2
    assert "train.py" not in git(remote, "log", LABS + north.table()[0][0], "--name-only", "--format=", "-m")
    assert all('"commit"' not in row[3] for row in north.table())


def test_a_record_is_at_most_a_kilobyte_whatever_was_written(tmp_path: Path, remote: Path) -> None:
    north = Past(tmp_path / "north", train=TRAIN + "\n".join(f"A_LONG_CONSTANT_NAME_{n} = {n}" for n in range(12)))
    many = {f"A_LONG_CONSTANT_NAME_{n}": float(n * 1000 + 1) for n in range(12)}
    north.attempt("discarded", "ü" * 200, lesson="é" * 1900, **many)
    north.join(remote)
    assert north.exchange().published == 2
    assert all(len(row[3].encode()) <= LINE_BYTES for row in north.table())


def test_an_exchange_with_nothing_new_changes_nothing(tmp_path: Path, remote: Path) -> None:
    north = Past(tmp_path / "north")
    north.join(remote)
    north.exchange()
    before = git(remote, "rev-parse", *refs(remote))
    for _ in range(3):
        report = north.exchange()
        assert (report.published, report.received, report.pushed, report.problems) == (0, 0, False, [])
    assert git(remote, "rev-parse", *refs(remote)) == before


def test_a_keep_that_becomes_surer_is_told_again_under_its_number(tmp_path: Path, remote: Path) -> None:
    north, south = Past(tmp_path / "north"), Past(tmp_path / "south")
    number = north.attempt("kept", gain=3.0, score=1.0, KNOB=2.0)
    north.join(remote)
    south.join(remote)
    north.exchange()
    north.relabel(number, "confirmed")
    assert north.exchange().published == 1
    south.exchange()
    assert south.table()[: len(north.table())] == north.table() or south.table()[-2:] == north.table()
    assert [row[1] for row in north.table()] == [1, 2]
    assert '"label":"confirmed"' in north.table()[1][3]


@pytest.mark.parametrize("kind", ["daemon", "http", "ssh"])
def test_the_same_over_a_real_server(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    base = tmp_path / "served"
    base.mkdir()
    servers.bare(base / "journals.git")
    if kind == "daemon":
        serving = servers.daemon(base)
    elif kind == "http":
        serving = servers.http(base)
    else:
        serving = servers.ssh(tmp_path / "sshd", monkeypatch)
    north, south = Past(tmp_path / "north"), Past(tmp_path / "south")
    north.attempt("discarded", KNOB=7.0)
    with serving as url:
        where = f"{url}{base}/journals.git" if kind == "ssh" else f"{url}/journals.git"
        for lab in (north, south):
            lab.join(where, "host")
        assert north.exchange().pushed
        report = south.exchange()
        assert (report.received, report.trouble) == (2, "")
        assert north.exchange().received == 1
    assert north.table() == south.table()


def test_a_host_that_takes_only_branches_gets_branches(tmp_path: Path) -> None:
    remote = servers.bare(tmp_path / "remote.git", receive_hideRefs="refs/autoresearch")
    north, south = Past(tmp_path / "north"), Past(tmp_path / "south")
    for lab in (north, south):
        lab.join(remote)
        assert lab.exchange().pushed
    assert all(ref.startswith(BRANCHES) for ref in refs(remote))
    assert north.exchange().received == 1
    assert north.table() == south.table()


def test_offline_the_lab_goes_on_and_nothing_is_lost(tmp_path: Path, remote: Path) -> None:
    north, south = Past(tmp_path / "north"), Past(tmp_path / "south")
    north.join(remote)
    south.join(remote)
    north.exchange()
    away = remote.rename(tmp_path / "away.git")
    for turn in range(3):
        north.attempt("discarded", f"offline {turn}", KNOB=7.0 + turn)
        report = north.exchange()
        assert report.trouble
        assert not report.pushed
    away.rename(remote)
    assert north.exchange().pushed
    south.exchange()
    assert north.exchange().received == 1
    assert north.table() == south.table()
    assert len(north.table()) == 5


def test_a_lost_database_and_a_lost_store_are_made_again(tmp_path: Path, remote: Path) -> None:
    north, south = Past(tmp_path / "north"), Past(tmp_path / "south")
    north.attempt("discarded", KNOB=7.0)
    for lab in (north, south):
        lab.join(remote)
        lab.exchange()
    north.exchange()
    before = north.table()
    north.places.records.unlink()
    assert north.exchange().published == 0
    assert north.table() == before
    shutil.rmtree(north.places.store)
    north.places.records.unlink()
    report = north.exchange()
    assert (report.published, report.problems) == (0, [])
    assert north.table() == before
    north.places.records.write_bytes(b"no database at all")
    north.exchange()
    assert north.table() == before


def test_a_bundle_carries_journals_where_no_network_is(tmp_path: Path) -> None:
    north, south = Past(tmp_path / "north"), Past(tmp_path / "south")
    with pytest.raises(NotNow, match="joined no community"):
        membership.carry(north.workspace, tmp_path / "x.bundle")
    membership.join(north.workspace, Wishes(str(tmp_path / "shelf")), tmp_path)
    membership.carry(north.workspace, tmp_path / "north.bundle")
    reply = membership.join(south.workspace, Wishes(str(tmp_path / "north.bundle")), tmp_path)
    assert reply.sync is not None
    assert reply.sync.received == 1
    membership.carry(south.workspace, tmp_path / "south.bundle")
    assert membership.sync(north.workspace, str(tmp_path / "south.bundle"), tmp_path).received == 1
    assert north.table() == south.table()


def test_two_copies_with_one_key_are_told_apart(tmp_path: Path, remote: Path) -> None:
    north = Past(tmp_path / "north")
    north.join(remote)
    north.exchange()
    copy = Past(tmp_path / "copy")
    shutil.copytree(north.places.folder, copy.places.folder)
    away = remote.rename(tmp_path / "away.git")
    for lab, knob in ((copy, 7.0), (north, 8.0)):
        lab.attempt("discarded", "while nobody saw the other", KNOB=knob)
        lab.exchange()
    away.rename(remote)
    assert copy.exchange().pushed
    report = north.exchange()
    assert "same key" in report.trouble
    assert not report.pushed


def test_a_restored_backup_goes_on_from_what_it_had_published(tmp_path: Path, remote: Path) -> None:
    north, south = Past(tmp_path / "north"), Past(tmp_path / "south")
    north.join(remote)
    south.join(remote)
    north.exchange()
    shutil.copytree(north.places.folder, tmp_path / "backup")
    north.attempt("discarded", "after the backup", KNOB=7.0)
    north.exchange()
    shutil.rmtree(north.places.folder)
    (tmp_path / "backup").rename(north.places.folder)
    north.attempt("discarded", "after the restore", KNOB=8.0)
    assert north.exchange().published == 1
    south.exchange()
    assert [row[1] for row in north.table()] == [1, 2, 3]
    assert south.exchange().problems == []


def killed_exchange(lab: Past, seconds: float) -> None:
    """An exchange in a process of its own, ended without warning after so long."""
    ours, theirs = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            workspace = Workspace(lab.lab.paths.tree)
            lab.places.last.unlink(missing_ok=True)
            os.write(theirs, b"ready")
            with Exchange(workspace, lambda: NOW, patience=20.0) as exchange:
                exchange.run()
        finally:
            os._exit(0)
    os.read(ours, 5)
    time.sleep(seconds)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    os.close(ours)
    os.close(theirs)


def test_exchanges_that_are_killed_lose_and_double_nothing(tmp_path: Path, remote: Path) -> None:
    draw = random.Random(3)
    labs = [Past(tmp_path / name) for name in ("north", "south")]
    for lab in labs:
        lab.join(remote)
    for turn in range(6):
        for lab in labs:
            lab.attempt("discarded", f"turn {turn}", KNOB=10.0 + turn)
            killed_exchange(lab, draw.uniform(0.0, 0.5))
    for _ in range(2):
        for lab in labs:
            lab.exchange()
    assert labs[0].table() == labs[1].table()
    assert len(labs[0].table()) == 14
    for lab in labs:
        lab.store.do("fsck", "--full", "--no-dangling")
    git(remote, "fsck", "--strict")


def test_labs_that_were_silent_for_long_slow_nobody_down(tmp_path: Path, remote: Path) -> None:
    """A hundred keys cost nothing; and who has gone home does not push."""
    north = Past(tmp_path / "north")
    north.join(remote)
    north.exchange()
    old = Attempt.model_validate(json.loads(north.table()[0][3]))
    with contextlib.closing(north.foreign()) as foreign, foreign.writing():
        for lab in range(100):
            foreign.take(f"{lab:032x}", f"{lab:040x}", [(old, [])], [], at="2025-12-24T00:00:00+00:00")
    north.exchange()
    assert read_last(north.places).labs == 1


def test_a_clock_that_was_wrong_and_was_set_right_costs_nothing(tmp_path: Path, remote: Path) -> None:
    """A machine that starts in another year takes what it reads for the future, and did so for good."""
    north, south = Past(tmp_path / "north"), Past(tmp_path / "south")
    north.attempt("discarded", KNOB=7.0)
    for lab in (north, south):
        lab.join(remote)
    north.exchange()
    with Exchange(south.workspace, lambda: datetime(2021, 3, 4, tzinfo=UTC)) as exchange:
        assert "its date is 2026" in " ".join(exchange.run().problems)
    assert [row[1] for row in south.table()] == [1], "its own it knows"
    south.exchange()
    north.exchange()
    assert south.table() == north.table()
    assert len(south.table()) == 3
    with contextlib.closing(south.foreign()) as foreign:
        assert foreign.ripe("2026-12-31") == set(), "it is read anew once"


def test_an_exchange_that_cannot_open_its_records_lets_go_of_its_lock(tmp_path: Path, remote: Path) -> None:
    """Of a process that goes on: it would have kept every later exchange out."""
    north = Past(tmp_path / "north")
    north.join(remote)
    north.exchange()
    records = north.places.records
    kept = records.rename(records.with_name("kept"))
    records.mkdir()
    with pytest.raises(CommunityError, match="cannot be opened"):
        north.exchange()
    records.rmdir()
    kept.rename(records)
    assert north.exchange().trouble == ""
    assert len(north.table()) == 1, "what could only not be opened was not thrown away"


def test_nobody_but_one_exchanges_at_a_time(tmp_path: Path, remote: Path) -> None:
    north = Past(tmp_path / "north")
    north.join(remote)
    with (
        Exchange(north.workspace, lambda: NOW),
        pytest.raises(NotNow, match="at work"),
        Exchange(north.workspace, lambda: NOW),
    ):
        pass


def test_bundles_that_come_twice_and_in_the_wrong_order_lose_and_double_nothing(tmp_path: Path) -> None:
    draw = random.Random(5)
    labs = [Past(tmp_path / name) for name in ("north", "south", "west")]
    for lab in labs:
        lab.join(tmp_path / "nothing.bundle", "bundle")
    carried: list[Path] = []
    for turn in range(4):
        for lab in labs:
            lab.attempt("discarded", f"turn {turn}", KNOB=10.0 + turn)
            carried.append(tmp_path / f"{len(carried)}.bundle")
            membership.carry(lab.workspace, carried[-1])
            for bundle in draw.choices(carried, k=2):
                lab.exchange(bundle)
    for lab in labs:
        for bundle in draw.sample(carried, len(carried)) + carried:
            lab.exchange(bundle)
    tables = [lab.table() for lab in labs]
    assert tables[0] == tables[1] == tables[2]
    assert len(tables[0]) == 15


def test_records_of_an_older_version_of_the_database_are_read_anew(tmp_path: Path, remote: Path) -> None:
    north = Past(tmp_path / "north")
    north.join(remote)
    north.exchange()
    before = north.table()
    foreign = north.foreign()
    foreign._db.execute("PRAGMA user_version = 1")
    foreign.close()
    north.exchange()
    assert north.table() == before
