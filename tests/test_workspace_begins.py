"""The user's repository is sacred: where a lab can be, and how a campaign begins in it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from mcp_server.nouns.errors import GitError, WorkspaceError
from mcp_server.repo.vault import check_tag
from mcp_server.repo.workspace import Workspace
from tests.repositories import EDITABLE, Campaign, UserRepository


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
