"""A result belongs to one snapshot of one ledger, and git keeps whatever a ledger names.

What people did: they moved a damaged ledger away as they were told, restored yesterday's, copied the folder, used a tag
again, fetched somebody's attempts, ran `git gc --prune=now`.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner

from mcp_server.cli import cli
from mcp_server.lab import Lab
from mcp_server.nouns.errors import AutoresearchError, WorkspaceError
from mcp_server.nouns.files import is_locked
from mcp_server.nouns.records import Order, RunResult, RunSpec, Status
from mcp_server.nouns.replies import ExamReply
from tests.labs import edit, git, until
from tests.people.played import Played, knob_in, named_commands, obey, small_lab, tried


def ledger_away(lab: Lab) -> None:
    """As the message about a damaged ledger says: it is copied away, and nothing is in its place."""
    lab.close()
    for place in lab.paths.state.glob("lab.db*"):
        place.rename(place.with_name(f"damaged-{place.name}"))


def backup(lab: Lab, place: Path) -> None:
    with closing(sqlite3.connect(lab.paths.ledger)) as here, closing(sqlite3.connect(place)) as there:
        here.backup(there)


def restore(lab: Lab, place: Path) -> Lab:
    lab.close()
    for old in lab.paths.state.glob("lab.db*"):
        old.unlink()
    shutil.copy(place, lab.paths.ledger)
    return Lab(lab.paths.tree)


def prune(lab: Lab) -> None:
    """What git does by itself after two weeks, at once."""
    git(lab.paths.tree, "reflog", "expire", "--expire=now", "--expire-unreachable=now", "--all")
    git(lab.paths.tree, "gc", "-q", "--prune=now")


def refs(tree: Path, below: str = "refs/autoresearch/") -> dict[str, str]:
    lines = git(tree, "for-each-ref", "--format=%(refname) %(objectname)", below).splitlines()
    return dict(line.split() for line in lines)


def examined(lab: Lab) -> ExamReply:
    """A whole exam: a played supervisor trains no pair, so the baseline has its runs after the incumbent's."""
    until(lambda: lab.exam(2).status == "done")
    return lab.exam(2)


# --- leftovers --------------------------------------------------------------------------------------------------------


def test_after_a_lost_ledger_the_same_tag_is_refused_and_the_command_named_measures_anew(
    tmp_path: Path, played: Played
) -> None:
    lab = small_lab(tmp_path / "lab")
    tried(lab, KNOB=2.0)
    ledger_away(lab)
    before = refs(lab.paths.tree)
    edit(lab, KNOB=7.0)
    git(lab.paths.tree, "commit", "-qam", "seven")
    again = Lab(lab.paths.tree)
    with pytest.raises(WorkspaceError, match="does not know") as refused:
        again.start_campaign("first", calibrate=0)
    assert refs(lab.paths.tree) == before
    assert "autoresearch start first-2" in named_commands(str(refused.value))
    done = CliRunner().invoke(cli, ["-C", str(lab.paths.tree), "start", "first-2", "--calibrate", "0"])
    assert done.exit_code == 0, done.output
    assert again.read_score(1).score == 16.0
    assert before.items() <= refs(lab.paths.tree).items()


@pytest.mark.parametrize("what", ["result", "seal", "half a launch"])
def test_leftover_folders_are_moved_aside_unread_with_a_word(tmp_path: Path, played: Played, what: str) -> None:
    lab = small_lab(tmp_path / "lab")
    tried(lab, KNOB=2.0)
    ledger_away(lab)
    # somebody tidied git as well, so that nothing but the folders tells of the lost campaign
    git(lab.paths.tree, "checkout", "-q", "main")
    git(lab.paths.tree, "branch", "-qD", "autoresearch/first")
    for name in refs(lab.paths.tree):
        git(lab.paths.tree, "update-ref", "-d", name)
    folder = lab.paths.run("first", 1, 1)
    if what == "seal":
        RunResult.read(folder.result).write(folder.sealed)
        folder.result.unlink()
    if what == "half a launch":
        for place in (folder.spec, folder.result, folder.begun, folder.order):
            place.unlink()
        folder.work.mkdir()
        (folder.work / "train.py").write_text("KNOB = 2.0\n")
    old = sorted(path.name for path in folder.folder.iterdir())
    edit(lab, KNOB=7.0)
    git(lab.paths.tree, "commit", "-qam", "seven")
    again = Lab(lab.paths.tree)
    said = " ".join(again.start_campaign("first", calibrate=0).warnings)
    assert again.read_score(1).score == 16.0
    assert "did not order" in said
    moved = lab.paths.leftovers / "first-1-1"
    assert str(moved) in said
    assert sorted(path.name for path in moved.iterdir()) == old


def test_a_run_of_a_lost_ledger_that_is_still_at_work_is_stopped_before_its_folder_is_used(
    tmp_path: Path, played: Played
) -> None:
    lab = small_lab(tmp_path / "lab")
    played.hold = True
    edit(lab, KNOB=2.0)
    lab.run_experiment("in the air")
    folder = lab.paths.run("first", 2, 1)
    ledger_away(lab)
    for name in refs(lab.paths.tree):
        git(lab.paths.tree, "update-ref", "-d", name)
    git(lab.paths.tree, "restore", "train.py")
    again = Lab(lab.paths.tree)
    played.hold = False
    again.start_campaign("first", calibrate=0)
    again.lab_status()
    edit(again, KNOB=4.5)
    launched = len(played.launched)
    reply = again.run_experiment("another in its place")
    assert any("asked to stop" in word for word in reply.warnings)
    assert folder.cancel.exists()
    assert len(played.launched) == launched
    played.end()  # it ends as it was asked, and leaves a result all the same
    assert again.read_score(2).score is None
    assert again.read_score(2).score == 2.25
    assert not is_locked(folder.alive)


def test_yesterdays_ledger_never_reads_todays_runs(tmp_path: Path, played: Played) -> None:
    lab = small_lab(tmp_path / "lab")
    tried(lab, KNOB=2.0)
    backup(lab, tmp_path / "yesterday.db")
    tried(lab, KNOB=9.0)
    tried(lab, KNOB=-9.0)
    before = refs(lab.paths.tree)
    lab = restore(lab, tmp_path / "yesterday.db")
    edit(lab, KNOB=2.5)
    number = lab.run_experiment("after the restore").experiment
    assert number == 5  # 3 and 4 are in the vault, and stay there
    assert lab.read_score(number).score == 0.25
    assert lab.commit_or_revert(number).decision == "kept"
    assert before.items() <= refs(lab.paths.tree).items()


def test_yesterdays_ledger_measures_anew_where_only_the_folders_are_left(tmp_path: Path, played: Played) -> None:
    lab = small_lab(tmp_path / "lab")
    backup(lab, tmp_path / "yesterday.db")
    tried(lab, KNOB=9.0)
    git(lab.paths.tree, "update-ref", "-d", "refs/autoresearch/first/2")
    lab = restore(lab, tmp_path / "yesterday.db")
    edit(lab, KNOB=2.5)
    reply = lab.run_experiment("after the restore")
    assert reply.experiment == 2
    assert any("did not order" in word for word in lab.lab_status().problems + reply.warnings)
    assert lab.read_score(2).score == 0.25


def test_the_same_for_the_runs_of_an_exam(tmp_path: Path, played: Played) -> None:
    lab = small_lab(tmp_path / "lab")
    tried(lab, KNOB=2.0)
    backup(lab, tmp_path / "before.db")
    examined(lab)
    lab = restore(lab, tmp_path / "before.db")
    for number in (1, 2):
        for k in (2, 3):
            place = lab.paths.run("first", number, k).result
            RunResult.read(place).model_copy(update={"score": 1e9}).write(place)
    reply = examined(lab)
    assert (reply.status, reply.gain) == ("done", 3.0)
    assert len(list(lab.paths.leftovers.iterdir())) == 4


def test_two_copies_of_a_lab_each_read_their_own_runs(tmp_path: Path, played: Played) -> None:
    lab = small_lab(tmp_path / "lab")
    played.hold = True
    edit(lab, KNOB=2.0)
    lab.run_experiment("in the air while it is copied")
    shutil.copytree(tmp_path / "lab", tmp_path / "copy", symlinks=True)
    copy = Lab(tmp_path / "copy")
    assert copy.read_score(2).status == Status.LOST  # nobody is at work in the copy
    played.hold = False
    played.end()
    assert lab.read_score(2).score == 1.0
    assert copy.read_score(2).score is None
    lab.commit_or_revert(2)
    copy.commit_or_revert(2)
    edit(copy, KNOB=9.0)
    edit(lab, KNOB=2.5)
    assert (copy.run_experiment("mine").experiment, lab.run_experiment("yours").experiment) == (3, 3)
    assert (copy.read_score(3).score, lab.read_score(3).score) == (36.0, 0.25)
    # and the copy's folder in the place of the original's says nothing to the original
    edit(lab, KNOB=2.6)
    edit(copy, KNOB=8.0)
    played.hold = True
    lab.run_experiment("yours again")
    played.hold = False
    copy.run_experiment("mine again")
    copy.read_score(4)
    played.end(lost=True)
    ours, theirs = (one.paths.run("first", 4, 1).folder for one in (lab, copy))
    shutil.rmtree(ours)
    shutil.copytree(theirs, ours)
    assert lab.read_score(4).score is None
    assert lab.read_score(4).score == pytest.approx(0.16)


def test_a_moved_folder_goes_on(tmp_path: Path, played: Played) -> None:
    lab = small_lab(tmp_path / "lab")
    edit(lab, KNOB=2.0)
    lab.run_experiment("before the move")
    lab.close()
    os.rename(tmp_path / "lab", tmp_path / "elsewhere")
    lab = Lab(tmp_path / "elsewhere")
    assert lab.commit_or_revert(2).decision == "kept"
    assert tried(lab, KNOB=9.0).restored == ["train.py"]
    assert not lab.paths.leftovers.exists()


def test_a_spec_a_seal_and_a_result_carry_the_order(tmp_path: Path, played: Played) -> None:
    lab = small_lab(tmp_path / "lab")
    folder = lab.paths.run("first", 1, 1)
    with lab.reading() as (bench, campaign, _):
        order = bench.order_of(bench.ledger.runs(campaign.tag, 1)[0])
        assert order == Order(
            lab=bench.ledger.lab, snapshot=bench.ledger.experiment(campaign.tag, 1).snapshot, run_id=order.run_id
        )
    assert RunSpec.read(folder.spec).order == RunResult.read(folder.result).order == order


# --- git's gc ---------------------------------------------------------------------------------------------------------


def test_after_gc_every_attempt_can_be_shown_examined_and_run_again(tmp_path: Path, played: Played) -> None:
    lab = small_lab(tmp_path / "lab")
    tried(lab, KNOB=2.0)
    tried(lab, KNOB=9.0)
    played.hold = True
    edit(lab, KNOB=2.5)
    lab.run_experiment("in the air")
    prune(lab)
    played.hold = False
    played.end(lost=True)
    for number in (1, 2, 3, 4):
        done = CliRunner().invoke(cli, ["-C", str(lab.paths.tree), "show", str(number)])
        assert done.exit_code == 0, done.output
        assert f"git show refs/autoresearch/first/{number}" in done.output
        assert "KNOB" in git(lab.paths.tree, "show", f"refs/autoresearch/first/{number}:train.py")
    assert lab.run_experiment("once more").experiment == 4
    assert lab.read_score(4).score == 0.25
    lab.commit_or_revert(4)
    prune(lab)
    examined(lab)
    git(lab.paths.tree, "fsck", "--strict", "--no-dangling")


def test_after_gc_and_a_reset_the_kept_commits_are_still_there(tmp_path: Path, played: Played) -> None:
    lab = small_lab(tmp_path / "lab")
    kept = tried(lab, KNOB=2.0).commit
    git(lab.paths.tree, "checkout", "-q", "main")
    git(lab.paths.tree, "branch", "-qD", "autoresearch/first")
    prune(lab)
    assert "KNOB = 2.0" in git(lab.paths.tree, "show", f"{kept}:train.py")


def test_a_lab_of_an_older_version_is_mended_on_opening_where_the_objects_are_there(
    tmp_path: Path, played: Played
) -> None:
    lab = small_lab(tmp_path / "lab")
    tried(lab, KNOB=2.0)
    tried(lab, KNOB=9.0)
    sealed = lab.paths.run("first", 2, 1).artifact
    (sealed / "deep").mkdir(parents=True)
    for place in (sealed / "deep", sealed):
        place.chmod(0o555)
    lab.close()
    git(lab.paths.tree, "update-ref", "-d", "refs/autoresearch-held/first")
    with closing(sqlite3.connect(lab.paths.ledger)) as db:
        db.execute("UPDATE experiments SET held = 0")
        db.execute(
            "UPDATE experiments SET snapshot = replace(snapshot, substr(snapshot, 1, 8), 'deadbeef') WHERE number = 3"
        )
        db.commit()
    Lab(lab.paths.tree).lab_status()
    prune(lab)
    assert {path.stat().st_mode & 0o777 for path in (sealed, sealed / "deep")} == {0o755}
    with closing(sqlite3.connect(lab.paths.ledger)) as db:
        found = dict(db.execute("SELECT number, held FROM experiments"))
        snapshot = db.execute("SELECT snapshot FROM experiments WHERE number = 2").fetchone()[0]
    assert found == {1: 1, 2: 1, 3: -1}
    assert "KNOB = 2.0" in git(lab.paths.tree, "show", f"{snapshot}:train.py")


def lose(lab: Lab, number: int) -> None:
    """Git loses an attempt's commit: its refs are deleted by hand, then gc."""
    git(lab.paths.tree, "update-ref", "-d", f"refs/autoresearch/first/{number}")
    git(lab.paths.tree, "update-ref", "-d", "refs/autoresearch-held/first")
    prune(lab)


def test_an_attempt_whose_commit_is_gone_is_settled_and_tried_again_under_another_number(
    tmp_path: Path, played: Played
) -> None:
    lab = small_lab(tmp_path / "lab")
    played.hold = True
    edit(lab, KNOB=2.0)
    lab.run_experiment("nearer")
    lose(lab, 2)
    played.hold = False
    played.end(lost=True)
    assert lab.read_score(2).status == Status.LOST
    with lab.reading() as (bench, campaign, _):
        bench.ledger.open_run(campaign.tag, 2, campaign.seed, "retry", bench.stamp())
    reply = lab.read_score(2)
    assert reply.status == Status.LOST
    assert not lab.read_score(2).open
    with lab.reading() as (bench, campaign, _):
        last = bench.ledger.runs(campaign.tag, 2)[-1].result
    assert last is not None
    assert "is gone from this repository" in last.detail
    assert lab.run_experiment("nearer").experiment == 3
    assert lab.commit_or_revert(2).decision == "reverted"
    assert lab.commit_or_revert(3).decision == "kept"
    assert not lab.lab_status().problems


def test_a_run_that_can_be_neither_begun_nor_measured_can_be_cancelled(tmp_path: Path, played: Played) -> None:
    lab = small_lab(tmp_path / "lab")
    with lab.reading() as (bench, campaign, _):
        bench.ledger.open_run(campaign.tag, 1, 5, "repeat", bench.stamp())
    played.hold = True
    lab.cancel_experiment(1)
    played.end(lost=True)
    assert not lab.read_score(1).open


def test_the_exam_of_a_lab_whose_code_is_gone_ends(tmp_path: Path, played: Played) -> None:
    lab = small_lab(tmp_path / "lab")
    tried(lab, KNOB=2.0)
    lab.close()
    git(lab.paths.tree, "checkout", "-q", "main")
    git(lab.paths.tree, "branch", "-qD", "autoresearch/first")
    for name in refs(lab.paths.tree, "refs/autoresearch*/**"):
        git(lab.paths.tree, "update-ref", "-d", name)
    prune(lab)
    done = CliRunner().invoke(cli, ["-C", str(lab.paths.tree), "--campaign", "first", "exam", "--seeds", "2"])
    assert "failed" in done.output
    assert done.output.count("\n") < 30


# --- the vault --------------------------------------------------------------------------------------------------------


def test_an_attempt_fetched_from_another_lab_is_never_written_over(tmp_path: Path, played: Played) -> None:
    lab = small_lab(tmp_path / "lab")
    other = small_lab(tmp_path / "other")
    tried(other, KNOB=9.0)
    tried(other, KNOB=8.0)
    for number in (2, 3):
        name = f"refs/autoresearch/first/{number}"
        git(lab.paths.tree, "fetch", "-q", str(tmp_path / "other"), f"{name}:{name}")
    fetched = refs(lab.paths.tree)
    reply = tried(lab, KNOB=2.0)
    assert (reply.experiment, reply.decision) == (4, "kept")
    assert fetched.items() <= refs(lab.paths.tree).items()


def test_a_ref_in_the_way_is_named_and_the_command_named_sets_it_aside(tmp_path: Path, played: Played) -> None:
    lab = small_lab(tmp_path / "lab")
    edit(lab, KNOB=2.0)
    lab.run_experiment("nearer")
    other = git(lab.paths.tree, "rev-parse", "main").strip()
    git(lab.paths.tree, "update-ref", "refs/autoresearch/first/2", other)
    with pytest.raises(AutoresearchError, match="does not point where the ledger says") as refused:
        lab.commit_or_revert(2)
    obey(str(refused.value), lab.paths.tree)
    assert refs(lab.paths.tree, "refs/autoresearch-aside/") == {f"refs/autoresearch-aside/first/2-{other[:7]}": other}
    assert lab.commit_or_revert(2).decision == "kept"
    assert knob_in(lab.paths.tree) == 2.0


def settled(lab: Lab) -> None:
    """Nothing is left to be done again by the next call, and nothing is complained of."""
    with lab.reading() as (bench, _, _arena):
        assert not bench.ledger.unsettled()
        assert not bench.ledger.unvaulted()
    assert not [said for said in lab.lab_status().problems if "does not point" in said]


@pytest.mark.parametrize(("knob", "decision"), [(2.0, "kept"), (9.0, "reverted")])
@pytest.mark.parametrize("since", ["nothing", "a commit of the user's", "the branch deleted", "two lives"])
def test_an_attempt_that_a_restored_ledger_forgot_to_have_decided_is_decided_again(
    tmp_path: Path, played: Played, knob: float, decision: str, since: str
) -> None:
    lab = small_lab(tmp_path / "lab")
    tree = lab.paths.tree
    edit(lab, KNOB=knob)
    lab.run_experiment("decided in every life")
    backup(lab, tmp_path / "undecided.db")
    if since == "a commit of the user's":  # the keep goes on top of it, so its tree is not the snapshot's
        (tree / "note.txt").write_text("mine")
        git(tree, "add", "note.txt")
        git(tree, "commit", "-qm", "a note")
    earlier = []
    for life in range(1, 3 if since == "two lives" else 2):
        assert lab.commit_or_revert(2).decision == decision
        earlier.append(refs(tree)["refs/autoresearch/first/2"])
        restore(lab, tmp_path / "undecided.db").close()
        lab = Lab(tree, now=lambda later=timedelta(minutes=life): datetime.now(UTC) + later)
    if since == "the branch deleted":
        git(tree, "checkout", "-q", "--detach")
        git(tree, "branch", "-qD", "autoresearch/first")
    answered = lab.commit_or_revert(2)
    assert answered.decision == ("overtaken" if since == "the branch deleted" and decision == "kept" else decision)
    settled(lab)
    now = refs(tree)["refs/autoresearch/first/2"]
    assert now not in earlier
    assert not refs(tree, "refs/autoresearch-aside/")
    prune(lab)
    for commit in (*earlier, now):  # what another life made of it is still there
        assert f"KNOB = {knob}" in git(tree, "show", f"{commit}:train.py")
    git(tree, "fsck", "--strict", "--no-dangling")


def test_a_ledger_restored_from_before_the_vault_had_the_attempt_goes_on(tmp_path: Path, played: Played) -> None:
    lab = small_lab(tmp_path / "lab")
    tried(lab, KNOB=9.0)
    lab.close()
    with closing(sqlite3.connect(lab.paths.ledger)) as db:  # as a copy made between the record and the ref has it
        db.execute(
            "UPDATE experiments SET vaulted = 0, settled = 0, decision = NULL, decided_at = NULL WHERE number = 2"
        )
        db.commit()
    lab = Lab(lab.paths.tree)
    assert not lab.lab_status().problems
    assert lab.commit_or_revert(2).decision == "reverted"
    settled(lab)


@pytest.mark.parametrize("what", ["another attempt", "the same title over other files", "the same files", "a blob"])
def test_what_is_not_this_attempts_own_is_never_taken_for_it(tmp_path: Path, played: Played, what: str) -> None:
    lab = small_lab(tmp_path / "lab")
    tree = lab.paths.tree
    edit(lab, KNOB=2.0)
    lab.run_experiment("nearer")
    title = git(tree, "log", "-1", "--format=%s", "refs/autoresearch/first/2").strip()
    if what == "another attempt":
        other = git(tree, "rev-parse", "refs/autoresearch/first/1").strip()
    elif what == "a blob":
        other = git(tree, "hash-object", "-w", "train.py").strip()
    else:
        whose, words = (
            ("main", title) if what == "the same title over other files" else ("refs/autoresearch/first/2", "x")
        )
        other = git(tree, "commit-tree", f"{whose}^{{tree}}", "-p", "main", "-m", words).strip()
    git(tree, "update-ref", "refs/autoresearch/first/2", other)
    with pytest.raises(AutoresearchError, match="does not point where the ledger says") as refused:
        lab.commit_or_revert(2)
    assert refs(tree)["refs/autoresearch/first/2"] == other
    obey(str(refused.value), tree)
    assert lab.commit_or_revert(2).decision == "kept"
    assert other in refs(tree, "refs/autoresearch-aside/").values()
