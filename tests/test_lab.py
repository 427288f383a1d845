"""The verbs on a real repository with real runs: what each promises, and what it refuses without changing anything."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from mcp_server.lab import Lab
from mcp_server.nouns.errors import ArenaError, AutoresearchError, NotNow, UnknownExperiment, WorkspaceError
from tests.labs import SEQUENTIAL, attempt, begin, begun, decide, edit, finish, git, make_lab, until
from tests.played import Played


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    return make_lab(tmp_path / "lab")


def begin_played(lab: Lab, engine: Played) -> None:
    lab.start_campaign("first", calibrate=0)
    engine.end("scored", 4.0)
    lab.lab_status()


def played(lab: Lab, engine: Played, score: float, **constants: float) -> None:
    """One whole iteration whose run is not what the test is about."""
    edit(lab, **constants)
    number = lab.run_experiment(f"to {constants}").experiment
    engine.end("scored", score)
    lab.commit_or_revert(number)


def tree_state(lab: Lab) -> tuple[str, str, str, bool]:
    """All that a refused verb must leave alone."""
    tree = lab.paths.tree
    return (
        git(tree, "for-each-ref"),
        git(tree, "status", "--porcelain"),
        (tree / "train.py").read_text(),
        lab.paths.state.exists(),
    )


# --- a campaign -----------------------------------------------------------------------------------------------------


def test_the_baseline_becomes_the_first_commit_of_the_branch(lab: Lab) -> None:
    reply = begin(lab)
    assert (reply.status, reply.score) == ("kept", 4.0)
    log = git(lab.paths.tree, "log", "--format=%s", "autoresearch/first", "^main")
    assert log.splitlines() == ["Experiment 1: baseline: unchanged code"]


def test_starting_a_campaign_again_joins_it(lab: Lab) -> None:
    begun(lab)
    before = git(lab.paths.tree, "for-each-ref")
    assert lab.start_campaign("first").next.startswith("Joined")
    assert git(lab.paths.tree, "for-each-ref") == before


def test_calibration_repeats_the_baseline_on_its_seed_and_on_a_new_one(tmp_path: Path, engine: Played) -> None:
    lab = make_lab(tmp_path / "other", more=SEQUENTIAL)
    lab.start_campaign("first", calibrate=2)
    while engine.alive:
        engine.end("scored", 4.0)
        reply = lab.read_score(1)
    assert [run.purpose for run in reply.runs] == ["first", "repeat", "seed"]
    assert reply.runs[0].seed == reply.runs[1].seed != reply.runs[2].seed


@pytest.mark.parametrize("tag", ["../x", "--output=x", "A", "a b", "a\n", "x.lock", "", "a" * 49])
def test_a_tag_that_is_no_name_is_refused_and_nothing_changes(lab: Lab, tag: str) -> None:
    before = tree_state(lab)
    with pytest.raises(AutoresearchError):
        lab.start_campaign(tag)
    assert tree_state(lab)[:3] == before[:3]


def test_a_folder_without_a_repository_is_refused(tmp_path: Path) -> None:
    with pytest.raises(WorkspaceError, match="git init"):
        Lab(tmp_path)


def test_a_repository_without_a_program_is_refused_and_stays_as_it_was(lab: Lab) -> None:
    (lab.paths.tree / "program.md").unlink()
    with pytest.raises(ArenaError, match="autoresearch new"):
        lab.start_campaign("first")
    assert not lab.paths.state.exists()


def test_a_frozen_file_that_is_not_committed_is_named(lab: Lab) -> None:
    program = lab.paths.program
    program.write_text(program.read_text().replace("frozen: [score.py]", "frozen: [other.py]"))
    with pytest.raises(WorkspaceError, match=r"other\.py is not in commit"):
        lab.start_campaign("first")


def test_a_language_model_lab_without_a_corpus_says_how_to_make_one(lab: Lab) -> None:
    program = lab.paths.program
    program.write_text(program.read_text().replace("python score.py", "python -m mcp_server.scoring.lm"))
    with pytest.raises(AutoresearchError, match="autoresearch prepare"):
        lab.start_campaign("first")
    assert "autoresearch/first" not in git(lab.paths.tree, "branch", "--list")


# --- an experiment --------------------------------------------------------------------------------------------------


def test_an_improvement_is_kept_as_a_commit_with_its_evidence(lab: Lab) -> None:
    begun(lab, scored=2.5)
    reply = decide(lab, 2)
    assert (reply.decision, reply.score, reply.change) == ("kept", 0.25, 3.75)
    body = git(lab.paths.tree, "log", "-1", "--format=%(trailers)", "autoresearch/first")
    assert "State: kept" in body
    assert "Score: 0.250000 squares (loss)" in body
    assert "Gain: +3.750000" in body


def test_a_worse_candidate_is_reverted_and_stays_in_the_vault(lab: Lab) -> None:
    begun(lab)
    before = (lab.paths.tree / "train.py").read_bytes()
    reply = attempt(lab, "farther", KNOB=-5.0)
    assert (reply.decision, reply.restored) == ("reverted", ["train.py"])
    assert (lab.paths.tree / "train.py").read_bytes() == before
    vaulted = git(lab.paths.tree, "show", "refs/autoresearch/first/2:train.py")
    assert "KNOB = -5.0" in vaulted
    assert "State: discarded" in git(lab.paths.tree, "log", "-1", "--format=%b", "refs/autoresearch/first/2")


def test_the_branch_holds_the_kept_ones_and_the_vault_all(lab: Lab) -> None:
    begun(lab)
    for knob in (2.0, -1.0, 2.5):
        attempt(lab, f"to {knob}", KNOB=knob)
    titles = git(lab.paths.tree, "log", "--format=%s", "autoresearch/first", "^main").splitlines()
    assert [title.partition(":")[0] for title in titles] == ["Experiment 4", "Experiment 2", "Experiment 1"]
    refs = git(lab.paths.tree, "for-each-ref", "--format=%(refname)", "refs/autoresearch").split()
    assert refs == [f"refs/autoresearch/first/{n}" for n in (1, 2, 3, 4)]
    assert git(lab.paths.tree, "status", "--porcelain") == ""


def test_unchanged_code_is_not_run(lab: Lab) -> None:
    begun(lab)
    train = lab.paths.tree / "train.py"
    train.write_text("# another comment\n" + train.read_text())
    with pytest.raises(NotNow, match="Nothing changed"):
        lab.run_experiment("a comment")


def test_code_that_was_scored_is_answered_with_the_earlier_result(lab: Lab) -> None:
    begun(lab, scored=-5.0)
    decide(lab, 2)
    edit(lab, KNOB="-(5.0)  # said otherwise")
    reply = lab.run_experiment("again")
    assert (reply.experiment, reply.score) == (2, 64.0)
    assert "not run again" in reply.warnings[0]
    assert lab.lab_status().experiments["all"] == 2


def test_the_same_change_on_another_base_is_a_retest(lab: Lab, engine: Played) -> None:
    begin_played(lab, engine)
    played(lab, engine, 4.0, SECONDS=0.01)
    played(lab, engine, 0.25, KNOB=2.5)
    edit(lab, SECONDS=0.01)
    reply = lab.run_experiment("slow again")
    assert any("retest" in warning for warning in reply.warnings)


def test_python_that_does_not_parse_costs_no_run(lab: Lab) -> None:
    begun(lab)
    (lab.paths.tree / "train.py").write_text("def broken(:\n")
    with pytest.raises(NotNow, match=r"train\.py, line 1 is not valid Python"):
        lab.run_experiment("broken")
    assert lab.lab_status().experiments["all"] == 1


@pytest.mark.parametrize("spoil", ["missing", "symlink", "binary", "huge"])
def test_an_editable_file_that_cannot_be_read_is_refused(lab: Lab, spoil: str) -> None:
    begun(lab)
    train = lab.paths.tree / "train.py"
    if spoil == "missing":
        train.unlink()
    elif spoil == "symlink":
        train.unlink()
        train.symlink_to("/etc/passwd")
    else:
        train.write_bytes(b"a\0b" if spoil == "binary" else b"#" * 5_000_000)
    with pytest.raises(WorkspaceError, match=r"train\.py"):
        lab.run_experiment("spoiled")
    assert lab.lab_status().experiments["all"] == 1


def test_a_changed_frozen_file_is_named_with_its_diff(lab: Lab) -> None:
    begun(lab)
    edit(lab, KNOB=2.0)
    (lab.paths.tree / "score.py").write_text("print('{\"score\": 0}')\n")
    with pytest.raises(WorkspaceError, match=r"score\.py") as caught:
        lab.run_experiment("cheat")
    assert "+print('{\"score\": 0}')" in str(caught.value)


def test_a_crash_has_no_score_and_names_its_frames(lab: Lab) -> None:
    begun(lab)
    train = lab.paths.tree / "train.py"
    train.write_text(train.read_text() + "\ndef helper():\n    raise RuntimeError('shapes differ')\nhelper()\n")
    number = lab.run_experiment("crash").experiment
    reply = finish(lab, number)
    assert (reply.status, reply.score) == ("crashed", None)
    assert reply.crash is not None
    assert (reply.crash.kind, reply.crash.message) == ("RuntimeError", "shapes differ")
    assert any("helper" in frame for frame in reply.crash.frames)
    decided = lab.commit_or_revert(number)
    assert (decided.decision, decided.restored) == ("reverted", ["train.py"])


def test_files_edited_since_the_snapshot_are_left_alone_and_named(lab: Lab) -> None:
    begun(lab)
    edit(lab, KNOB=-5.0)
    number = lab.run_experiment("farther").experiment
    finish(lab, number)
    edit(lab, KNOB=-6.0)
    reply = decide(lab, number)
    assert (reply.decision, reply.left) == ("reverted", ["train.py"])
    assert "KNOB = -6.0" in (lab.paths.tree / "train.py").read_text()


def test_deciding_twice_is_deciding_once(lab: Lab) -> None:
    begun(lab, scored=2.5)
    first = decide(lab, 2)
    refs = git(lab.paths.tree, "for-each-ref")
    again = lab.commit_or_revert(first.experiment)
    assert (again.decision, again.commit, again.score) == (first.decision, first.commit, first.score)
    assert git(lab.paths.tree, "for-each-ref") == refs


def test_keep_cannot_overrule_the_referee(lab: Lab) -> None:
    begun(lab, scored=-5.0)
    with pytest.raises(NotNow, match="cannot overrule"):
        lab.commit_or_revert(2, "keep")


def test_a_repeat_is_run_by_both_and_judged_when_both_are_in(tmp_path: Path) -> None:
    lab = make_lab(tmp_path / "lab", noise=0.01, more="keep: {confirm: always}\n")
    begun(lab)
    reply = attempt(lab, "nearer", KNOB=2.5)
    with lab.reading() as (bench, campaign, _):
        seeds = [{run.seed for run in bench.ledger.runs(campaign.tag, number) if run.counts} for number in (1, 2)]
        assert bench.ledger.experiment(campaign.tag, 2).verdict.seeds == tuple(sorted(seeds[1]))
    assert reply.decision == "kept"
    assert len(seeds[0]) >= 2
    assert seeds[0] == seeds[1]
    # luck is shared, so the difference does not see it
    assert reply.change == pytest.approx(3.75, abs=0.001)


def test_a_gain_that_breaks_a_bound_is_not_kept_and_the_bound_is_named(tmp_path: Path) -> None:
    lab = make_lab(tmp_path / "lab", more="secondary: {knob: {max: 2.2}}\n")
    begun(lab)
    beyond = attempt(lab, "the optimum, out of bounds", KNOB=3.0)
    assert beyond.decision == "reverted"
    assert beyond.reason == "Discard: knob is 3, above 2.2."
    assert attempt(lab, "a step within bounds", KNOB=2.0).decision == "kept"


def test_a_good_candidate_may_always_be_reverted(lab: Lab) -> None:
    begun(lab, scored=2.5)
    assert lab.commit_or_revert(2, "revert").decision == "reverted"


def test_a_running_experiment_is_not_decided_and_can_be_cancelled(lab: Lab) -> None:
    begun(lab)
    edit(lab, SECONDS=60, KNOB=2.0)
    number = lab.run_experiment("slow").experiment
    with pytest.raises(NotNow, match="still running"):
        lab.commit_or_revert(number)
    lab.cancel_experiment(number)
    reply = finish(lab, number)
    assert reply.status == "cancelled"
    again = lab.run_experiment("slow")
    assert again.experiment == number
    assert "does not count as another attempt, but as another look at its seed (2 now)" in again.warnings[0]
    lab.cancel_experiment(number)
    finish(lab, number)


def test_an_unknown_experiment_is_an_error_in_words(lab: Lab) -> None:
    begun(lab)
    with pytest.raises(UnknownExperiment, match="it has 1 to 1"):
        lab.read_score(7)


# --- the human's file -----------------------------------------------------------------------------------------------


def test_a_valid_edit_of_the_program_applies_from_the_next_experiment(lab: Lab) -> None:
    begun(lab)
    program = lab.paths.program
    program.write_text(program.read_text().replace("Bring KNOB to three.", "Be quick."))
    assert lab.lab_status().memo == "Be quick."
    attempt(lab, "nearer", KNOB=2.5)
    with lab.reading() as (bench, campaign, _):
        first, second = bench.ledger.experiments(campaign.tag)
    assert first.program != second.program


def test_an_invalid_edit_leaves_the_last_valid_program_in_force(lab: Lab) -> None:
    begun(lab)
    program = lab.paths.program
    program.write_text(program.read_text().replace("devices: cpu", "devices: abacus"))
    status = lab.lab_status()
    assert "line 9" in status.problems[0]
    assert "stays in force" in status.problems[0]
    assert attempt(lab, "nearer", KNOB=2.5).decision == "kept"


def test_an_edit_that_changes_what_scores_mean_is_refused(lab: Lab) -> None:
    begun(lab)
    program = lab.paths.program
    program.write_text(program.read_text().replace("direction: minimize", "direction: maximize"))
    assert "incomparable" in lab.lab_status().problems[0]


def test_a_stop_rule_ends_the_campaign(tmp_path: Path) -> None:
    lab = make_lab(tmp_path / "lab", more="stop: {experiments: 2}\n")
    begun(lab)
    attempt(lab, "nearer", KNOB=2.5)
    edit(lab, KNOB=2.9)
    with pytest.raises(NotNow, match="The campaign is over: 2 experiments"):
        lab.run_experiment("nearer still")
    assert lab.lab_status().stop


# --- memory and views -----------------------------------------------------------------------------------------------


def test_a_learning_is_recalled_by_its_words(lab: Lab) -> None:
    begun(lab, scored=2.5)
    decide(lab, 2)
    lab.append_learnings("Moving KNOB towards three lowers the loss quadratically.", 2)
    assert "quadratically" in lab.recall("quadratic loss").lines[0]
    with pytest.raises(NotNow, match="holds this already"):
        lab.append_learnings("moving knob towards three lowers the loss, quadratically")


def test_lines_a_person_adds_to_learnings_md_become_learnings(lab: Lab) -> None:
    begun(lab)
    page = lab.paths.learnings
    page.write_text(page.read_text() + "\n- The scorer adds noise drawn from the seed alone.\n")
    lab.lab_status()
    assert "noise drawn from the seed" in lab.recall("seed noise").lines[0]
    assert "noise drawn from the seed" in page.read_text()


def test_views_that_are_deleted_are_drawn_again(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    begun(lab, scored=2.5)
    decide(lab, 2)
    views = (lab.paths.results, lab.paths.learnings, lab.paths.chart)
    monkeypatch.setenv("AUTORESEARCH_CHART", "on")
    lab.lab_status()
    lab.close()
    until(lambda: all(view.exists() for view in views))
    for view in views:
        view.unlink()
    lab.lab_status()
    until(lambda: all(view.exists() for view in views))
    header, baseline, second = lab.paths.results.read_text().splitlines()
    assert header.split("\t")[:5] == ["commit", "val_bpb", "memory_gb", "status", "description"]
    assert second.split("\t")[3:5] == ["keep", "nearer"]
    assert baseline.split("\t")[3] == "keep"
    lab.close()


# --- many at once ---------------------------------------------------------------------------------------------------


def test_two_servers_on_one_repository_see_the_same_lab(lab: Lab) -> None:
    begun(lab)
    other = Lab(lab.paths.tree)
    edit(lab, KNOB=2.5)
    number = lab.run_experiment("nearer").experiment
    finish(other, number)
    assert other.commit_or_revert(number).decision == "kept"
    assert lab.read_score(number).status == "kept"


def test_a_worktree_joins_a_campaign_and_shares_its_memory(lab: Lab, tmp_path: Path) -> None:
    begun(lab)
    git(lab.paths.tree, "worktree", "add", "-q", "--detach", str(tmp_path / "second"))
    second = Lab(tmp_path / "second")
    assert second.start_campaign("first").warnings
    reply = attempt(second, "from the second tree", KNOB=2.5)
    assert reply.decision == "kept"
    incumbent = lab.lab_status().incumbent
    assert incumbent is not None
    assert incumbent.experiment == reply.experiment


def test_a_keep_on_top_of_another_keep_is_judged_against_it(lab: Lab) -> None:
    begun(lab)
    edit(lab, KNOB=2.0)
    first = lab.run_experiment("two").experiment
    edit(lab, KNOB=2.5)
    second = lab.run_experiment("two and a half").experiment
    finish(lab, first)
    finish(lab, second)
    assert decide(lab, second).change == 3.75
    lost = decide(lab, first)
    assert (lost.decision, lost.change) == ("reverted", -0.75)


def test_a_commit_of_the_user_on_the_branch_is_kept_below_ours(lab: Lab) -> None:
    begun(lab)
    edit(lab, KNOB=2.5)
    number = lab.run_experiment("nearer").experiment
    git(lab.paths.tree, "commit", "-q", "--allow-empty", "-m", "the user's own", "--only", "--", "notes.txt")
    finish(lab, number)
    assert decide(lab, number).decision == "kept"
    titles = git(lab.paths.tree, "log", "--format=%s", "-2", "autoresearch/first").splitlines()
    assert titles == ["Experiment 2: nearer", "the user's own"]


# --- speed of the import --------------------------------------------------------------------------------------------


def test_the_server_imports_neither_torch_nor_the_plotting_library() -> None:
    code = (
        "import sys, mcp_server.server; print([m for m in ('torch', 'matplotlib', 'tiktoken', 'rich') "
        "if m in sys.modules])"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    assert done.stdout.strip() == "[]"


# --- the end of a campaign ------------------------------------------------------------------------------------------


def test_the_exam_measures_the_gain_on_fresh_paired_seeds(lab: Lab) -> None:
    begun(lab, scored=2.5)
    decide(lab, 2)
    opened = lab.exam(seeds=2)
    assert opened.status == "running"
    reply = until(lambda: (answer := lab.exam(seeds=2)).status == "done" and answer)
    assert (reply.gain, reply.interval) == (3.75, [3.75, 3.75])
    assert {run.seed for run in reply.runs}.isdisjoint(
        {run.seed for run in lab.read_score(1).runs if run.purpose != "exam"}
    )
    totals = lab.lab_status().totals
    assert totals is not None
    assert totals.exam_gain == 3.75


def test_an_exam_without_an_improvement_is_refused(lab: Lab) -> None:
    begun(lab)
    with pytest.raises(NotNow, match="Nothing but the baseline"):
        lab.exam()


def test_taking_back_a_change_that_matters_is_refused(lab: Lab) -> None:
    begun(lab, scored=2.5)
    decide(lab, 2)
    number = lab.run_without(2).experiment
    finish(lab, number)
    decided = decide(lab, number)
    assert (decided.decision, decided.restored) == ("reverted", ["train.py"])
    assert "stays" in decided.reason


def test_a_change_that_later_ones_build_on_is_not_taken_back(lab: Lab) -> None:
    begun(lab, scored=2.5)
    decide(lab, 2)
    attempt(lab, "nearer still", KNOB=2.9)
    with pytest.raises(NotNow, match="build on experiment 2"):
        lab.run_without(2)
    assert git(lab.paths.tree, "status", "--porcelain") == ""


def test_an_experiment_remembers_the_text_of_its_style(tmp_path: Path, engine: Played) -> None:
    lab = make_lab(tmp_path / "lab", more="style: mine\n")
    style = lab.paths.tree / "styles" / "mine.md"
    style.parent.mkdir()
    style.write_text("Style: mine\n\nHalve the distance.\n")
    begin_played(lab, engine)
    played(lab, engine, 1.0, KNOB=2.0)
    style.write_text("Style: mine\n\nGo all the way.\n")
    played(lab, engine, 0.0, KNOB=3.0)
    with lab.reading() as (bench, _, _):
        first, second, third = (one.style for one in bench.ledger.experiments("first"))
    assert first == second != third
    assert str(third).startswith("mine@")
