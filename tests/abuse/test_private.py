"""Case 47: what a lab and a machine's locks let other users see or take first: nothing, from the beginning."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from mcp_server.arena.corpus import read_corpus
from mcp_server.ledger import Ledger
from mcp_server.nouns.errors import WorkspaceError
from mcp_server.nouns.files import open_lock, private_folder
from mcp_server.nouns.paths import device_locks_folder
from mcp_server.runner.machine import cores, devices
from tests.scoring.tiny import write_corpus

pytestmark = pytest.mark.abuse

STRANGER, VICTIM = 64_001, 64_002  # user ids that nobody has
as_root = pytest.mark.skipif(os.getuid() != 0, reason="only root can be two other users")


def open_to_others(*places: Path) -> list[str]:
    """Those of `places`, and of what is in them, that somebody else could read or write."""
    every = [path for place in places for path in (place, *place.rglob("*"))]
    return [str(path) for path in every if path.lstat().st_mode & 0o077]


def as_user(uid: int, act: Callable[[], object]) -> str:
    """What `act` answers or raises in a process of that user."""
    ours, theirs = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.setresgid(uid, uid, uid)
            os.setresuid(uid, uid, uid)
            said = str(act())
        except Exception as error:
            said = f"{type(error).__name__}: {error}"
        os.write(theirs, said.encode())
        os._exit(0)
    os.close(theirs)
    os.waitpid(child, 0)
    with os.fdopen(ours) as answer:
        return answer.read()


@pytest.fixture(autouse=True)
def told(request: pytest.FixtureRequest, record_property: Callable[[str, object], None]) -> None:
    words = request.node.name.removeprefix("test_").replace("_", " ")
    record_property("abuse", [47, words, "shut, or refused", ""])


@pytest.fixture
def nobody(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where the locks of a user are who has never used this machine."""
    monkeypatch.delenv("AUTORESEARCH_LOCKS", raising=False)
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
    place = Path(f"/tmp/autoresearch-{VICTIM}")
    yield place
    if place.is_symlink():
        place.unlink()
    elif place.exists():
        for path in place.iterdir():
            path.unlink()
        place.rmdir()


def test_a_ledger_and_its_journals_are_private_from_the_beginning(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        ledger = Ledger(tmp_path / "autoresearch" / "lab.db")
        try:
            assert {path.name for path in (tmp_path / "autoresearch").iterdir()} >= {"lab.db", "lab.db-wal"}
            assert open_to_others(tmp_path / "autoresearch") == []
        finally:
            ledger.close()
    finally:
        os.umask(before)


def test_a_lab_that_an_older_version_left_open_is_shut_when_it_is_opened(tmp_path: Path) -> None:
    state = tmp_path / "autoresearch"
    Ledger(state / "lab.db").close()
    state.chmod(0o755)
    for name in ("lab.db", "lab.db-wal", "lab.db-shm"):
        (state / name).touch()
        (state / name).chmod(0o644)
    Ledger(state / "lab.db").close()
    assert open_to_others(state) == []


def test_the_sealed_half_of_an_older_corpus_is_shut_when_it_is_opened(tmp_path: Path) -> None:
    corpus = write_corpus(tmp_path / "corpus")
    (corpus / "sealed").chmod(0o755)
    read_corpus(corpus)
    assert open_to_others(corpus / "sealed") == []
    assert stat.S_IMODE((corpus / "public" / "meta.json").stat().st_mode) & 0o444


def test_a_lock_is_not_taken_through_a_link(tmp_path: Path) -> None:
    (tmp_path / "cpu.lock").symlink_to(tmp_path / "somewhere")
    with pytest.raises(OSError, match="symbolic link"):
        open_lock(tmp_path / "cpu.lock")
    assert not (tmp_path / "somewhere").exists()


@pytest.mark.parametrize("lease", [lambda at: devices.try_lease(at, ("cpu",)), lambda at: cores.lease(at, (0,), 1)])
def test_locks_are_not_put_into_a_folder_that_is_a_link(tmp_path: Path, lease: Callable[[Path], object]) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "locks").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(PermissionError, match="link"):
        lease(tmp_path / "locks")
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_the_same_folder_is_found_from_every_session(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("AUTORESEARCH_LOCKS")
    found = set()
    for variable in ("", str(tmp_path)):
        for name in ("TMPDIR", "XDG_RUNTIME_DIR"):
            monkeypatch.setenv(name, variable)
            found.add(device_locks_folder())
    assert len(found) == 1


@pytest.mark.parametrize("given", ["locks", "./locks", "../locks"])
def test_a_folder_that_is_another_for_every_process_is_refused(monkeypatch: pytest.MonkeyPatch, given: str) -> None:
    """A supervisor stands in its run's folder: each had locks of its own there, and all ran on one device."""
    monkeypatch.setenv("AUTORESEARCH_LOCKS", given)
    with pytest.raises(WorkspaceError, match=f"'{given}'"):
        device_locks_folder()


def test_a_clients_settings_may_name_the_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("AUTORESEARCH_LOCKS", "~/locks")
    assert device_locks_folder() == tmp_path / "locks"


@as_root
@pytest.mark.parametrize("kind", ["folder", "link"])
def test_a_folder_that_another_user_made_first_is_not_used(nobody: Path, kind: str, tmp_path: Path) -> None:
    if kind == "folder":
        nobody.mkdir(mode=0o777)
    else:
        nobody.symlink_to(tmp_path)
    os.chown(nobody, STRANGER, STRANGER, follow_symlinks=False)
    said = as_user(VICTIM, device_locks_folder)
    assert said.startswith(WorkspaceError.__name__)
    assert "AUTORESEARCH_LOCKS" in said
    assert as_user(VICTIM, lambda: devices.try_lease(nobody, ("cpu",))).startswith("PermissionError")


@as_root
def test_who_finds_the_name_taken_goes_to_the_runtime_folder_of_the_session(
    nobody: Path, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    nobody.mkdir()
    os.chown(nobody, STRANGER, STRANGER)
    runtime = Path(f"/tmp/runtime-{VICTIM}")
    runtime.mkdir(mode=0o700)
    try:
        os.chown(runtime, VICTIM, VICTIM)
        monkeypatch.setenv("XDG_RUNTIME_DIR", str(runtime))
        assert as_user(VICTIM, device_locks_folder) == str(runtime / "autoresearch")
        os.chown(runtime, STRANGER, STRANGER)  # and neither to one that is somebody else's
        assert as_user(VICTIM, device_locks_folder).startswith(WorkspaceError.__name__)
    finally:
        runtime.rmdir()


@as_root
def test_a_folder_of_ones_own_is_used_and_shut(nobody: Path) -> None:
    def use() -> str:
        folder = device_locks_folder()
        private_folder(folder)
        folder.chmod(0o755)
        devices.try_lease(folder, ("cpu",))
        return f"{folder} {stat.S_IMODE(folder.stat().st_mode):o}"

    assert as_user(VICTIM, use) == f"{nobody} 700"
