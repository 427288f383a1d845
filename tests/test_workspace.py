"""The user's repository is sacred: snapshot, keep and revert, and everything that can be in their way."""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
import threading
from pathlib import Path

import pytest

from mcp_server.errors import GitError, WorkspaceError
from mcp_server.workspace import Workspace, check_tag
from tests.repositories import DATE, EDITABLE, Campaign, UserRepository


@pytest.fixture
def user(tmp_path: Path) -> UserRepository:
    return UserRepository.make(tmp_path / "lab")


# -- where a lab can be ------------------------------------------------------------------------------------------------


def test_a_folder_outside_any_repository_is_refused_with_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(WorkspaceError, match=r"not in a git repository\. Run `git init`"):
        Workspace(tmp_path)


def test_a_folder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(WorkspaceError, match="is not a folder"):
        Workspace(tmp_path / "nowhere")


def test_a_bare_repository_and_the_inside_of_git_are_refused(user: UserRepository, tmp_path: Path) -> None:
    user.git("clone", "-q", "--bare", ".", str(tmp_path / "bare"))
    for place in (tmp_path / "bare", user.folder / ".git"):
        with pytest.raises(WorkspaceError, match="git worktree add"):
            Workspace(place)


def test_a_repository_of_somebody_else_is_refused_in_gits_own_words(user: UserRepository) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can give a folder away")
    for place in (user.folder, user.folder / ".git"):
        os.chown(place, 12345, 12345)
    with pytest.raises(WorkspaceError, match=r"safe\.directory"):
        Workspace(user.folder)


def test_a_configured_work_tree_elsewhere_is_refused(user: UserRepository, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    user.git("config", "core.worktree", str(elsewhere))
    with pytest.raises(WorkspaceError, match=r"core\.worktree"):
        Workspace(user.folder)


def test_a_subfolder_leads_to_the_top_of_its_repository(user: UserRepository) -> None:
    assert Workspace(user.folder / "src" / "deep").paths.tree == user.folder.resolve()


def test_a_repository_without_a_commit_says_so(tmp_path: Path) -> None:
    empty = UserRepository(tmp_path)
    empty.git("init", "-q")
    with pytest.raises(WorkspaceError, match="no commit yet"):
        Workspace(tmp_path).head()
    with pytest.raises(WorkspaceError, match="first commit"):
        Workspace(tmp_path).resolve("HEAD")


def test_linked_work_trees_share_one_state_folder(user: UserRepository, tmp_path: Path) -> None:
    user.git("worktree", "add", "-q", "--detach", str(tmp_path / "second"))
    one, other = Workspace(user.folder), Workspace(tmp_path / "second")
    assert one.paths.state == other.paths.state
    assert other.paths.tree == (tmp_path / "second").resolve()


@pytest.mark.parametrize(
    "ref",
    [
        "",
        "--all",
        "-n1",
        "main..HEAD",
        ":/first",
        "HEAD:train.py",
        "a b",
        "x\ny",
        "x\0y",
        "\u202emain",
        "m" * 300,
        "nope",
    ],
)
def test_what_is_no_name_of_a_commit_is_refused(user: UserRepository, ref: str) -> None:
    with pytest.raises(WorkspaceError):
        Workspace(user.folder).resolve(ref)


def test_names_of_commits_are_resolved(user: UserRepository) -> None:
    user.git("tag", "-a", "-m", "a tag", "v1.0")
    user.git("branch", "feature/größe")
    workspace = Workspace(user.folder)
    for ref in ("HEAD", "main", "v1.0", "feature/größe", user.head(), user.head()[:8], "HEAD^{}", "@"):
        assert workspace.resolve(ref) == user.head()


@pytest.mark.parametrize("tag", ["", "A", "-x", "../x", "a..b", "a.lock", "a.", "a/b", "x" * 49, "a\n", "a b", "ü"])
def test_a_tag_that_is_no_plain_word_is_refused(tag: str) -> None:
    with pytest.raises(WorkspaceError, match="cannot name a campaign"):
        check_tag(tag)


# -- git in the middle of something --------------------------------------------------------------------------------


def _diverge(user: UserRepository) -> None:
    user.git("switch", "-q", "-c", "other")
    user.write("train.py", "LR = 7\n").commit("theirs")
    user.git("switch", "-q", "main")
    user.write("train.py", "LR = 8\n").commit("ours")


@pytest.mark.parametrize("what", ["rebase", "merge", "cherry-pick", "revert", "bisect"])
def test_git_in_the_middle_of_something_is_left_alone(user: UserRepository, what: str) -> None:
    _diverge(user)
    commands = {
        "rebase": ("rebase", "other"),
        "merge": ("merge", "other"),
        "cherry-pick": ("cherry-pick", "other"),
        "revert": ("revert", "--no-edit", "HEAD~1"),
        "bisect": ("bisect", "start"),
    }
    user.git(*commands[what], check=False)
    before, workspace = user.everything(), Workspace(user.folder)
    with pytest.raises(WorkspaceError, match=f"A git {what} is in progress"):
        workspace.begin("t", user.head(), EDITABLE)
    assert user.everything() == before
    assert workspace.branch("t") is None


def test_a_snapshot_works_in_the_middle_of_a_rebase(user: UserRepository) -> None:
    campaign = Campaign(user)
    user.write("train.py", "LR = 2\n").git("stash", "-q")
    user.write("train.py", "LR = 3\n").commit("third")
    user.git("stash", "apply", "-q", check=False)
    user.write("train.py", "LR = 4\n")
    (user.folder / ".git" / "rebase-merge").mkdir()
    snapshot = campaign.snapshot()
    assert campaign.workspace.blob(snapshot.commit, "train.py") == b"LR = 4\n"
    with pytest.raises(WorkspaceError, match="rebase"):
        campaign.keep(snapshot)


def test_a_damaged_index_is_said_in_words(user: UserRepository) -> None:
    (user.folder / ".git" / "index").write_bytes(b"DIRC damaged")
    with pytest.raises(GitError, match="index"):
        Workspace(user.folder).guard()


# -- a campaign's beginning ------------------------------------------------------------------------------------------


def test_beginning_at_head_leaves_files_and_index_as_they_are(user: UserRepository) -> None:
    user.write("notes.txt", "dirty\n").write("new.txt", "untracked\n").write("staged.txt", "staged\n")
    user.git("add", "staged.txt")
    files, index, _, _ = user.everything()
    Workspace(user.folder).begin("t", user.head(), EDITABLE)
    assert user.everything()[:2] == (files, index)
    assert user.git("symbolic-ref", "HEAD").strip() == "refs/heads/autoresearch/t"


def test_beginning_twice_is_beginning_once(user: UserRepository) -> None:
    workspace, first = Workspace(user.folder), user.head()
    workspace.begin("t", first, EDITABLE)
    user.write("train.py", "LR = 2\n")  # the agent is at work already
    before = user.everything()
    workspace.begin("t", first, EDITABLE)
    assert user.everything() == before


def test_a_beginning_cut_short_after_its_branch_was_made_is_finished(user: UserRepository) -> None:
    user.git("branch", "autoresearch/t")
    Workspace(user.folder).begin("t", user.head(), EDITABLE)
    assert user.git("symbolic-ref", "HEAD").strip() == "refs/heads/autoresearch/t"


def test_a_campaign_begins_from_a_detached_head(user: UserRepository) -> None:
    user.git("switch", "-q", "--detach")
    assert Workspace(user.folder).head()[0] is None
    Workspace(user.folder).begin("t", user.head(), EDITABLE)
    assert Workspace(user.folder).head() == ("autoresearch/t", user.head())


def test_a_campaign_begins_in_a_linked_work_tree_and_the_main_one_stays(user: UserRepository, tmp_path: Path) -> None:
    user.git("worktree", "add", "-q", "--detach", str(tmp_path / "second"))
    before = user.everything()
    second = UserRepository(tmp_path / "second")
    Workspace(second.folder).begin("t", second.head(), EDITABLE)
    assert second.git("symbolic-ref", "HEAD").strip() == "refs/heads/autoresearch/t"
    assert user.everything()[:3] == before[:3]


def test_uncommitted_editable_files_are_refused_and_stay(user: UserRepository) -> None:
    user.write("train.py", "LR = 2\n")
    before = user.everything()
    with pytest.raises(WorkspaceError, match=r"train\.py has changes that are not committed"):
        Workspace(user.folder).begin("t", user.head(), EDITABLE)
    assert user.everything() == before


def test_editable_files_that_are_staged_or_new_are_refused(user: UserRepository) -> None:
    user.write("train.py", "LR = 2\n").git("add", "train.py")
    user.write("train.py", "LR = 1\n")  # as committed on disk, but staged otherwise
    with pytest.raises(WorkspaceError, match=r"train\.py has changes"):
        Workspace(user.folder).begin("t", user.head(), EDITABLE)
    user.git("reset", "-q")
    user.write("src/new.py", "")
    with pytest.raises(WorkspaceError, match=r"src/new\.py is not committed yet"):
        Workspace(user.folder).begin("t", user.head(), ("src/",))


def test_an_editable_file_that_is_in_no_commit_is_refused(user: UserRepository) -> None:
    with pytest.raises(WorkspaceError, match=r"other\.py is editable in program\.md but not in commit"):
        Workspace(user.folder).begin("t", user.head(), ("other.py",))


def test_a_branch_that_exists_elsewhere_or_is_in_the_way_is_refused(user: UserRepository) -> None:
    first = user.head()
    user.write("notes.txt", "more\n").commit("second")
    user.git("branch", "autoresearch/t", first)
    with pytest.raises(WorkspaceError, match="exists already"):
        Workspace(user.folder).begin("t", user.head(), EDITABLE)
    user.git("branch", "-D", "autoresearch/t")
    user.git("branch", "autoresearch")
    with pytest.raises(WorkspaceError, match="in the way"):
        Workspace(user.folder).begin("t", user.head(), EDITABLE)


def test_beginning_from_another_commit_moves_clean_files_and_keeps_dirty_ones(user: UserRepository) -> None:
    first = user.head()
    user.write("train.py", "LR = 2\n").write("src/deep/er.py", "x = 2\n").write("added/later.py", "1\n")
    (user.folder / "src" / "model.py").unlink()
    user.commit("second")
    user.write("notes.txt", "dirty\n").write("untracked.txt", "1\n").write("prepare.py", "staged\n")
    user.git("add", "prepare.py")
    Workspace(user.folder).begin("t", first, EDITABLE)
    assert user.read("train.py") == "LR = 1\n"
    assert user.read("src/model.py") == "depth = 1\n"
    assert not (user.folder / "added").exists()
    assert user.status() == " M notes.txt\nM  prepare.py\n?? untracked.txt\n"
    assert user.head() == first


def test_beginning_elsewhere_overwrites_nothing_of_the_users(user: UserRepository) -> None:
    first = user.head()
    second = user.write("notes.txt", "two\n").write("added.txt", "2\n").commit("second")
    workspace = Workspace(user.folder)
    user.write("notes.txt", "dirty\n")
    before = user.everything()
    with pytest.raises(WorkspaceError, match=r"notes\.txt has changes"):
        workspace.begin("t", first, EDITABLE)
    assert user.everything() == before
    user.git("switch", "-q", "--discard-changes", "--detach", first)
    user.write("added.txt", "the user's own\n")
    before = user.everything()
    with pytest.raises(WorkspaceError, match=r"added\.txt"):
        workspace.begin("t", second, EDITABLE)
    assert user.everything() == before


def test_a_beginning_elsewhere_that_cannot_finish_puts_everything_back(user: UserRepository) -> None:
    first = user.head()
    user.write("train.py", "LR = 2\n").write("added.txt", "2\n").commit("second")
    (user.folder / ".git" / "index.lock").touch()
    before = user.everything()
    with pytest.raises(WorkspaceError, match=r"index\.lock"):
        Workspace(user.folder, patience=0.05).begin("t", first, EDITABLE)
    assert user.everything() == before
    assert Workspace(user.folder).branch("t") is None


def test_links_and_filtered_files_are_not_moved_to_another_commit(user: UserRepository) -> None:
    first = user.head()
    os.symlink("notes.txt", user.folder / "link")
    user.commit("second")
    with pytest.raises(WorkspaceError, match="git switch --detach"):
        Workspace(user.folder).begin("t", first, EDITABLE)


# -- reading the editable files --------------------------------------------------------------------------------------


def _refused(user: UserRepository, words: str, patterns: tuple[str, ...] = EDITABLE, limit: int = 1000) -> None:
    before = user.files()
    with pytest.raises(WorkspaceError, match=words):
        Workspace(user.folder).read_editable(patterns, user.head(), limit)
    assert user.files() == before


def test_a_missing_editable_file_is_refused(user: UserRepository) -> None:
    (user.folder / "train.py").unlink()
    _refused(user, r"train\.py is editable in program\.md but does not exist")


def test_a_link_in_place_of_an_editable_file_or_its_folder_is_refused(user: UserRepository) -> None:
    (user.folder / "train.py").unlink()
    os.symlink("notes.txt", user.folder / "train.py")
    _refused(user, "symbolic link")
    (user.folder / "src").rename(user.folder / "real")
    os.symlink("real", user.folder / "src")
    _refused(user, "symbolic link", ("src/model.py",))
    _refused(user, "symbolic link", ("src/",))


def test_a_pipe_a_folder_and_a_device_are_refused_without_being_opened(user: UserRepository) -> None:
    (user.folder / "train.py").unlink()
    os.mkfifo(user.folder / "train.py")
    _refused(user, "not a regular file")
    (user.folder / "train.py").unlink()
    (user.folder / "train.py").mkdir()
    _refused(user, "not a regular file")


def test_binary_and_oversized_files_are_refused(user: UserRepository) -> None:
    user.write("train.py", b"LR = 1\0\n")
    _refused(user, "NUL byte")
    user.write("train.py", "#" * 5_000_000)
    _refused(user, "5000000 bytes, more than the limit of 1000")


def test_a_name_that_is_not_utf8_is_refused(user: UserRepository) -> None:
    (user.folder / "src" / os.fsdecode(b"caf\xe9.py")).write_text("1")
    _refused(user, "not UTF-8", ("src/",))


@pytest.mark.parametrize("pattern", ["", "/etc/passwd", "../x", "a/../../x", ".git/config", "x\ny", "a\\b", ".GIT/x"])
def test_a_pattern_that_leaves_the_tree_is_refused(user: UserRepository, pattern: str) -> None:
    _refused(user, "not a path inside the repository", (pattern,))


def test_folders_and_globs_mean_what_git_would_track(user: UserRepository) -> None:
    user.write(".gitignore", "*.log\n").write("src/run.log", "x").write("src/new.py", "1").write("src/a b\n.py", "2")
    user.write("src/__pycache__/model.cpython-311.pyc", b"\0").write("other/new.py", "3")
    nested = UserRepository.make(user.folder / "src" / "nested")
    assert nested.head()
    workspace = Workspace(user.folder)
    below = ["src/a b\n.py", "src/deep/er.py", "src/model.py", "src/new.py"]
    assert workspace.editable_files(("src/",), user.head()) == below
    assert workspace.editable_files(("src",), user.head()) == below
    assert workspace.editable_files(("src/**/*.py",), user.head()) == below
    assert workspace.editable_files(("src/*.py",), user.head()) == ["src/a b\n.py", "src/model.py", "src/new.py"]
    assert workspace.editable_files(("**/er.py", "train.py"), user.head()) == ["src/deep/er.py", "train.py"]


def test_files_left_out_by_a_sparse_checkout_are_unchanged_not_deleted(user: UserRepository) -> None:
    user.git("sparse-checkout", "set", "--no-cone", "/*", "!/src/deep/")
    assert not (user.folder / "src" / "deep").exists()
    campaign = Campaign(user, ("src/",))
    user.write("src/model.py", "depth = 2\n")
    snapshot = campaign.snapshot()
    assert snapshot.changed_paths == ("src/model.py",)
    assert campaign.keep(snapshot).status == "kept"
    assert user.status() == ""
    assert campaign.workspace.blob(campaign.tip, "src/deep/er.py") == b"x = 1\n"


def test_windows_line_endings_are_refused_only_where_git_converts_them(user: UserRepository) -> None:
    user.write("train.py", b"LR = 2\r\n")
    workspace = Workspace(user.folder)
    assert workspace.read_editable(EDITABLE, user.head()) == {"train.py": b"LR = 2\r\n"}
    user.git("config", "core.autocrlf", "true")
    _refused(user, "Windows line endings")
    user.git("config", "core.autocrlf", "false")
    user.write(".gitattributes", "*.py text\n")
    _refused(user, "Windows line endings")
    user.write(".gitattributes", "*.py -text\n")
    user.git("config", "core.autocrlf", "true")
    assert workspace.read_editable(EDITABLE, user.head()) == {"train.py": b"LR = 2\r\n"}


def test_with_converted_line_endings_a_campaign_is_refused_in_words(user: UserRepository) -> None:
    user.git("config", "core.autocrlf", "true")
    (user.folder / "train.py").unlink()
    user.git("checkout", "--", "train.py")
    assert (user.folder / "train.py").read_bytes() == b"LR = 1\r\n"
    assert user.status() == ""
    with pytest.raises(WorkspaceError, match=r"git converts it \(core\.autocrlf\)"):
        Workspace(user.folder).begin("t", user.head(), EDITABLE)


@pytest.mark.parametrize("setting", ["true", "input"])
def test_plain_newlines_live_with_autocrlf_and_status_stays_clean(user: UserRepository, setting: str) -> None:
    user.git("config", "core.autocrlf", setting)
    campaign = Campaign(user)
    user.write("train.py", "LR = 2\n")
    candidate = campaign.snapshot()
    assert campaign.keep(candidate).status == "kept"
    assert user.status() == ""
    user.write("train.py", "LR = 3\n")
    assert campaign.revert(campaign.snapshot()).restored == ("train.py",)
    assert user.status() == ""


# -- an attempt ------------------------------------------------------------------------------------------------------


def test_a_snapshot_touches_nothing_of_the_users(user: UserRepository) -> None:
    campaign = Campaign(user)
    user.write("train.py", "LR = 2\n").write("notes.txt", "staged\n").git("add", "notes.txt")
    user.write("notes.txt", "dirty\n").write("new.txt", "untracked\n")
    before = user.everything()
    snapshot = campaign.snapshot()
    assert user.everything() == before
    assert snapshot.changed_paths == ("train.py",)
    assert snapshot.files == {"train.py": b"LR = 2\n"}
    assert user.git("diff", "--name-only", campaign.first, snapshot.commit) == "train.py\n"
    assert campaign.workspace.vault("t") == {1: snapshot.commit}


def test_the_same_snapshot_taken_again_is_the_same_commit(user: UserRepository) -> None:
    campaign = Campaign(user)
    user.write("train.py", "LR = 2\n")
    one = campaign.snapshot()
    campaign.number = 0
    assert campaign.snapshot() == one


def test_a_number_that_is_taken_by_another_attempt_is_refused(user: UserRepository) -> None:
    campaign = Campaign(user)
    user.write("train.py", "LR = 2\n")
    first = campaign.snapshot()
    campaign.number = 0
    user.write("train.py", "LR = 3\n")
    with pytest.raises(WorkspaceError, match="does not point where the ledger says"):
        campaign.snapshot()
    assert campaign.workspace.vault("t") == {1: first.commit}


def test_unchanged_code_makes_a_snapshot_too(user: UserRepository) -> None:
    campaign = Campaign(user)
    assert campaign.workspace.nothing_changed(EDITABLE, campaign.first)
    snapshot = campaign.snapshot()
    assert snapshot.changed_paths == ()
    assert campaign.workspace.files_equal(snapshot.commit, campaign.first, EDITABLE)
    user.write("train.py", "LR = 2\n")
    assert not campaign.workspace.nothing_changed(EDITABLE, campaign.first)


def test_names_with_anything_in_them_and_modes_go_through_a_whole_cycle(user: UserRepository) -> None:
    campaign = Campaign(user, ("src/",))
    names = [
        "src/with space.py",
        "src/new\nline.py",
        "src/quo\"te'.py",
        "src/größe 🙂.py",
        "src/-option.py",
        "src/a/b/c.py",
    ]
    names += ["src/:(glob)magic.py", "src/*.py", "src/[x].py", "src/tab\t.py", "src/back`tick$.py"]
    for name in names:
        user.write(name, f"# {name!r}\n")
    (user.folder / "src" / "model.py").chmod(0o755)
    (user.folder / "src" / "deep" / "er.py").unlink()
    snapshot = campaign.snapshot()
    assert set(snapshot.changed_paths) == {*names, "src/model.py", "src/deep/er.py"}
    assert campaign.keep(snapshot).status == "kept"
    assert user.status() == ""
    for name in names:
        (user.folder / name).unlink()
    reverted = campaign.revert(campaign.snapshot())
    assert set(reverted.restored) == set(names)
    assert user.status() == ""


def test_a_file_may_become_a_folder_and_back(user: UserRepository) -> None:
    campaign = Campaign(user, ("src/",))
    (user.folder / "src" / "model.py").unlink()
    user.write("src/model.py/part.py", "1\n")
    snapshot = campaign.snapshot()
    assert snapshot.changed_paths == ("src/model.py", "src/model.py/part.py")
    reverted = campaign.revert(snapshot)
    assert reverted.left == ()
    assert user.read("src/model.py") == "depth = 1\n"
    assert user.status() == ""


def test_the_x_bit_is_ignored_where_the_repository_says_it_means_nothing(user: UserRepository) -> None:
    user.git("config", "core.fileMode", "false")
    campaign = Campaign(user)
    user.write("train.py", "LR = 2\n")
    (user.folder / "train.py").chmod(0o777)
    snapshot = campaign.snapshot()
    assert user.git("ls-tree", snapshot.commit, "train.py").startswith("100644")
    assert campaign.revert(snapshot).restored == ("train.py",)


# -- keep --------------------------------------------------------------------------------------------------------------


def test_a_keep_leaves_status_clean_and_everything_else_alone(user: UserRepository) -> None:
    user.write("notes.txt", "dirty\n").write("new.txt", "untracked\n").write("prepare.py", "staged\n")
    user.git("add", "prepare.py")
    user.write("stashed.txt", "1\n").git("stash", "push", "-q", "-u", "--", "stashed.txt")
    before = user.status()
    campaign = Campaign(user)
    user.write("train.py", "LR = 2\n")
    files, stash = user.files(), user.git("stash", "list")
    outcome = campaign.keep(campaign.snapshot())
    assert (outcome.status, outcome.index) == ("kept", "fresh")
    assert (user.files(), user.status(), user.git("stash", "list")) == (files, before, stash)
    assert campaign.branch() == ["Experiment 1: keep", "first"]
    assert user.git("diff", "--name-only", "HEAD~1", "HEAD") == "train.py\n"


def test_the_users_next_commit_does_not_undo_a_keep(user: UserRepository) -> None:
    campaign = Campaign(user)
    user.write("train.py", "LR = 2\n")
    campaign.keep(campaign.snapshot())
    user.write("notes.txt", "more\n").commit("the user's", "notes.txt")
    assert user.git("show", "HEAD:train.py") == "LR = 2\n"


def test_what_the_user_staged_of_an_editable_file_stays_staged(user: UserRepository) -> None:
    campaign = Campaign(user)
    user.write("train.py", "LR = 5\n").git("add", "train.py")
    user.write("train.py", "LR = 2\n")
    outcome = campaign.keep(campaign.snapshot())
    assert (outcome.status, outcome.index) == ("kept", "staged")
    assert user.git("show", ":train.py") == "LR = 5\n"


def test_keeping_twice_is_keeping_once_even_after_the_user_went_on(user: UserRepository) -> None:
    campaign = Campaign(user)
    user.write("train.py", "LR = 2\n")
    candidate = campaign.snapshot()
    first = campaign.keep(candidate)
    user.write("train.py", "LR = 9\n").commit("the user's own idea")
    campaign.tip = campaign.first
    again = campaign.keep(candidate)
    assert (again.status, again.commit) == ("already", first.commit)
    assert campaign.branch() == ["the user's own idea", "Experiment 1: keep", "first"]


def test_a_keep_goes_on_top_of_what_the_user_committed_elsewhere(user: UserRepository) -> None:
    campaign = Campaign(user)
    user.write("train.py", "LR = 2\n")
    candidate = campaign.snapshot()
    user.write("notes.txt", "more\n").commit("notes", "notes.txt")
    assert campaign.keep(candidate).status == "kept"
    assert campaign.branch() == ["Experiment 1: keep", "notes", "first"]
    assert user.git("show", "HEAD:notes.txt") == "more\n"
    assert user.status() == ""


def test_a_keep_is_overtaken_when_the_editable_files_moved_on(user: UserRepository) -> None:
    campaign = Campaign(user)
    user.write("train.py", "LR = 2\n")
    candidate = campaign.snapshot()
    user.write("train.py", "LR = 4\n").commit("the user's own idea")
    before = user.everything()
    outcome = campaign.keep(candidate)
    assert (outcome.status, outcome.commit) == ("overtaken", None)
    assert "other editable files" in outcome.detail
    assert user.everything() == before


def test_a_keep_is_overtaken_when_the_branch_is_gone(user: UserRepository) -> None:
    campaign = Campaign(user)
    user.write("train.py", "LR = 2\n")
    candidate = campaign.snapshot()
    user.git("switch", "-q", "main", "--discard-changes")
    user.git("branch", "-q", "-D", "autoresearch/t")
    assert campaign.keep(candidate).status == "overtaken"


def test_of_two_keeps_from_one_base_the_second_is_overtaken(user: UserRepository) -> None:
    campaign = Campaign(user)
    user.write("train.py", "LR = 2\n")
    one = campaign.snapshot()
    user.write("train.py", "LR = 3\n")
    other = campaign.snapshot()
    base = campaign.tip
    assert campaign.keep(one).status == "kept"
    campaign.tip = base
    campaign.number = 99
    assert campaign.keep(other).status == "overtaken"


def test_a_keep_while_the_user_stands_elsewhere_leaves_their_index_alone(user: UserRepository) -> None:
    campaign = Campaign(user)
    user.write("train.py", "LR = 2\n")
    candidate = campaign.snapshot()
    user.git("switch", "-q", "--discard-changes", "main")
    files, index, _, _ = user.everything()
    assert campaign.keep(candidate).status == "kept"
    assert user.everything()[:2] == (files, index)
    assert user.status() == ""


def test_a_keep_called_from_another_work_tree_refreshes_the_one_on_the_branch(
    user: UserRepository, tmp_path: Path
) -> None:
    campaign = Campaign(user)
    user.write("train.py", "LR = 2\n")
    candidate = campaign.snapshot()
    user.git("worktree", "add", "-q", "--detach", str(tmp_path / "second"))
    campaign.workspace = Workspace(tmp_path / "second")
    assert campaign.keep(candidate).status == "kept"
    assert user.status() == ""
    assert UserRepository(tmp_path / "second").status() == ""


@pytest.mark.parametrize("kind", ["stale", "live"])
def test_an_index_lock_does_not_stop_a_keep_and_the_next_call_catches_up(user: UserRepository, kind: str) -> None:
    campaign = Campaign(user)
    user.write("train.py", "LR = 2\n")
    lock = user.folder / ".git" / "index.lock"
    lock.touch()
    if kind == "stale":
        os.utime(lock, (0, 0))
    candidate = campaign.snapshot()
    base = campaign.tip
    outcome = campaign.keep(candidate)
    assert (outcome.status, outcome.index) == ("kept", "locked")
    assert lock.exists()  # whoever holds it, it is not ours
    lock.unlink()
    campaign.tip = base
    again = campaign.keep(candidate)
    assert (again.status, again.index, again.commit) == ("already", "fresh", outcome.commit)
    assert user.status() == ""


def test_a_lock_on_the_branch_is_named_and_nothing_is_half_done(user: UserRepository) -> None:
    campaign = Campaign(user)
    user.write("train.py", "LR = 2\n")
    candidate = campaign.snapshot()
    lock = user.folder / ".git" / "refs" / "heads" / "autoresearch" / "t.lock"
    lock.touch()
    before = user.everything()
    with pytest.raises(GitError, match=r"t\.lock exists.*remove that file"):
        campaign.keep(candidate)
    assert user.everything() == before
    lock.unlink()
    assert campaign.keep(candidate).status == "kept"


def test_a_lock_on_head_is_named_and_a_live_one_is_waited_for(user: UserRepository) -> None:
    campaign = Campaign(user)
    user.write("train.py", "LR = 2\n")
    candidate = campaign.snapshot()
    lock = user.folder / ".git" / "HEAD.lock"
    lock.touch()
    with pytest.raises(GitError, match=r"HEAD\.lock exists"):
        campaign.keep(candidate)
    assert campaign.branch() == ["first"]
    campaign.workspace = Workspace(user.folder, patience=30)
    soon = threading.Timer(0.1, lock.unlink)
    soon.start()
    assert campaign.keep(candidate).status == "kept"
    soon.join()


def test_an_old_lock_in_the_vault_is_ours_and_goes_a_young_one_is_named(user: UserRepository) -> None:
    campaign = Campaign(user)
    user.write("train.py", "LR = 2\n")
    folder = user.folder / ".git" / "refs" / "autoresearch" / "t"
    folder.mkdir(parents=True)
    (folder / "1.lock").touch()
    with pytest.raises(GitError, match=r"1\.lock exists"):
        campaign.snapshot()
    os.utime(folder / "1.lock", (0, 0))
    campaign.number = 0
    assert campaign.workspace.vault("t") == {}
    candidate = campaign.snapshot()
    assert campaign.workspace.vault("t") == {1: candidate.commit}


def test_a_commit_bears_the_users_name_or_ours_when_there_is_none(user: UserRepository) -> None:
    campaign = Campaign(user)
    user.write("train.py", "LR = 2\n")
    campaign.keep(campaign.snapshot())
    assert (
        user.git("log", "-1", "--format=%an <%ae> %cn").strip() == "autoresearch <autoresearch@localhost> autoresearch"
    )
    user.git("config", "user.name", "Ada")
    user.git("config", "user.email", "ada@example.com")
    user.write("train.py", "LR = 3\n")
    campaign.keep(campaign.snapshot())
    assert (
        user.git("log", "-1", "--format=%an <%ae> %cn %aI").strip()
        == "Ada <ada@example.com> Ada 2026-01-02T03:04:05+00:00"
    )


@pytest.mark.parametrize("options", [("--object-format=sha256",), ("--ref-format=reftable",)])
def test_other_formats_of_repositories_go_through_a_whole_cycle(tmp_path: Path, options: tuple[str, ...]) -> None:
    probe = UserRepository(tmp_path)
    probe.git("init", "-q", *options, str(tmp_path / "probe"), check=False)
    if not (tmp_path / "probe" / ".git").exists():
        pytest.skip(f"this git has no {options[0]}")
    _whole_cycle(UserRepository.make(tmp_path / "lab", *options))


@pytest.mark.parametrize(
    "settings",
    [
        ("core.splitIndex=true", "core.untrackedCache=true", "index.version=4", "core.ignoreCase=true"),
        ("feature.manyFiles=true", "index.sparse=true", "core.sparseCheckout=true", "core.sparseCheckoutCone=true"),
        ("i18n.commitEncoding=ISO-8859-1", "core.commentChar=E", "commit.cleanup=scissors", "core.quotePath=true"),
        ("user.useConfigOnly=true", "core.logAllRefUpdates=always", "core.abbrev=4", "core.sharedRepository=group"),
        ("submodule.recurse=true", "core.symlinks=false", "core.preferSymlinkRefs=true", "diff.noprefix=true"),
    ],
)
def test_unusual_settings_go_through_a_whole_cycle(user: UserRepository, settings: tuple[str, ...]) -> None:
    for setting in settings:
        user.git("config", *setting.split("=", 1))
    _whole_cycle(user)


def test_packed_refs_and_packed_objects_go_through_a_whole_cycle(user: UserRepository) -> None:
    campaign = _whole_cycle(user)
    user.git("gc", "-q", "--prune=now")
    user.git("pack-refs", "--all", "--prune")
    assert set(campaign.workspace.vault("t")) == {1, 2}
    user.write("train.py", "LR = 8\n")
    assert campaign.keep(campaign.snapshot()).status == "kept"
    user.git("fsck", "--strict")


def _whole_cycle(user: UserRepository) -> Campaign:
    campaign = Campaign(user)
    user.write("train.py", "LR = 2\n")
    assert campaign.keep(campaign.snapshot()).status == "kept"
    user.write("train.py", "LR = 3\n")
    assert campaign.revert(campaign.snapshot()).restored == ("train.py",)
    assert (user.read("train.py"), user.status()) == ("LR = 2\n", "")
    user.git("fsck", "--strict")
    return campaign


def test_a_submodule_is_left_alone(user: UserRepository, tmp_path: Path) -> None:
    inner = UserRepository.make(tmp_path / "inner")
    user.git("-c", "protocol.file.allow=always", "submodule", "--quiet", "add", str(inner.folder), "vendor")
    user.commit("add a submodule")
    (user.folder / "vendor" / "notes.txt").write_text("dirty inside\n")
    before = user.status()
    campaign = Campaign(user)
    user.write("train.py", "LR = 2\n")
    candidate = campaign.snapshot()
    assert campaign.keep(candidate).status == "kept"
    assert user.status() == before
    assert campaign.workspace.materialise(candidate.commit, tmp_path / "copy").skipped == ()
    assert list((tmp_path / "copy" / "vendor").iterdir()) == []


def test_a_lab_inside_a_submodule_works(user: UserRepository, tmp_path: Path) -> None:
    inner = UserRepository.make(tmp_path / "inner")
    user.git("-c", "protocol.file.allow=always", "submodule", "--quiet", "add", str(inner.folder), "vendor")
    _whole_cycle(UserRepository(user.folder / "vendor"))


def test_eight_work_trees_at_once_lose_no_attempt(user: UserRepository, tmp_path: Path) -> None:
    """Without the lab's lock even: numbers are given out beforehand, everything else is git's compare-and-swap."""
    campaign = Campaign(user)
    children = []
    for agent in range(8):
        tree = tmp_path / f"agent{agent}"
        user.git("worktree", "add", "-q", "--detach", str(tree))
        child = os.fork()
        if child == 0:
            code = 1
            with contextlib.suppress(Exception):
                workspace = Workspace(tree, patience=30)
                for number in range(agent, 24, 8):
                    (tree / "train.py").write_text(f"LR = {number}\n")
                    workspace.snapshot(EDITABLE, campaign.first, f"try {number}", DATE, tag="t", number=number)
                code = 0
            os._exit(code)
        children.append(child)
    assert [os.waitpid(child, 0)[1] for child in children] == [0] * 8
    vault = campaign.workspace.vault("t")
    assert sorted(vault) == list(range(24))
    for number, commit in vault.items():
        assert campaign.workspace.blob(commit, "train.py") == f"LR = {number}\n".encode()
    user.git("fsck", "--strict")


def test_a_change_is_taken_back_where_nothing_later_builds_on_it(user: UserRepository) -> None:
    lines = [f"x{i} = {i}\n" for i in range(20)]
    user.write("train.py", "".join(lines)).commit("longer")
    campaign = Campaign(user)
    for line, value in ((1, "first"), (10, "second"), (18, "third")):
        lines[line] = f"x{line} = '{value}'\n"
        user.write("train.py", "".join(lines))
        campaign.keep(campaign.snapshot())
        if value == "second":
            second = campaign.tip
    files = campaign.workspace.without(second, campaign.tip, EDITABLE)
    lines[10] = "x10 = 10\n"
    assert files == {"train.py": "".join(lines).encode()}
    campaign.workspace.lay(files, EDITABLE, campaign.tip)
    assert user.read("train.py") == "".join(lines)
    with pytest.raises(WorkspaceError, match="are not those of"):
        campaign.workspace.lay(files, EDITABLE, campaign.tip)


def test_a_change_that_later_ones_build_on_is_not_taken_back(user: UserRepository) -> None:
    campaign = Campaign(user)
    user.write("train.py", "LR = 2\n")
    campaign.keep(campaign.snapshot())
    second = campaign.tip
    user.write("train.py", "LR = 3\n")
    campaign.keep(campaign.snapshot())
    assert campaign.workspace.without(second, campaign.tip, EDITABLE) is None


# -- revert ------------------------------------------------------------------------------------------------------------


def test_a_revert_puts_back_only_what_is_unedited_since_the_snapshot(user: UserRepository) -> None:
    campaign = Campaign(user, ("train.py", "src/"))
    user.write("train.py", "LR = 2\n").write("src/model.py", "depth = 2\n").write("src/new/file.py", "1\n")
    (user.folder / "src" / "deep" / "er.py").unlink()
    candidate = campaign.snapshot()
    user.write("train.py", "LR = 3\n")  # the next idea
    outcome = campaign.revert(candidate)
    assert outcome.left == ("train.py",)
    assert set(outcome.restored) == {"src/model.py", "src/new/file.py", "src/deep/er.py"}
    assert user.read("train.py") == "LR = 3\n"
    assert not (user.folder / "src" / "new").exists()
    assert user.status() == " M train.py\n"
    assert campaign.revert(candidate).restored == ()


def test_a_revert_keeps_the_files_permissions(user: UserRepository) -> None:
    campaign = Campaign(user)
    (user.folder / "train.py").chmod(0o600)
    user.write("train.py", "LR = 2\n")
    candidate = campaign.snapshot()
    (user.folder / "train.py").chmod(0o400)
    assert campaign.revert(candidate).restored == ("train.py",)
    assert stat.S_IMODE((user.folder / "train.py").stat().st_mode) == 0o400
    assert user.read("train.py") == "LR = 1\n"


def test_a_revert_never_writes_through_a_link(user: UserRepository, tmp_path: Path) -> None:
    campaign = Campaign(user, ("src/",))
    user.write("src/deep/er.py", "x = 2\n")
    candidate = campaign.snapshot()
    outside = tmp_path / "outside"
    (user.folder / "src" / "deep").rename(outside)
    os.symlink(outside, user.folder / "src" / "deep")
    assert campaign.revert(candidate).left == ("src/deep/er.py",)
    assert (outside / "er.py").read_text() == "x = 2\n"


def test_a_revert_leaves_no_litter_even_on_another_file_system(user: UserRepository, tmp_path: Path) -> None:
    campaign = Campaign(user)
    user.write("train.py", "LR = 2\n")
    candidate = campaign.snapshot()
    other = Path("/dev/shm") / f"autoresearch-test-{os.getpid()}"
    if not other.parent.is_dir() or other.parent.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("there is no second file system here")
    try:
        other.mkdir()
        staging = campaign.workspace.paths.state / "tmp"
        staging.parent.mkdir(exist_ok=True)
        os.symlink(other, staging)
        user.write(".train.py.autoresearch~", "left by a kill")
        assert campaign.revert(candidate).restored == ("train.py",)
        assert (user.read("train.py"), user.status()) == ("LR = 1\n", "")
    finally:
        for file in other.iterdir():
            file.unlink()
        other.rmdir()


def test_a_folder_that_cannot_be_written_is_named_and_the_next_call_finishes(user: UserRepository) -> None:
    if os.geteuid() == 0:
        pytest.skip("root writes everywhere")
    campaign = Campaign(user, ("src/",))
    user.write("src/deep/er.py", "x = 2\n")
    candidate = campaign.snapshot()
    (user.folder / "src" / "deep").chmod(0o500)
    try:
        with pytest.raises(WorkspaceError, match=r"src/deep/er\.py could not be written back"):
            campaign.revert(candidate)
    finally:
        (user.folder / "src" / "deep").chmod(0o700)
    assert user.read("src/deep/er.py") == "x = 2\n"
    assert campaign.revert(candidate).restored == ("src/deep/er.py",)


# -- vault, views, questions ---------------------------------------------------------------------------------------


def test_the_vault_moves_by_compare_and_swap(user: UserRepository) -> None:
    campaign = Campaign(user)
    user.write("train.py", "LR = 2\n")
    one = campaign.snapshot().commit
    settled = campaign.workspace.commit_like(one, f"{one}^", "settled", DATE)
    campaign.workspace.move_vault("t", 1, one, settled)
    campaign.workspace.move_vault("t", 1, one, settled)  # again, as after a crash
    assert campaign.workspace.vault("t") == {1: settled}
    with pytest.raises(WorkspaceError, match="does not point where"):
        campaign.workspace.move_vault("t", 1, one, campaign.first)
    assert campaign.workspace.files_equal(settled, one, EDITABLE)
    assert campaign.workspace.commit_like(one, f"{one}^", "settled", DATE) == settled


def test_views_are_ignored_without_touching_the_users_gitignore(user: UserRepository, tmp_path: Path) -> None:
    exclude = user.folder / ".git" / "info" / "exclude"
    exclude.write_text("*.mine")  # without a newline at its end
    workspace = Workspace(user.folder)
    for _ in range(2):
        workspace.ignore_views()
    assert exclude.read_text().splitlines()[0] == "*.mine"
    assert exclude.read_text().count("/results.tsv") == 1
    user.git("worktree", "add", "-q", "--detach", str(tmp_path / "second"))
    for tree in (user, UserRepository(tmp_path / "second")):
        for name in ("results.tsv", "learnings.md", "progress.png", "progress.svg"):
            tree.write(name, "view")
        assert tree.status() == ""


def test_a_frozen_file_that_changed_is_named_with_its_first_lines(user: UserRepository) -> None:
    first, workspace = user.head(), Workspace(user.folder)
    assert workspace.frozen_changes(first, ("prepare.py", "src/")) == []
    user.write("prepare.py", "fixed = False\n").write("src/new.py", "new files are not frozen\n")
    (user.folder / "src" / "model.py").unlink()
    prepare, model = workspace.frozen_changes(first, ("prepare.py", "src/"))
    assert prepare.path == "prepare.py"
    assert "-fixed = True\n+fixed = False" in prepare.diff
    assert (model.path, model.diff) == ("src/model.py", "deleted")


def test_what_git_itself_changes_between_store_and_disk_is_no_frozen_change(user: UserRepository) -> None:
    big = b"weights" * 1000
    oid = hashlib.sha256(big).hexdigest()
    pointer = f"version https://git-lfs.github.com/spec/v1\noid sha256:{oid}\nsize {len(big)}\n"
    first = user.write("data.bin", pointer).commit("a pointer")
    user.write("data.bin", big).write("prepare.py", b"fixed = True\r\n")
    user.git("sparse-checkout", "set", "--no-cone", "/*", "!/src/deep/")
    workspace = Workspace(user.folder)
    assert workspace.frozen_changes(first, ("data.bin", "prepare.py", "src/")) == []
    user.write("data.bin", big + b"!")
    assert [change.path for change in workspace.frozen_changes(first, ("data.bin",))] == ["data.bin"]


def test_a_diff_is_plain_and_bounded(user: UserRepository) -> None:
    campaign = Campaign(user)
    user.write("train.py", "LR = 2\n" * 10_000)
    candidate = campaign.snapshot()
    whole = campaign.workspace.diff(campaign.first, candidate.commit, limit=1 << 20)
    assert whole.startswith("diff --git a/train.py b/train.py")
    cut = campaign.workspace.diff(campaign.first, candidate.commit, limit=1000)
    assert "longer than 1000 bytes" in cut
    assert len(cut) < 1200
    assert campaign.workspace.diff(campaign.first, candidate.commit, ["notes.txt"]) == ""
    assert campaign.workspace.blob(candidate.commit, "nothing.py") is None
    assert campaign.workspace.blob(candidate.commit, "src") is None


def test_a_stamp_without_a_time_zone_is_refused(user: UserRepository) -> None:
    with pytest.raises(WorkspaceError, match="no time zone"):
        Workspace(user.folder).commit_like(user.head(), user.head(), "words", "2026-01-01T00:00:00")
