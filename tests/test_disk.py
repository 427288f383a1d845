"""A disk that is full or read-only at every write: old files stay whole, the error says so, and with space it goes on.

A small file system of its own where we may mount one; everywhere a writer that fails at its n-th write, for every n.
"""

from __future__ import annotations

import contextlib
import errno
import os
import resource
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from mcp_server.lab import Lab
from mcp_server.ledger import Ledger
from mcp_server.nouns.errors import AutoresearchError
from mcp_server.nouns.files import is_locked, write_atomically
from mcp_server.nouns.records import RunResult, RunState, Status
from tests.faults.agents import FAR, apart
from tests.faults.scene import settle_down
from tests.labs import attempt, begin, begun, decide, edit, finish, git, make_lab, until
from tests.people.played import playing
from tests.runs import RunFolder


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 6 MB that a test can fill."""
    place = tmp_path / "disk"
    place.mkdir()
    how = ["mount", "-t", "tmpfs", "-o", "size=6m", "tmpfs", str(place)]
    mounted = subprocess.run(how, check=False, capture_output=True)
    if mounted.returncode:
        pytest.skip("mounting a small file system takes root")
    try:
        yield place
    finally:
        subprocess.run(["umount", "--lazy", str(place)], check=True)


def fill(disk: Path, leave: int) -> Path:
    """A file of the user's that leaves only so many bytes."""
    filler = disk / "filler"
    filler.unlink(missing_ok=True)
    with open(filler, "wb", buffering=0) as file, contextlib.suppress(OSError):
        free = os.statvfs(disk).f_bavail * os.statvfs(disk).f_frsize
        file.write(bytes(max(0, free - leave)))
        if leave == 0:
            while True:
                file.write(bytes(4096))
    return filler


def whole(lab: Lab) -> None:
    """Ledger, git and the editable file are what they were, or what they were to become: nothing is torn."""
    with closing(Ledger(lab.paths.ledger)) as ledger:
        ledger.check()
    git(lab.paths.tree, "fsck", "--strict", "--no-dangling")
    assert (lab.paths.tree / "train.py").read_text().startswith("# A stand-in")


def _supervisors_are_gone(lab: Lab) -> bool:
    return not any(is_locked(lock) for lock in lab.paths.state.glob("runs/*/*/*/alive.lock"))


@pytest.mark.parametrize("leave", [0, 4096, 20_000, 60_000, 120_000])
def test_a_full_disk_refuses_in_words_and_goes_on_when_there_is_space(small_disk: Path, leave: int) -> None:
    lab = make_lab(small_disk / "lab")
    begun(lab)
    edit(lab, KNOB=2.0)
    filler = fill(small_disk, leave)
    said, number = "", None
    try:
        number = lab.run_experiment("on a full disk").experiment
        until(lambda: _supervisors_are_gone(lab))
        lab.commit_or_revert(number)
    except AutoresearchError as error:
        said = str(error)
    filler.unlink()
    whole(lab)
    assert said == "" or any(word in said for word in ("disk", "space", "full", "running", "No space"))
    # with space again the same code is run (or goes on), and is decided
    edit(lab, KNOB=2.0)
    status = lab.lab_status()
    if status.incumbent is not None and status.incumbent.experiment == 1:
        with contextlib.suppress(AutoresearchError):
            number = lab.run_experiment("on a disk with space").experiment
        assert number is not None
        finish(lab, number)
        lab.commit_or_revert(number)
    final = lab.lab_status()
    assert final.problems == []
    whole(lab)
    lab.close()


def test_a_run_whose_disk_fills_up_says_so_and_is_excused(small_disk: Path) -> None:
    lab = make_lab(small_disk / "lab")
    begun(lab)
    train = lab.paths.tree / "train.py"
    text = train.read_text()
    train.write_text(text.replace("time.sleep(SECONDS)", "(out / 'much').write_bytes(bytes(50_000_000))"))
    number = lab.run_experiment("too much").experiment
    reply = finish(lab, number)
    assert reply.status in (Status.CRASHED, Status.REJECTED)
    assert reply.score is None
    assert lab.commit_or_revert(number).decision == "reverted"
    assert attempt(lab, "nearer", KNOB=2.0).decision == "kept"
    whole(lab)
    lab.close()


# --- every write in turn ----------------------------------------------------------------------------------------------

_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT


def failing(effect: int, code: int, function: Callable[[], Any]) -> tuple[bool, str]:
    """Do something in a process whose writes fail from the `effect`-th on: (whether one failed, what was said)."""

    def act() -> tuple[bool, str]:
        left, failed = effect, False

        def hook(event: str, given: tuple[Any, ...]) -> None:
            nonlocal left, failed
            writes = event == "open" and isinstance(given[2], int) and given[2] & _WRITES
            if (writes and not str(given[0]).startswith(("/dev/", "/proc/"))) or event in ("os.rename", "os.mkdir"):
                left -= 1
                if left <= 0:
                    failed = True
                    raise OSError(code, os.strerror(code), str(given[0]))

        sys.addaudithook(hook)
        try:
            function()
        except AutoresearchError as error:
            return failed, str(error)
        finally:
            left = 10**9
        return failed, ""

    return apart(act)


def between(function: Callable[[], Any]) -> Any:
    """Do in a process of its own what is not struck: its runs are played, for the supervisor is no matter of it."""

    def act() -> Any:
        with playing():
            return function()

    return apart(act)


def test_whichever_write_of_a_verb_fails_nothing_is_torn_and_the_next_call_goes_on(tmp_path: Path) -> None:
    lab = make_lab(tmp_path / "lab")
    tree = lab.paths.tree
    between(lambda: begin(lab) and None)
    effect, failed, knob = 1, True, 1.0
    while failed:
        knob -= 3.0  # away from the goal: each is reverted
        edit(lab, KNOB=knob)
        failed, said = failing(effect, errno.ENOSPC, lambda: Lab(tree).run_experiment("while writes fail"))
        whole(lab)
        assert not said or os.strerror(errno.ENOSPC) in said or "git" in said or "ledger" in said, said
        between(partial(_decide_all, tree, knob))
        effect += 1 + effect // 4
    assert effect > 3
    apart(lambda: settle_down(Lab(tree)))


def _decide_all(tree: Path, knob: float) -> None:
    lab = Lab(tree)
    edit(lab, KNOB=knob)
    number = lab.run_experiment("again").experiment
    assert finish(lab, number).score == (knob - 3) ** 2
    assert decide(lab, number).decision == "reverted"
    assert lab.lab_status().problems == []


def test_whichever_write_of_a_keep_fails_it_is_finished_by_the_next_call(tmp_path: Path) -> None:
    lab = make_lab(tmp_path / "lab", more="keep: {confirm: never}\n", train=FAR)
    tree = lab.paths.tree
    between(lambda: begin(lab) and None)
    effect, failed, knob = 1, True, 1000.0
    while failed:
        knob += (3 - knob) / 10
        edit(lab, KNOB=knob)
        number = between(lambda: finish(Lab(tree), Lab(tree).run_experiment("nearer").experiment).experiment)
        failed, _ = failing(effect, errno.EROFS, lambda number=number: Lab(tree).commit_or_revert(number))
        whole(lab)
        assert apart(lambda number=number: Lab(tree).commit_or_revert(number).decision) == "kept"
        assert git(tree, "status", "--porcelain") == ""
        effect += 1 + effect // 3
    apart(lambda: settle_down(Lab(tree)))


def test_a_file_is_whole_or_as_it_was_when_the_disk_fills(tmp_path: Path) -> None:
    place = tmp_path / "file"
    place.write_bytes(b"old")

    def write() -> str:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
        try:
            write_atomically(place, bytes(5000))
        except OSError as error:
            return os.strerror(error.errno or 0)
        return ""

    assert apart(write) == os.strerror(errno.EFBIG)
    assert place.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["file"]


def test_a_ledger_that_cannot_grow_refuses_and_forgets_nothing(tmp_path: Path) -> None:
    path = tmp_path / "lab.db"
    with closing(Ledger(path)) as ledger:
        ledger.add_learning(None, None, "the first lesson", [], "agent", "2026-01-01T00:00:00+00:00")

    def write() -> tuple[int, str]:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))
        ledger, known = Ledger(path), 0
        try:
            while True:
                ledger.add_learning(None, None, "x" * 2000, [], "agent", "2026-01-01T00:00:00+00:00")
                known += 1
        except AutoresearchError as error:
            return known, str(error)

    known, said = apart(write)
    assert "Nothing was recorded" in said
    with closing(Ledger(path)) as ledger:
        ledger.check()
        assert len(ledger.learnings()) == known + 1
        ledger.add_learning(None, None, "and on it goes", [], "agent", "2026-01-01T00:00:00+00:00")


def test_a_read_only_folder_refuses_every_verb_in_words(tmp_path: Path) -> None:
    lab = make_lab(tmp_path / "lab")
    place = lab.paths.common
    bound = subprocess.run(["mount", "--bind", "-o", "ro", str(place), str(place)], check=False, capture_output=True)
    if bound.returncode:
        pytest.skip("a read-only file system takes root")
    try:
        subprocess.run(["mount", "-o", "remount,ro,bind", str(place)], check=False, capture_output=True)
        with pytest.raises(AutoresearchError, match=r"[Rr]ead-only"):
            lab.start_campaign("first")
    finally:
        subprocess.run(["umount", str(place)], check=True)
    assert begin(lab).status == Status.KEPT


def test_a_supervisor_on_a_full_disk_still_leaves_its_result(small_disk: Path) -> None:
    flood = "import os, pathlib\npathlib.Path(os.environ['AUTORESEARCH_OUT'], 'x').write_bytes(bytes(50_000_000))\n"
    result = RunFolder(small_disk, train=flood).carry_out()
    assert isinstance(result, RunResult)
    assert result.state in (RunState.CRASHED, RunState.REJECTED)
    assert result.score is None
    shutil.rmtree(small_disk / "lab")


def test_sqlite_says_in_the_same_words_that_a_disk_is_full(small_disk: Path) -> None:
    path = small_disk / "lab.db"
    ledger = Ledger(path)
    fill(small_disk, 8192)

    def learn_for_ever() -> None:
        while True:
            ledger.add_learning(None, None, "x" * 4000, [], "agent", "2026-01-01T00:00:00+00:00")

    with pytest.raises(AutoresearchError, match="Free some space"):
        learn_for_ever()
    (small_disk / "filler").unlink()
    ledger.add_learning(None, None, "there is space again", [], "agent", "2026-01-01T00:00:00+00:00")
    ledger.close()
    with closing(sqlite3.connect(path)) as db:
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
