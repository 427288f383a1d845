"""Where one verb meets another: rules amended between two keeps, work trees of others, folders that are gone."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from mcp_server.campaign.exam import is_due
from mcp_server.campaign.reins.hands import Reins
from mcp_server.lab import Lab
from mcp_server.ledger import Ledger
from mcp_server.nouns.errors import NotNow
from mcp_server.nouns.rows import Exam
from tests.labs import edit, git, make_lab
from tests.people.played import Played, knob_in, small_lab, tried


def editing(folder: Path, editable: str) -> Lab:
    """A lab with a kept and repeated baseline whose rules name these files as editable."""
    lab = make_lab(folder)
    program = lab.paths.program
    program.write_text(program.read_text().replace("editable: [train.py]", f"editable: {editable}"))
    (folder / "notes.txt").write_text("the user's own words\n" * 20)
    git(folder, "commit", "-q", "-a", "-m", "what is editable")
    lab.start_campaign("first", calibrate=2)
    for _ in range(3):
        lab.lab_status()
    return lab


def rename_editable(lab: Lab, before: str, after: str) -> None:
    program = lab.paths.program
    assert before in program.read_text()
    program.write_text(program.read_text().replace(before, after))


def second_tree(lab: Lab, ref: str = "autoresearch/first") -> Lab:
    folder = lab.paths.tree.parent / "second"
    git(lab.paths.tree, "worktree", "add", "-q", "--detach", str(folder), ref)
    return Lab(folder)


# --- other files are editable than when the incumbent was measured ----------------------------------------------------


def test_after_more_files_became_editable_a_commit_of_the_rules_is_no_obstacle(tmp_path: Path, played: Played) -> None:
    lab = editing(tmp_path / "lab", "[train.py]")
    tried(lab, KNOB=2.0)
    rename_editable(lab, "[train.py]", "[train.py, notes.txt]")
    lab.amend(lab.amend().after)
    git(lab.paths.tree, "commit", "-q", "-m", "the rules", "--", "program.md")
    assert lab.lab_status().problems == []
    assert tried(lab, KNOB=2.5).decision == "kept"


def test_after_more_files_became_editable_the_incumbents_code_is_not_run_again(tmp_path: Path, played: Played) -> None:
    lab = editing(tmp_path / "lab", "[train.py]")
    rename_editable(lab, "[train.py]", "[train.py, notes.txt]")
    lab.amend(lab.amend().after)
    with pytest.raises(NotNow, match="Nothing changed"):
        lab.run_experiment("nothing at all")


def test_whoever_takes_a_file_out_of_the_editable_ones_has_saved_no_code(tmp_path: Path, played: Played) -> None:
    lab = editing(tmp_path / "lab", "[train.py, notes.txt]")
    rename_editable(lab, "[train.py, notes.txt]", "[train.py]")
    train = lab.paths.tree / "train.py"
    train.write_text(train.read_text() + "UNUSED = 1\n")
    lab.run_experiment("no gain, and more code")
    assert lab.commit_or_revert(2).decision == "reverted"


# --- rules that changed between a run and its verdict -------------------------------------------------------------


@pytest.mark.parametrize("bound_first", [True, False])
def test_an_attempt_is_judged_by_the_rules_it_was_made_under(tmp_path: Path, played: Played, bound_first: bool) -> None:
    """No played run measures `knob`, so that whatever has a bound on it is not kept."""
    bound = "secondary: {knob: {max: 9}}\n"
    lab = make_lab(tmp_path / "lab", more="keep: {confirm: never}\n" + (bound if bound_first else ""))
    lab.start_campaign("first", calibrate=0)
    lab.lab_status()
    edit(lab, KNOB=2.0)
    lab.run_experiment("before")
    program = lab.paths.program
    rules = (
        program.read_text().replace(bound, "") if bound_first else program.read_text().replace("keep:", bound + "keep:")
    )
    program.write_text(rules)
    if bound_first:
        assert "In force from experiment 3 on" in lab.amend(lab.amend().after).next
    assert lab.read_score(2).verdict.decision == ("discard" if bound_first else "keep")  # type: ignore[union-attr]
    assert lab.commit_or_revert(2).decision == ("reverted" if bound_first else "kept")
    assert tried(lab, KNOB=2.5).decision == ("kept" if bound_first else "reverted")


# --- the work tree of the verb is not the one that it is about --------------------------------------------------------


def test_a_beginning_that_was_cut_short_moves_no_other_work_tree(
    tmp_path: Path, played: Played, monkeypatch: pytest.MonkeyPatch
) -> None:
    lab = small_lab(tmp_path / "lab")
    tried(lab, KNOB=2.0)
    second = second_tree(lab)
    second.start_campaign("first")

    def killed(ledger: Ledger, tag: str) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Ledger, "campaign_ready", killed)
    with pytest.raises(KeyboardInterrupt):
        lab.start_campaign("next", from_ref="main", calibrate=0)
    monkeypatch.undo()
    stands = git(second.paths.tree, "rev-parse", "HEAD")
    assert second.lab_status().campaign == "first"
    assert git(second.paths.tree, "rev-parse", "HEAD") == stands
    assert git(second.paths.tree, "branch", "--show-current") == ""
    assert knob_in(second.paths.tree) == 2.0
    assert (lab.lab_status().campaign, lab.lab_status().problems) == ("next", [])
    assert tried(lab, KNOB=2.5).decision == "kept"


def test_a_note_for_a_campaign_makes_no_call_fail_in_a_work_tree_that_is_on_none(
    tmp_path: Path, played: Played
) -> None:
    lab = small_lab(tmp_path / "lab")
    Reins(lab).note("Leave the tokenizer alone.")
    second = second_tree(lab)
    assert "on no campaign" in second.lab_status().next
    assert second.notes("a client") == []
    assert lab.notes("a client") == ["Leave the tokenizer alone."]


def test_a_revert_puts_the_files_back_where_the_lab_was_moved_meanwhile(tmp_path: Path, played: Played) -> None:
    lab = small_lab(tmp_path / "lab")
    lab.append_learnings("Halving <b> of a & b [see](x) costs 0.2; the rest -- `knob` -- is noise.")
    edit(lab, KNOB=-5.0)
    lab.run_experiment("farther")
    lab.close()
    os.rename(tmp_path / "lab", tmp_path / "moved")
    moved = Lab(tmp_path / "moved")
    moved.start_campaign("first")
    assert moved.commit_or_revert(2).restored == ["train.py"]
    assert knob_in(moved.paths.tree) == 1.0
    with moved.reading() as (bench, _, _):
        assert len(bench.ledger.learnings()) == 1  # our own page is no person's word
    assert not list(moved.paths.tree.glob("*.before-*"))


def test_a_work_tree_that_is_gone_has_nobody_elses_files_put_back(tmp_path: Path, played: Played) -> None:
    lab = small_lab(tmp_path / "lab")
    second = second_tree(lab)
    second.start_campaign("first")
    edit(second, KNOB=-5.0)
    second.run_experiment("farther")
    edit(lab, KNOB=2.0)
    shutil.rmtree(second.paths.tree)
    assert lab.commit_or_revert(2).restored == []
    assert knob_in(lab.paths.tree) == 2.0


def test_to_revert_again_looks_at_the_files_as_they_are_now(tmp_path: Path, played: Played) -> None:
    lab = small_lab(tmp_path / "lab")
    edit(lab, KNOB=-5.0)
    lab.run_experiment("farther")
    assert lab.commit_or_revert(2).restored == ["train.py"]
    edit(lab, KNOB=-5.0)
    assert lab.commit_or_revert(2).restored == []  # what was decided is told, and nothing is touched
    assert knob_in(lab.paths.tree) == -5.0
    assert lab.commit_or_revert(2, "revert").restored == ["train.py"]
    edit(lab, KNOB=2.0)
    assert lab.commit_or_revert(2, "revert").left == ["train.py"]
    assert knob_in(lab.paths.tree) == 2.0
    edit(lab, KNOB=-5.0)
    second = second_tree(lab)
    second.start_campaign("first")
    assert second.commit_or_revert(2, "revert").restored == []
    assert knob_in(lab.paths.tree) == -5.0


# --- the end of a campaign, with something still open -------------------------------------------------------------


def test_at_the_end_what_is_still_open_is_named_before_anybody_stops(tmp_path: Path, played: Played) -> None:
    lab = make_lab(tmp_path / "lab", more="keep: {confirm: never}\nstop: {experiments: 3}\n")
    lab.start_campaign("first", calibrate=0)
    lab.lab_status()
    played.hold = True
    for knob in (2.0, 2.5):
        edit(lab, KNOB=knob)
        lab.run_experiment(f"to {knob}")
    assert "read_score(2)" in lab.lab_status().next
    played.end()
    decided = lab.commit_or_revert(3, learned="Nearer is better.").next
    assert "Open is still 2" in decided
    assert "commit_or_revert(2)" in lab.lab_status().next
    for _ in range(3):  # its change may go on as another
        open_ones = lab.lab_status().waiting_for_decision
        ended = lab.commit_or_revert(open_ones[0]).next if open_ones else lab.lab_status().next
    assert ended.endswith("Stop.")
    assert lab.lab_status().experiments["all"] == 3


# --- a change that goes on, and a machine that goes down ----------------------------------------------------------


def test_a_lost_run_of_a_change_that_goes_on_is_made_again_by_itself(tmp_path: Path, played: Played) -> None:
    lab = small_lab(tmp_path / "lab")
    second = second_tree(lab)
    second.start_campaign("first")
    edit(second, KNOB=2.5)
    second.run_experiment("nearer")
    assert tried(lab, KNOB=2.0, SECONDS=0.5).decision == "kept"
    played.hold = True
    carried = second.commit_or_revert(2).carried_on
    assert carried is not None
    for _ in range(2):
        played.end(lost=True)
        assert second.read_score(carried).open
    played.end(lost=True)
    assert second.read_score(carried).status == "lost"  # three times is no accident
    assert [run.state for run in second.read_score(carried).runs] == ["lost"] * 3


# --- folders, seals and clocks ----------------------------------------------------------------------------------------


def test_a_seal_that_cannot_be_read_costs_its_own_run_alone(tmp_path: Path, played: Played) -> None:
    lab = small_lab(tmp_path / "lab")
    edit(lab, KNOB=2.0)
    played.hold = True
    lab.run_experiment("nearer")
    folder = lab.paths.run("first", 2, 1)
    folder.sealed.write_text("{")
    played.end(lost=True)
    assert lab.read_score(2).status == "lost"
    assert "sealed" in lab.read_score(2).detail


def test_a_keep_that_the_branch_could_not_take_leaves_no_weights(tmp_path: Path, played: Played) -> None:
    lab = small_lab(tmp_path / "lab")
    edit(lab, KNOB=2.0)
    lab.run_experiment("nearer")
    weights = lab.paths.run("first", 2, 1).artifact
    assert lab.read_score(2).status == "scored"
    weights.mkdir()
    git(lab.paths.tree, "checkout", "-q", "--detach")
    git(lab.paths.tree, "branch", "-q", "-D", "autoresearch/first")
    assert lab.commit_or_revert(2).decision == "overtaken"
    assert not weights.exists()


def test_folders_that_a_person_moved_away_make_room(tmp_path: Path, played: Played) -> None:
    lab = make_lab(tmp_path / "lab", more="keep: {confirm: never}\n")
    program = lab.paths.program
    program.write_text(program.read_text().replace("grace_seconds: 1", "grace_seconds: 1, disk_gb: 0.0015"))
    git(lab.paths.tree, "commit", "-q", "-a", "-m", "a bound")
    lab.start_campaign("first", calibrate=0)
    lab.lab_status()
    tried(lab, KNOB=2.0)
    folder = lab.paths.run("first", 1, 1).folder
    (folder / "log.txt").write_bytes(bytes(range(256)) * 8000)
    with lab.reading() as (bench, _, _):
        bench.ledger.note_folder(bench.ledger.runs("first", 1)[0], 2_000_000)
    with pytest.raises(NotNow, match="moves old campaigns' folders away"):
        lab.run_without(2)
    assert knob_in(lab.paths.tree) == 2.0  # refused, and so nothing was changed
    edit(lab, KNOB=2.5)
    with pytest.raises(NotNow, match="moves old campaigns' folders away"):
        lab.run_experiment("nearer")
    shutil.move(folder, tmp_path / "elsewhere")
    number = lab.run_experiment("nearer").experiment
    assert lab.commit_or_revert(number).decision == "kept"


@pytest.mark.quick
@pytest.mark.parametrize(
    ("result", "incumbent", "again", "due"),
    [
        (None, 2, True, False),
        (None, 3, True, False),
        ('{"gain": 0.1}', 2, True, False),
        ('{"gain": 0.1}', 3, False, True),
        ('{"gain": null}', 2, False, False),
        ('{"gain": null}', 2, True, True),
    ],
)
def test_an_exam_is_made_again_for_another_incumbent_or_where_it_came_to_nothing(
    result: str | None, incumbent: int, again: bool, due: bool
) -> None:
    assert is_due(Exam(1, "first", 1, 2, (7, 8), "2026-01-01T00:00:00+00:00", result), incumbent, again) is due


def test_an_exam_that_was_cancelled_can_be_made_again(tmp_path: Path, played: Played) -> None:
    lab = small_lab(tmp_path / "lab")
    tried(lab, KNOB=2.0)
    played.hold = True
    assert lab.exam(seeds=2).status == "running"
    with lab.reading() as (bench, _, _):
        examined = {run.experiment for run in bench.ledger.open_runs()}
    for number in examined:
        lab.cancel_experiment(number)
    played.end(lost=True)
    played.hold = False
    assert lab.exam(seeds=2).status == "failed"
    assert "--again" in lab.exam(seeds=2).next
    lab.exam(seeds=2, again=True)
    assert any(lab.exam(seeds=2).status == "done" for _ in range(3))
