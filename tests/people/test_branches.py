"""Agents and people move the branch, and work from files that are behind.

The reference's agents commit train.py themselves before each run, and `git reset --hard HEAD~1` after a bad one. People
stand on `main` the next morning, stash, rebase, amend, delete the branch, or open another work tree.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from mcp_server.edits.takeback import Agreement, agreement, behind
from mcp_server.lab import Lab
from mcp_server.nouns.errors import NotNow
from tests.labs import edit, git
from tests.people.played import Played, knob_in, named_commands, obey, small_lab, tried


def tip(lab: Lab) -> str:
    return git(lab.paths.tree, "rev-parse", "autoresearch/first").strip()


def kept_on_branch(lab: Lab) -> list[int]:
    trailer = "--format=%(trailers:key=Experiment,valueonly,separator=%x20)"
    found = git(lab.paths.tree, "log", "--reverse", trailer, "main..autoresearch/first").split()
    return [int(number) for number in found]


# --- the agent commits ------------------------------------------------------------------------------------------------


def test_an_agent_that_commits_before_each_run_gets_its_keeps_all_night(tmp_path: Path, played: Played) -> None:
    lab = small_lab(tmp_path / "lab")
    for knob, decision in ((2.0, "kept"), (9.0, "reverted"), (2.5, "kept"), (-9.0, "reverted"), (2.75, "kept")):
        edit(lab, KNOB=knob)
        git(lab.paths.tree, "commit", "-qam", f"to {knob}")
        number = lab.run_experiment(f"to {knob}").experiment
        reply = lab.commit_or_revert(number)
        assert (reply.decision, lab.lab_status().problems) == (decision, [])
        if decision == "reverted" and knob == 9.0:
            git(lab.paths.tree, "reset", "-q", "--hard", "HEAD~1")  # as the reference's program.md says
    assert kept_on_branch(lab) == [1, 2, 4, 6]
    assert knob_in(lab.paths.tree) == 2.75
    assert git(lab.paths.tree, "status", "--porcelain") == ""


def test_an_agent_that_commits_after_the_run_has_begun_gets_its_keep(tmp_path: Path, played: Played) -> None:
    lab = small_lab(tmp_path / "lab")
    edit(lab, KNOB=2.0)
    lab.run_experiment("nearer")
    git(lab.paths.tree, "commit", "-qam", "mine")
    assert lab.commit_or_revert(2).decision == "kept"
    assert git(lab.paths.tree, "log", "-1", "--format=%s").startswith("Experiment 2")


def test_a_keep_goes_on_top_of_a_discarded_attempt_that_was_committed(tmp_path: Path, played: Played) -> None:
    lab = small_lab(tmp_path / "lab")
    edit(lab, KNOB=9.0)
    git(lab.paths.tree, "commit", "-qam", "bad idea")
    lab.run_experiment("bad idea")
    lab.commit_or_revert(2)
    edit(lab, KNOB=2.0)
    assert lab.run_experiment("nearer, not committed").warnings == []
    assert lab.commit_or_revert(3).decision == "kept"
    assert "KNOB = 2.0" in git(lab.paths.tree, "show", "autoresearch/first:train.py")


# --- the branch is not where a keep could follow ----------------------------------------------------------------------


def unmeasured(lab: Lab) -> None:
    """A commit of somebody's own, with files that nobody measured, and another edit on disk."""
    edit(lab, KNOB=7.0)
    git(lab.paths.tree, "commit", "-qam", "an idea of mine")


def delete(lab: Lab) -> None:
    git(lab.paths.tree, "checkout", "-q", "--detach")
    git(lab.paths.tree, "branch", "-qD", "autoresearch/first")


def delete_while_on_it(lab: Lab) -> None:
    git(lab.paths.tree, "update-ref", "-d", "refs/heads/autoresearch/first")


def amend(lab: Lab) -> None:
    edit(lab, KNOB=7.0)
    git(lab.paths.tree, "commit", "-qa", "--amend", "-m", "amended")


def elsewhere(lab: Lab) -> None:
    git(lab.paths.tree, "checkout", "-q", "--detach")
    git(lab.paths.tree, "worktree", "add", "-q", str(lab.paths.tree.parent / "second"), "autoresearch/first")
    unmeasured(Lab(lab.paths.tree.parent / "second"))


def nowhere(lab: Lab) -> None:
    unmeasured(lab)
    git(lab.paths.tree, "checkout", "-q", "--detach", "HEAD~1")


@pytest.mark.parametrize("move", [unmeasured, delete, delete_while_on_it, amend, elsewhere, nowhere])
def test_a_branch_that_no_keep_could_follow_is_said_before_anything_runs_and_the_command_mends_it(
    tmp_path: Path, played: Played, move
) -> None:
    lab = small_lab(tmp_path / "lab")
    tried(lab, KNOB=2.0)
    incumbent = tip(lab)
    move(lab)
    lab = Lab(lab.paths.tree)
    moved = git(lab.paths.tree, "for-each-ref", "--format=%(objectname)", "refs/heads/autoresearch/first").strip()
    edit(lab, KNOB=2.5)
    assert named_commands(" ".join(lab.lab_status().problems))
    launched = len(played.launched)
    with pytest.raises(NotNow, match="Nothing was run") as refused:
        lab.run_experiment("nearer")
    assert len(played.launched) == launched
    obey(str(refused.value), lab.paths.tree)
    assert tip(lab) == incumbent
    assert knob_in(lab.paths.tree) == 2.5  # the command touched no file
    if moved:
        assert git(lab.paths.tree, "branch", "--contains", moved).strip()  # and left their commit reachable
    assert lab.lab_status().problems == []
    lab.run_experiment("nearer")
    assert lab.commit_or_revert(3).decision == "kept"


@pytest.mark.parametrize("clean", [True, False])
def test_after_a_reset_hard_the_status_names_the_way_forward(tmp_path: Path, played: Played, clean: bool) -> None:
    lab = small_lab(tmp_path / "lab")
    tried(lab, KNOB=2.0)
    incumbent = tip(lab)
    git(lab.paths.tree, "reset", "-q", "--hard", "HEAD~1")
    if not clean:
        edit(lab, KNOB=2.5)
    said = " ".join(lab.lab_status().problems)
    assert "behind the incumbent" in said
    obey(said, lab.paths.tree)
    assert tip(lab) == incumbent
    assert knob_in(lab.paths.tree) == (2.0 if clean else 2.5)
    assert lab.lab_status().problems == []


def test_after_a_rebase_a_keep_follows(tmp_path: Path, played: Played) -> None:
    lab = small_lab(tmp_path / "lab")
    tried(lab, KNOB=2.0)
    git(lab.paths.tree, "checkout", "-q", "main")
    (lab.paths.tree / "notes.txt").write_text("more\n")
    git(lab.paths.tree, "commit", "-qam", "meanwhile on main")
    git(lab.paths.tree, "rebase", "-q", "main", "autoresearch/first")
    assert lab.lab_status().problems == []
    assert tried(lab, KNOB=2.5).decision == "kept"


@pytest.mark.parametrize("move", [unmeasured, delete])
def test_an_overtaken_keep_says_what_is_true_and_a_way_that_works(tmp_path: Path, played: Played, move) -> None:
    lab = small_lab(tmp_path / "lab")
    edit(lab, KNOB=2.5)
    lab.run_experiment("nearer")
    git(lab.paths.tree, "restore", "train.py")
    move(lab)
    reply = lab.commit_or_revert(2)
    assert reply.decision == "overtaken"
    assert ("is gone" in reply.reason) == (move is delete)
    assert ("no experiment measured" in reply.reason) == (move is unmeasured)
    commands = named_commands(reply.next)
    assert len(commands) == 2
    for command in commands:
        obey(f"`{command}`", lab.paths.tree)
    number = lab.run_experiment("nearer, again").experiment
    assert lab.commit_or_revert(number).decision == "kept"


# --- files that are behind --------------------------------------------------------------------------------------------


def next_morning(lab: Lab) -> Lab:
    git(lab.paths.tree, "checkout", "-q", "main")
    return lab


def other_tree(lab: Lab) -> Lab:
    git(lab.paths.tree, "worktree", "add", "-q", "--detach", str(lab.paths.tree.parent / "second"), "main")
    other = Lab(lab.paths.tree.parent / "second")
    other.start_campaign("first")
    return other


def stashed(lab: Lab) -> Lab:
    """An edit that was begun before the keep, stashed meanwhile, and taken out again as it was."""
    text = git(lab.paths.tree, "show", "main:train.py")
    (lab.paths.tree / "train.py").write_text(text)
    git(lab.paths.tree, "stash", "push", "-q")
    git(lab.paths.tree, "stash", "pop", "-q")
    return lab


@pytest.mark.parametrize("way", [next_morning, other_tree, stashed])
def test_a_candidate_made_from_files_that_are_behind_is_refused_and_the_command_mends_it(
    tmp_path: Path, played: Played, way
) -> None:
    lab = small_lab(tmp_path / "lab")
    tried(lab, KNOB=2.0)
    here = way(lab)
    assert "take back what was kept" in " ".join(here.lab_status().problems)
    edit(here, SPREAD=0.5)
    with pytest.raises(NotNow, match=r"take back what was kept since: KNOB 2\.0 -> 1\.0") as refused:
        here.run_experiment("another constant")
    assert "restore" in obey(str(refused.value), here.paths.tree)
    assert knob_in(here.paths.tree) == 2.0
    assert "SPREAD = 0.5" in (here.paths.tree / "train.py.mine").read_text()
    edit(here, SPREAD=0.5)
    assert here.run_experiment("another constant").experiment == 3


def test_whoever_insists_may_take_back_what_was_kept(tmp_path: Path, played: Played) -> None:
    lab = small_lab(tmp_path / "lab")
    tried(lab, KNOB=2.0)
    edit(lab, KNOB=1.0, SPREAD=0.5)
    with pytest.raises(NotNow, match="--anyway"):
        lab.run_experiment("on purpose")
    assert lab.run_experiment("on purpose", insist=True).experiment == 3


def files(**constants: object) -> dict[str, bytes]:
    lines = [f"{name} = {value}" for name, value in constants.items()]
    return {"train.py": ("\n".join([*lines, "def f(x):", "    return x"]) + "\n").encode()}


def test_whether_a_candidate_was_made_from_older_files_is_told_from_its_edit() -> None:
    first, second, third = files(A=1, B=1, C=1), files(A=2, B=1, C=1), files(A=2, B=3, C=1)
    kept = [(1, first), (2, second), (4, third)]
    assert agreement(first, third, files(A=1, B=1, C=9)) == Agreement(2, 0)
    assert behind(kept, files(A=1, B=1, C=9)) == 1
    assert behind(kept, files(A=2, B=1, C=9)) == 2
    assert behind(kept, files(A=5, B=1, C=9)) == 2  # its own value for A; B was taken back
    assert behind(kept, files(A=2, B=3, C=9)) is None
    assert behind(kept, files(A=1, B=3, C=9)) is None  # an earlier keep taken back on purpose, on top of the last
    assert behind(kept, files(A=7, B=8, C=9)) is None


def test_lines_that_were_added_or_taken_away_count_as_well_and_layout_does_not() -> None:
    plain = {"train.py": b"a = 1\nfor i in range(3):\n    step(i)\n"}
    warm = {"train.py": b"a = 1\nwarm_up()\nfor i in range(3):\n    step(i)\n"}
    kept = [(1, plain), (2, warm)]
    assert behind(kept, {"train.py": b"a = 2  # mine\n\nfor i in range(3):\n    step(i)\n"}) == 1
    assert behind(kept, {"train.py": b"a = 2\nwarm_up()\nfor i in range(3):\n        step(i)\n"}) is None
    dropped = [(1, warm), (2, plain)]
    assert behind(dropped, {"train.py": b"a = 2\nwarm_up()\nfor i in range(3):\n    step(i)\n"}) == 1
    assert behind(dropped, {"train.py": b"a = 2\nfor i in range(3):\n    step(i)\n"}) is None
