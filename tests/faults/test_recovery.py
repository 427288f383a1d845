"""What recovery does about all it can find: lost and pending runs, clocks set back, locks, keeps that lost a race."""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from mcp_server.lab import Lab
from mcp_server.nouns.errors import AutoresearchError, NotNow
from mcp_server.nouns.files import try_lock
from mcp_server.nouns.records import RunProgress, Status
from mcp_server.views.publishing import results_text
from tests.labs import SCORE, TRAIN, attempt, begin, begun, edit, finish, git, make_lab, open_states, until

# answers "later" until somebody puts a file beside it
LATER = """
import json, os, pathlib
if not (pathlib.Path(READY)).exists():
    print(json.dumps({"pending": True, "retry_after_seconds": 3600}))
    raise SystemExit
""" + SCORE.replace("NOISE", "0.0")


class Clock:
    """A wall clock that can be set."""

    def __init__(self) -> None:
        self.at = datetime(2026, 1, 1, tzinfo=UTC)

    def __call__(self) -> datetime:
        self.at += timedelta(milliseconds=1)
        return self.at

    def jump(self, **by: float) -> None:
        self.at += timedelta(**by)


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    return make_lab(tmp_path / "lab")


def kill_supervisor(lab: Lab, number: int, run: int = 1) -> None:
    """As the kernel does when memory is short."""
    folder = lab.paths.run("first", number, run)
    until(lambda: folder.progress.exists() and folder.begun.exists())
    progress: RunProgress = RunProgress.read(folder.progress)
    os.kill(progress.pid, signal.SIGKILL)
    until(lambda: _free(folder.alive))


def _free(lock: Path) -> bool:
    fd = try_lock(lock)
    if fd is not None:
        os.close(fd)
    return fd is not None


# --- lost -------------------------------------------------------------------------------------------------------------


def test_a_lost_run_is_run_again_as_the_same_experiment(lab: Lab) -> None:
    begun(lab)
    edit(lab, KNOB=2.0, SECONDS=30)
    number = lab.run_experiment("slow").experiment
    kill_supervisor(lab, number)
    assert lab.read_score(number).status == Status.LOST
    edit(lab, KNOB=2.0, SECONDS=30)
    again = lab.run_experiment("slow")
    assert (again.experiment, lab.lab_status().experiments["all"]) == (number, 2)
    assert "does not count" in again.warnings[0]
    lab.cancel_experiment(number)
    finish(lab, number)


def test_a_lost_experiment_that_is_given_up_counts_for_no_stop_rule(tmp_path: Path) -> None:
    lab = make_lab(tmp_path / "lab", more="stop: {experiments: 2, stale: 1}\n")
    begun(lab)
    edit(lab, KNOB=-5.0, SECONDS=30)
    number = lab.run_experiment("slow").experiment
    kill_supervisor(lab, number)
    assert lab.commit_or_revert(number).decision == "reverted"
    status = lab.lab_status()
    assert (status.experiments, status.stop) == ({"all": 1, "baseline": 1, "lost": 1}, "")
    assert attempt(lab, "the same again", KNOB=-5.0).decision == "reverted"
    with pytest.raises(NotNow, match="The campaign is over: 2 experiments"):
        lab.run_experiment("one too many")


def test_a_supervisor_that_can_never_begin_ends_as_lost_and_says_why(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    begun(lab)
    # launched, but never heard of
    with monkeypatch.context() as patch:
        patch.setattr("mcp_server.engines.local.start", lambda paths, fd: 0)
        edit(lab, KNOB=2.0)
        number = lab.run_experiment("unlucky").experiment
        log = lab.paths.run("first", number, 1).supervisor_log
        log.write_text("Traceback (most recent call last):\nImportError: no module\n" * 3)
        reply = lab.read_score(number)
    assert reply.status == Status.LOST
    assert "ImportError: no module" in reply.detail
    assert lab.run_experiment("unlucky").experiment == number
    assert finish(lab, number).score == 1.0


def test_a_result_that_cannot_be_read_is_a_lost_run(lab: Lab) -> None:
    begun(lab)
    edit(lab, KNOB=2.0, SECONDS=30)
    number = lab.run_experiment("slow").experiment
    kill_supervisor(lab, number)
    lab.paths.run("first", number, 1).result.write_bytes(b'{"state": "scored", "sco')
    reply = lab.read_score(number)
    assert (reply.status, reply.score) == (Status.LOST, None)


def test_the_work_tree_of_a_run_may_be_deleted_while_it_runs(lab: Lab, tmp_path: Path) -> None:
    begun(lab)
    git(lab.paths.tree, "worktree", "add", "-q", "--detach", str(tmp_path / "second"))
    second = Lab(tmp_path / "second")
    second.start_campaign("first")
    edit(second, KNOB=2.5, SECONDS=0.5)
    number = second.run_experiment("from a tree that goes").experiment
    second.close()
    shutil.rmtree(tmp_path / "second")
    assert finish(lab, number).score == 0.25
    assert lab.commit_or_revert(number).decision == "kept"
    assert "KNOB = 2.5" in git(lab.paths.tree, "show", "autoresearch/first:train.py")


def test_another_repository_in_the_place_of_a_deleted_tree_is_never_touched(lab: Lab, tmp_path: Path) -> None:
    begun(lab)
    git(lab.paths.tree, "worktree", "add", "-q", "--detach", str(tmp_path / "second"))
    second = Lab(tmp_path / "second")
    second.start_campaign("first")
    edit(second, KNOB=2.5)
    number = second.run_experiment("from a tree that goes").experiment
    finish(second, number)
    second.close()
    shutil.rmtree(tmp_path / "second")
    other = make_lab(tmp_path / "second", train=(TRAIN.replace("KNOB = 1.0", "KNOB = 2.5")))
    before = git(other.paths.tree, "for-each-ref"), git(other.paths.tree, "status", "--porcelain")
    assert lab.commit_or_revert(number).decision == "kept"
    assert (git(other.paths.tree, "for-each-ref"), git(other.paths.tree, "status", "--porcelain")) == before


# --- clocks -----------------------------------------------------------------------------------------------------------


def pending_lab(folder: Path, clock: Clock) -> tuple[Lab, int, Path]:
    """A campaign with an attempt that waits for the world."""
    ready = folder / "ready"
    lab = make_lab(folder / "lab", more=f"readable: [{folder / 'world'}]\n")
    (folder / "world").mkdir()
    ready = folder / "world" / "ready"
    (lab.paths.tree / "score.py").write_text(LATER.replace("READY", repr(str(ready))))
    git(lab.paths.tree, "commit", "-q", "-a", "-m", "a world that takes its time")
    lab = Lab(lab.paths.tree, clock)
    ready.touch()
    begin(lab)
    ready.unlink()
    edit(lab, KNOB=2.0)
    number = lab.run_experiment("ask the world").experiment
    until(lambda: lab.read_score(number).status == Status.PENDING)
    return lab, number, ready


@pytest.mark.parametrize("jump", [timedelta(hours=1), timedelta(days=1), timedelta(days=-1), timedelta(hours=-2)])
def test_a_pending_run_is_asked_again_when_it_is_due_or_the_clock_was_set(tmp_path: Path, jump: timedelta) -> None:
    clock = Clock()
    lab, number, ready = pending_lab(tmp_path, clock)
    ready.touch()
    clock.jump(minutes=30)
    assert lab.read_score(number).status == Status.PENDING
    clock.at += jump
    reply = finish(lab, number)
    assert (reply.status, reply.score) == (Status.SCORED, 1.0)


def test_a_supervisor_that_dies_after_the_seal_costs_a_question_and_not_the_run(tmp_path: Path) -> None:
    clock = Clock()
    lab, number, ready = pending_lab(tmp_path, clock)
    # as if server and supervisor had died together, between the launch and its record
    lab.paths.run("first", number, 1).begun.touch()
    assert lab.read_score(number).status in (Status.PENDING, Status.RUNNING)
    ready.touch()
    clock.jump(hours=2)
    assert finish(lab, number).score == 1.0


def test_a_scorer_that_takes_its_supervisor_along_every_time_is_not_asked_for_ever(tmp_path: Path) -> None:
    clock = Clock()
    lab, number, _ = pending_lab(tmp_path, clock)
    folder = lab.paths.run("first", number, 1)
    folder.interrupted.write_text("3")
    folder.begun.touch()
    assert lab.read_score(number).status == Status.LOST


def test_what_is_tried_while_the_baseline_is_out_is_judged_when_it_has_come_home(tmp_path: Path) -> None:
    clock = Clock()
    lab = make_lab(tmp_path / "lab", more=f"readable: [{tmp_path / 'world'}]\n")
    (tmp_path / "world").mkdir()
    ready = tmp_path / "world" / "ready"
    (lab.paths.tree / "score.py").write_text(LATER.replace("READY", repr(str(ready))))
    git(lab.paths.tree, "commit", "-q", "-a", "-m", "a world that takes its time")
    lab = Lab(lab.paths.tree, clock)
    lab.start_campaign("first", calibrate=0)
    until(lambda: lab.read_score(1).status == Status.PENDING)
    edit(lab, KNOB=2.0)
    number = lab.run_experiment("while the baseline is out").experiment
    until(lambda: lab.read_score(number).status == Status.PENDING)
    said = lab.lab_status().next
    assert "Experiments 1, 2 are in the field; the next answer is due in about 60 min." in said
    assert lab.read_score(number).next.startswith("Experiment 2 is in the field")
    # its answer comes first
    ready.touch()
    with lab.reading() as (bench, _, _):
        baseline = bench.ledger.runs("first", 1)[0]
    bench.ledger.close_run(baseline, baseline.result, bench.stamp(), clock.at.timestamp() + 3600 * 3)
    clock.jump(hours=2)
    assert finish(lab, number).score == 1.0
    with pytest.raises(NotNow, match="cannot be judged yet"):
        lab.commit_or_revert(number)
    clock.jump(hours=2)
    finish(lab, 1)
    assert lab.commit_or_revert(number).decision == "kept"


def test_pending_is_noted_again_when_its_record_was_cut_short(tmp_path: Path) -> None:
    clock = Clock()
    lab, number, ready = pending_lab(tmp_path, clock)
    folder = lab.paths.run("first", number, 1)
    with lab.reading() as (bench, _, _):
        run = bench.ledger.runs("first", number)[0]
    assert run.result is not None
    run.result.write(folder.result)  # as it lay there before it was removed
    assert lab.read_score(number).status == Status.PENDING
    assert not folder.result.exists()
    ready.touch()
    clock.jump(hours=2)
    assert finish(lab, number).score == 1.0


@pytest.mark.parametrize("days", [1, -1])
def test_the_incumbent_is_the_last_kept_whatever_the_clock_says(tmp_path: Path, days: int) -> None:
    clock = Clock()
    lab = Lab(make_lab(tmp_path / "lab").paths.tree, clock)
    begin(lab)
    assert attempt(lab, "nearer", KNOB=2.0).decision == "kept"
    clock.jump(days=days)
    reply = attempt(lab, "nearer still", KNOB=2.5)
    assert (reply.decision, reply.incumbent) == ("kept", reply.experiment)
    clock.jump(days=-days)
    assert attempt(lab, "farther", KNOB=-4.0).decision == "reverted"
    assert "KNOB = 2.5" in (lab.paths.tree / "train.py").read_text()
    assert lab.lab_status().experiments["all"] == 4


# --- git --------------------------------------------------------------------------------------------------------------


def test_a_stale_index_lock_holds_a_keep_up_until_it_is_removed(lab: Lab) -> None:
    begun(lab)
    edit(lab, KNOB=2.0)
    number = lab.run_experiment("nearer").experiment
    finish(lab, number)
    lock = lab.paths.common / "index.lock"
    lock.touch()
    with pytest.raises(AutoresearchError, match=r"index\.lock"):
        lab.commit_or_revert(number)
    assert any("index.lock" in problem for problem in lab.lab_status().problems)
    lock.unlink()
    reply = lab.commit_or_revert(number)
    assert reply.decision == "kept"
    assert git(lab.paths.tree, "status", "--porcelain") == ""
    assert len(git(lab.paths.tree, "log", "--format=%s", "autoresearch/first", "^main").splitlines()) == 2


def test_a_snapshot_and_a_run_need_no_index(lab: Lab) -> None:
    begun(lab)
    (lab.paths.common / "index.lock").touch()
    edit(lab, KNOB=2.0)
    number = lab.run_experiment("nearer").experiment
    assert finish(lab, number).score == 1.0


def test_a_locked_branch_holds_a_keep_up_and_says_which_file(lab: Lab) -> None:
    begun(lab)
    edit(lab, KNOB=2.0)
    number = lab.run_experiment("nearer").experiment
    finish(lab, number)
    lock = lab.paths.common / "refs" / "heads" / "autoresearch" / "first.lock"
    lock.touch()
    with pytest.raises(AutoresearchError, match=r"first\.lock"):
        lab.commit_or_revert(number)
    lock.unlink()
    assert lab.commit_or_revert(number).decision == "kept"


def test_while_a_keep_waits_for_git_no_other_is_judged_against_the_past(lab: Lab) -> None:
    begun(lab)
    edit(lab, KNOB=2.5)
    first = lab.run_experiment("two and a half").experiment
    edit(lab, KNOB=2.0)
    second = lab.run_experiment("two").experiment
    finish(lab, first)
    finish(lab, second)
    lock = lab.paths.common / "index.lock"
    lock.touch()
    with pytest.raises(AutoresearchError, match=r"index\.lock"):
        lab.commit_or_revert(first)
    with pytest.raises(NotNow, match=f"Experiment {first} is decided"):
        lab.commit_or_revert(second)
    lock.unlink()
    reply = lab.commit_or_revert(second)
    assert (reply.decision, reply.change) == ("reverted", -0.75)
    assert lab.read_score(first).status == Status.KEPT


def test_a_candidate_that_lost_the_race_is_told_against_whom(lab: Lab, tmp_path: Path) -> None:
    begun(lab)
    git(lab.paths.tree, "worktree", "add", "-q", "--detach", str(tmp_path / "second"))
    other = Lab(tmp_path / "second")
    other.start_campaign("first")
    edit(lab, KNOB=2.0)
    edit(other, KNOB=2.5)
    slower, faster = lab.run_experiment("two").experiment, other.run_experiment("two and a half").experiment
    finish(lab, slower)
    finish(other, faster)
    assert other.commit_or_revert(faster).decision == "kept"
    reply = lab.commit_or_revert(slower)
    assert reply.decision == "reverted"
    assert f"Experiment {faster} was kept meanwhile" in reply.reason


def test_a_branch_that_somebody_moved_is_named_and_the_candidate_stays_in_the_vault(lab: Lab) -> None:
    begun(lab)
    edit(lab, KNOB=2.5)
    number = lab.run_experiment("nearer").experiment
    finish(lab, number)
    edit(lab, KNOB=7.0)
    git(lab.paths.tree, "commit", "-q", "-a", "-m", "the user's own idea")
    theirs = git(lab.paths.tree, "rev-parse", "HEAD").strip()
    reply = lab.commit_or_revert(number)
    assert reply.decision == "overtaken"
    assert theirs[:12] in reply.reason
    assert git(lab.paths.tree, "rev-parse", "autoresearch/first").strip() == theirs
    assert "KNOB = 2.5" in git(lab.paths.tree, "show", f"refs/autoresearch/first/{number}:train.py")
    assert "State: overtaken" in git(lab.paths.tree, "log", "-1", "--format=%b", f"refs/autoresearch/first/{number}")
    git(lab.paths.tree, "revert", "--no-edit", "HEAD")  # the way out that the reply names
    assert attempt(lab, "nearer, again", KNOB=2.5).decision == "kept"


def test_a_rebase_in_progress_refuses_a_decision_and_leaves_everything(lab: Lab) -> None:
    begun(lab)
    edit(lab, KNOB=2.0)
    number = lab.run_experiment("nearer").experiment
    finish(lab, number)
    (lab.paths.common / "rebase-merge").mkdir()
    with pytest.raises(AutoresearchError, match="rebase is in progress"):
        lab.commit_or_revert(number)
    assert lab.read_score(number).status == Status.SCORED
    (lab.paths.common / "rebase-merge").rmdir()
    assert lab.commit_or_revert(number).decision == "kept"


# --- the lab's own files ----------------------------------------------------------------------------------------------


def test_a_ledger_restored_from_a_backup_is_noticed_by_a_living_server(lab: Lab, tmp_path: Path) -> None:
    begun(lab)
    with closing(sqlite3.connect(lab.paths.ledger)) as here, closing(sqlite3.connect(tmp_path / "backup")) as there:
        here.backup(there)
    lab.append_learnings("A lesson that the backup does not know.")
    for place in lab.paths.state.glob("lab.db*"):
        place.unlink()
    shutil.copy(tmp_path / "backup", lab.paths.ledger)
    assert lab.lab_status().learnings == []
    lab.append_learnings("A lesson after the backup.")
    with closing(sqlite3.connect(lab.paths.ledger)) as there:
        assert there.execute("SELECT count(*) FROM learnings").fetchone() == (1,)


def test_a_full_disk_of_a_run_excuses_it(lab: Lab) -> None:
    begun(lab)
    edit(lab, KNOB=2.0, SECONDS=30)
    number = lab.run_experiment("slow").experiment
    kill_supervisor(lab, number)
    folder = lab.paths.run("first", number, 1)
    folder.result.write_text('{"state": "crashed", "reason": "disk_full", "detail": "The disk filled up."}')
    assert lab.read_score(number).reason == "disk_full"
    assert lab.run_experiment("slow").experiment == number
    assert len(open_states(lab)) == 1
    lab.cancel_experiment(number)
    finish(lab, number)


def test_the_views_tell_of_a_repeat_that_ended_after_the_decision(lab: Lab) -> None:
    begun(lab)
    attempt(lab, "nearer", KNOB=2.0)
    with lab.reading() as (bench, campaign, _):
        bench.ledger.open_run(campaign.tag, 2, campaign.seed + 1, "anchor", bench.stamp())
    finish(lab, 2)
    with lab.reading() as (bench, campaign, arena):
        pass
    assert lab.paths.results.read_text() == results_text(bench.ledger, campaign, arena)
