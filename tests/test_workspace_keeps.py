"""The user's repository is sacred: keep and revert, and everything that can be in their way."""

from __future__ import annotations

import contextlib
import os
import stat
import threading
from pathlib import Path

import pytest

from mcp_server.nouns.errors import GitError, WorkspaceError
from mcp_server.repo.workspace import Workspace
from tests.repositories import DATE, EDITABLE, Campaign, UserRepository


@pytest.fixture
def user(tmp_path: Path) -> UserRepository:
    return UserRepository.make(tmp_path / "lab")


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
    assert "whose editable files no experiment measured" in outcome.detail
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
