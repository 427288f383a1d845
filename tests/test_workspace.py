"""The user's repository is sacred: what an attempt reads and stores, the vault, and what is asked of git."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from mcp_server.nouns.errors import WorkspaceError
from mcp_server.repo.workspace import Workspace
from tests.repositories import DATE, EDITABLE, Campaign, UserRepository


@pytest.fixture
def user(tmp_path: Path) -> UserRepository:
    return UserRepository.make(tmp_path / "lab")


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
    assert sorted(workspace.read_editable(("src/",), user.head())) == below
    assert sorted(workspace.read_editable(("src",), user.head())) == below
    assert sorted(workspace.read_editable(("src/**/*.py",), user.head())) == below
    assert sorted(workspace.read_editable(("src/*.py",), user.head())) == ["src/a b\n.py", "src/model.py", "src/new.py"]
    assert sorted(workspace.read_editable(("**/er.py", "train.py"), user.head())) == ["src/deep/er.py", "train.py"]


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
    assert campaign.workspace.committed(EDITABLE, snapshot.commit) == campaign.workspace.committed(
        EDITABLE, campaign.first
    )
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
    assert campaign.workspace.committed(EDITABLE, settled) == campaign.workspace.committed(EDITABLE, one)
    assert campaign.workspace.commit_like(one, f"{one}^", "settled", DATE) == settled


def test_views_are_ignored_without_touching_the_users_gitignore(user: UserRepository, tmp_path: Path) -> None:
    exclude = user.folder / ".git" / "info" / "exclude"
    exclude.write_text("*.mine")  # without a newline at its end
    workspace = Workspace(user.folder)
    for _ in range(2):
        workspace.ignore()
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
