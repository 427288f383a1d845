"""Git with its walls up: what reaches it, what it may not do, and copies of its files that lead nowhere else."""

from __future__ import annotations

import contextlib
import hashlib
import os
import resource
import shutil
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mcp_server.nouns.errors import GitError, WorkspaceError
from mcp_server.repo.formats.objects import Entry
from mcp_server.repo.git import Repository
from mcp_server.repo.materialise import materialise, overlay, stays_inside
from mcp_server.repo.patterns import Patterns, is_safe_path
from tests.repositories import EDITABLE, Campaign, UserRepository


@pytest.fixture
def user(tmp_path: Path) -> UserRepository:
    return UserRepository.make(tmp_path / "lab")


def _raw_tree(user: UserRepository, *entries: tuple[str, bytes, str]) -> str:
    """A tree as no git would write it: mode, name and object of each entry, in this order."""
    content = b"".join(mode.encode() + b" " + name + b"\0" + bytes.fromhex(oid) for mode, name, oid in entries)
    done = subprocess.run(
        ["git", "hash-object", "-w", "-t", "tree", "--literally", "--stdin"],
        cwd=user.folder, input=content, capture_output=True, check=True,
    )  # fmt: skip
    return done.stdout.decode().strip()


def _blob(user: UserRepository, content: str) -> str:
    done = subprocess.run(
        ["git", "hash-object", "-w", "--stdin"],
        cwd=user.folder,
        input=content.encode(),
        capture_output=True,
        check=True,
    )
    return done.stdout.decode().strip()


# -- the walls ---------------------------------------------------------------------------------------------------------


def test_git_variables_of_the_caller_lead_nowhere(
    user: UserRepository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when a server is started from a git hook, which sets these for its own repository."""
    other = UserRepository.make(tmp_path / "other")
    before, first = other.everything(), user.head()
    for name, value in {
        "GIT_DIR": str(other.folder / ".git"),
        "GIT_WORK_TREE": str(other.folder),
        "GIT_INDEX_FILE": str(other.folder / ".git" / "index"),
        "GIT_OBJECT_DIRECTORY": str(other.folder / ".git" / "objects"),
        "GIT_NAMESPACE": "elsewhere",
        "GIT_PREFIX": "src/",
        "GIT_LITERAL_PATHSPECS": "0",
        "GIT_CONFIG_PARAMETERS": "'core.hooksPath=/tmp/evil'",
        "GIT_TRACE": str(tmp_path / "trace"),
        "GIT_EXTERNAL_DIFF": str(tmp_path / "evil"),
        "GIT_AUTHOR_DATE": "1970-01-01T00:00:00Z",
    }.items():
        monkeypatch.setenv(name, value)
    campaign = Campaign(user, first=first)
    user.write("train.py", "LR = 2\n")
    candidate = campaign.snapshot()
    assert campaign.keep(candidate).status == "kept"
    assert campaign.workspace.diff(first, candidate.commit)
    monkeypatch.undo()
    os.environ.update(GIT_CONFIG_GLOBAL="/dev/null", GIT_CONFIG_SYSTEM="/dev/null")
    assert other.everything() == before
    assert user.status() == ""
    assert user.git("log", "--format=%aI", "-1", "autoresearch/t").startswith("2026-01-02")
    assert not (tmp_path / "trace").exists()


def test_each_command_runs_in_a_session_of_its_own(user: UserRepository) -> None:
    repository = Repository.at(user.folder)
    with repository.running(["cat-file", "--batch"], stdin=[b"\n"]) as (process, _):
        assert os.getsid(process.pid) == process.pid != os.getsid(0)
    assert process.poll() is not None


def test_a_command_that_takes_too_long_is_ended_and_named(user: UserRepository) -> None:
    os.mkfifo(user.folder / "pipe")
    with pytest.raises(GitError, match=r"git hash-object did not finish"):
        Repository.at(user.folder).once(["hash-object", "--no-filters", "--", "pipe"], seconds=0.2)


def test_without_git_the_first_command_says_so(user: UserRepository, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(user.folder))
    with pytest.raises(GitError, match="git is not installed"):
        Repository.at(user.folder)


def test_importing_without_git_works_and_is_quick_to_say_so(tmp_path: Path) -> None:
    code = "import mcp_server.repo.workspace, sys; sys.exit('torch' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={"PATH": str(tmp_path), "PYTHONPATH": os.pathsep.join([str(Path.cwd()), *sys.path])},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_the_verbs_ask_git_no_more_often_than_they_must(
    user: UserRepository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each question is a process of a few milliseconds; a `git` in front of git counts them."""
    real, counter, shim = shutil.which("git"), tmp_path / "count", tmp_path / "bin" / "git"
    shim.parent.mkdir()
    shim.write_text(f'#!/bin/sh\necho >> "{counter}"\nexec "{real}" "$@"\n')
    shim.chmod(0o755)

    def asked() -> int:
        count = counter.read_text().count("\n") if counter.exists() else 0
        counter.write_text("")
        return count

    campaign = Campaign(user)
    monkeypatch.setenv("PATH", f"{shim.parent}{os.pathsep}{os.environ['PATH']}")
    user.write("train.py", "LR = 2\n")
    candidate, first = campaign.snapshot(), asked()
    campaign.workspace.materialise_run(campaign.first, candidate.commit, EDITABLE, tmp_path / "run")
    copy = asked()
    campaign.keep(candidate)
    keep = asked()
    user.write("train.py", "LR = 3\n")
    worse = campaign.snapshot()
    asked()
    campaign.revert(worse)
    revert = asked()
    counts = {"snapshot": first, "copy": copy, "keep": keep, "revert": revert}
    limits = {"snapshot": 9, "copy": 3, "keep": 15, "revert": 4}
    assert {verb: count for verb, count in counts.items() if count > limits[verb]} == {}


def test_replace_refs_do_not_change_what_a_commit_holds(user: UserRepository) -> None:
    honest, forged = _blob(user, "LR = 1\n"), _blob(user, "LR = forged\n")
    user.git("replace", honest, forged)
    assert user.git("show", "HEAD:train.py") == "LR = forged\n"
    repository = Repository.at(user.folder)
    assert repository.blobs([honest]) == {honest: b"LR = 1\n"}


def test_a_missing_object_is_an_error_in_words(user: UserRepository) -> None:
    with pytest.raises(GitError, match=r"is missing or damaged\. Run `git fsck`"):
        Repository.at(user.folder).blobs(["1" * 40])


def test_a_message_is_stored_as_it_will_be_read(user: UserRepository) -> None:
    campaign = Campaign(user)
    words = "title\n\n# not a comment\n\ttab \udcff ü 🙂 \0end\n\n\n"
    commit = campaign.workspace.commit_like(campaign.first, campaign.first, words, "2026-01-01T00:00:00+00:00")
    (found,) = campaign.workspace.git.commits(commit, campaign.first)
    assert found.message == "title\n\n# not a comment\n\ttab ? ü 🙂 end\n"


def test_branches_elsewhere_may_have_names_in_any_script(user: UserRepository) -> None:
    user.git("branch", "größe/🙂")
    assert "refs/heads/größe/🙂" in Repository.at(user.folder).refs("refs/heads/")


# -- writing when the disk refuses -------------------------------------------------------------------------------------


@pytest.mark.parametrize("limit", [0, 60, 150, 400])
def test_a_disk_that_refuses_leaves_everything_whole_and_the_next_call_succeeds(
    user: UserRepository, limit: int
) -> None:
    """A limit on file size refuses writes at different depths, ours and git's, as a full disk would."""
    campaign = Campaign(user)
    user.write("train.py", f"LR = 2 # {os.urandom(300).hex()}\n")
    files, branch = user.files(), campaign.branch()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
    failed = None
    try:
        candidate = campaign.snapshot()
        campaign.keep(candidate)
    except (GitError, OSError) as error:
        failed = error
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert failed is not None
    assert user.files() == files
    assert campaign.branch() == branch
    user.git("fsck", "--strict")
    campaign.number = 0
    candidate = campaign.snapshot()
    assert campaign.keep(candidate).status == "kept"
    assert user.status() == ""


def test_a_revert_that_the_disk_refuses_leaves_the_file_whole(user: UserRepository) -> None:
    campaign = Campaign(user)
    user.write("train.py", "LR = 2\n")
    candidate = campaign.snapshot()
    files = user.files()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    # git's questions are short enough for this limit, the file that is to be written is not
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))
    try:
        with pytest.raises((WorkspaceError, OSError)):
            campaign.revert(candidate)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert user.files() == files
    assert campaign.revert(candidate).restored == ("train.py",)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(disk)], capture_output=True, check=False
    )
    if mounted.returncode != 0:
        pytest.skip("a file system can be mounted by root only")
    yield disk
    subprocess.run(["umount", "--lazy", str(disk)], check=True)


def test_on_a_full_disk_everything_stays_whole_and_goes_on_when_there_is_space(small_disk: Path) -> None:
    user = UserRepository.make(small_disk / "lab")
    campaign = Campaign(user)
    user.write("train.py", f"LR = 2 # {os.urandom(20_000).hex()}\n")
    candidate = campaign.snapshot()
    branch, files, filler = campaign.branch(), user.files(), small_disk / "filler"
    for verb in (campaign.snapshot, lambda: campaign.keep(candidate), lambda: campaign.revert(candidate)):
        with filler.open("wb", buffering=0) as file, contextlib.suppress(OSError):
            while True:
                file.write(bytes(4096))
        number = campaign.number
        with pytest.raises((GitError, WorkspaceError, OSError)):
            verb()
        campaign.number = number
        assert (user.files(), campaign.branch()) == (files, branch)
        filler.unlink()
    assert campaign.revert(candidate).restored == ("train.py",)
    assert user.status() == ""
    user.git("fsck", "--strict")


def test_a_read_only_disk_is_said_and_changes_nothing(small_disk: Path) -> None:
    user = UserRepository.make(small_disk / "lab")
    campaign = Campaign(user)
    user.write("train.py", "LR = 2\n")
    candidate = campaign.snapshot()
    before = user.everything()
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    try:
        for verb in (campaign.snapshot, lambda: campaign.keep(candidate), lambda: campaign.revert(candidate)):
            with pytest.raises((WorkspaceError, OSError), match=r"[Rr]ead-only"):
                verb()
        with pytest.raises(WorkspaceError, match="Make it writable"):
            campaign.workspace.ignore()
    finally:
        subprocess.run(["mount", "-o", "remount,rw", str(small_disk)], check=True)
    assert user.everything() == before


# -- copies ------------------------------------------------------------------------------------------------------------


def test_a_copy_holds_the_bytes_that_git_stores(user: UserRepository, tmp_path: Path) -> None:
    user.write("crlf.txt", b"a\r\nb\n").write("id.txt", "$Id$ $Format:%H$\n").write("tool.sh", "#!/bin/sh\n")
    (user.folder / "tool.sh").chmod(0o755)
    os.symlink("notes.txt", user.folder / "src" / "up")
    (user.folder / "src" / "up").unlink()
    os.symlink("../notes.txt", user.folder / "src" / "up")
    commit = user.commit("second")
    user.write(".gitattributes", "* text eol=crlf ident export-subst\nsrc/ export-ignore\n")
    user.git("config", "core.autocrlf", "true")
    repository = Repository.at(user.folder)
    done = materialise(repository, repository.entries(commit), tmp_path / "copy")
    assert (done.files, done.skipped) == (8, ())
    assert (tmp_path / "copy" / "crlf.txt").read_bytes() == b"a\r\nb\n"
    assert (tmp_path / "copy" / "id.txt").read_text() == "$Id$ $Format:%H$\n"
    assert (tmp_path / "copy" / "src" / "up").read_text() == "mine\n"
    assert (tmp_path / "copy" / "tool.sh").stat().st_mode & stat.S_IXUSR
    with pytest.raises(FileExistsError):
        materialise(repository, repository.entries(commit), tmp_path / "copy")


def test_a_run_sees_the_first_commit_with_only_the_candidates_editable_files(
    user: UserRepository, tmp_path: Path
) -> None:
    campaign = Campaign(user, ("train.py", "src/"))
    user.write("prepare.py", "fixed = False\n").commit("the user meddles with a frozen file")
    campaign.tip = user.head()
    user.write("train.py", "LR = 2\n").write("src/new.py", "1\n")
    (user.folder / "src" / "model.py").unlink()
    candidate = campaign.snapshot()
    campaign.workspace.materialise_run(campaign.first, candidate.commit, campaign.patterns, tmp_path / "run")
    run = UserRepository(tmp_path / "run")
    assert run.read("prepare.py") == "fixed = True\n"
    assert run.read("train.py") == "LR = 2\n"
    assert run.read("src/new.py") == "1\n"
    assert not (run.folder / "src" / "model.py").exists()


def test_links_that_lead_outside_are_left_out_and_named(user: UserRepository, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("secret")
    for name, target in {
        "absolute": "/etc/passwd",
        "above": "../secret",
        "src/above": "../../secret",
        "src/root": "..",
        "hop": "src/root/../secret",
        "inside": "src/model.py",
        "dangling": "nothing/here",
    }.items():
        os.symlink(target, user.folder / name)
    commit = user.commit("links")
    repository = Repository.at(user.folder)
    done = materialise(repository, repository.entries(commit), tmp_path / "copy")
    assert done.skipped == ("above", "absolute", "hop", "src/above")
    assert (tmp_path / "copy" / "inside").read_text() == "depth = 1\n"


def test_a_hostile_tree_writes_nothing_outside_its_folder(user: UserRepository, tmp_path: Path) -> None:
    """Names no git would check out: `..`, `.git`, and a link that shares its name with a folder written through it."""
    evil, link = _blob(user, "evil"), _blob(user, "../outside")
    (tmp_path / "outside").mkdir()
    below = _raw_tree(user, ("100644", b"planted", evil))
    tree = _raw_tree(
        user,
        ("40000", b"..", below),
        ("40000", b".GIT", below),
        ("100644", b"a/../../b", evil),
        ("120000", b"door", link),
        ("40000", b"door", below),
        ("100644", b"fine", evil),
    )
    repository = Repository.at(user.folder)
    try:
        done = materialise(repository, repository.entries(tree), tmp_path / "copy")
    except OSError:
        done = None
    assert list((tmp_path / "outside").iterdir()) == []
    assert not (tmp_path / "planted").exists()
    assert not (tmp_path / "copy" / ".GIT").exists()
    if done is not None:
        assert "../planted" in done.skipped


_PARTS = st.sampled_from(["a", "b", "c", ".."])
_TARGETS = st.lists(_PARTS, min_size=1, max_size=4).map("/".join)
_PLACES = st.lists(st.sampled_from(["a", "b", "c"]), min_size=1, max_size=3).map("/".join)


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(links=st.dictionaries(_PLACES, _TARGETS, max_size=6))
def test_no_chain_of_allowed_links_leads_out_of_its_folder(tmp_path: Path, links: dict[str, str]) -> None:
    with tempfile.TemporaryDirectory(dir=tmp_path) as name:
        top = Path(name, "top")
        top.mkdir()
        made = []
        for place, target in sorted(links.items(), key=lambda item: -item[0].count("/")):
            # a tree holds real folders above every link
            parents = ["/".join(place.split("/")[: i + 1]) for i in range(place.count("/"))]
            if stays_inside(place, target) and not any((top / parent).is_symlink() for parent in parents):
                (top / place).parent.mkdir(parents=True, exist_ok=True)
                if not (top / place).exists() and not (top / place).is_symlink():
                    os.symlink(target, top / place)
                    made.append(top / place)
        for link in made:
            try:
                end = link.resolve(strict=False)
            except (RuntimeError, OSError):
                continue  # a loop leads nowhere
            assert end.is_relative_to(top.resolve())


def test_laying_files_over_others_resolves_file_against_folder() -> None:
    file = Entry("100644", "1" * 40)
    assert overlay({"a": file, "b": file}, {"b": None, "c": file}) == {"a": file, "c": file}
    assert overlay({"a": file}, {"a/b": file}) == {"a/b": file}
    assert overlay({"a/b": file, "c": file}, {"a": file}) == {"a": file, "c": file}


def test_a_large_file_kept_outside_git_is_copied_when_its_hash_is_right(user: UserRepository, tmp_path: Path) -> None:
    big = os.urandom(3_000_000)
    digest = hashlib.sha256(big).hexdigest()
    pointer = f"version https://git-lfs.github.com/spec/v1\noid sha256:{digest}\nsize {len(big)}\n"
    commit = user.write("data.bin", pointer).commit("a pointer")
    repository, entries = Repository.at(user.folder), Repository.at(user.folder).entries(commit)
    assert materialise(repository, entries, tmp_path / "without").pointers == ("data.bin",)
    assert (tmp_path / "without" / "data.bin").read_text() == pointer
    store = user.folder / ".git" / "lfs" / "objects" / digest[:2] / digest[2:4]
    store.mkdir(parents=True)
    (store / digest).write_bytes(big[:-1] + b"!")
    forged = materialise(repository, entries, tmp_path / "forged")
    assert (forged.pointers, (tmp_path / "forged" / "data.bin").read_text()) == (("data.bin",), pointer)
    (store / digest).write_bytes(big)
    assert materialise(repository, entries, tmp_path / "with").pointers == ()
    assert (tmp_path / "with" / "data.bin").read_bytes() == big


# -- patterns ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("pattern", "means", "not_"),
    [
        ("train.py", ["train.py", "train.py/below"], ["src/train.py", "train.pyc"]),
        ("src/", ["src/a.py", "src/a/b"], ["src", "srcs/a"]),
        ("src/*.py", ["src/a.py", "src/.py"], ["src/a/b.py", "src/a.pyc"]),
        ("src/**/*.py", ["src/a.py", "src/x/y/a.py"], ["a.py", "src/a.txt"]),
        ("**/x", ["x", "a/x", "a/b/x"], ["ax"]),
        ("src/**", ["src/a", "src/a/b"], ["src"]),
        ("a?.py", ["ab.py"], ["a.py", "a/.py"]),
        ("a[0-9].py", ["a1.py", "a[0-9].py"], ["ab.py"]),
        ("a[!0-9].py", ["ab.py"], ["a1.py", "a/.py"]),
        ("v1.2+x(y)$^.py", ["v1.2+x(y)$^.py"], ["v1x2+x(y)$^.py"]),
        ("new\u2028line", ["new\u2028line"], []),
    ],
)
def test_a_pattern_means_these_paths_and_not_those(pattern: str, means: list[str], not_: list[str]) -> None:
    patterns = Patterns((pattern,))
    assert [path for path in means if not patterns.match(path)] == []
    assert [path for path in not_ if patterns.match(path)] == []


def test_no_pattern_at_all_means_nothing() -> None:
    assert not Patterns(()).match("train.py")


@given(st.text(max_size=30), st.text(max_size=30))
def test_any_text_is_a_pattern_or_is_refused_in_words(pattern: str, path: str) -> None:
    with contextlib.suppress(WorkspaceError):
        Patterns((pattern,)).match(path)


@pytest.mark.parametrize("path", ["", ".", "..", "a/..", "/a", "a//b", ".git", "a/.Git/x", ".git./x", "git~1", ".git "])
def test_names_that_git_would_not_check_out_are_unsafe(path: str) -> None:
    assert not is_safe_path(path)
