"""Real repositories for the tests of git: a user's, with a baseline, that can be compared byte for byte."""

from __future__ import annotations

import atexit
import functools
import os
import shutil
import stat
import subprocess
import tempfile
from pathlib import Path

from mcp_server.repo.workspace import Snapshot, Workspace

DATE = "2026-01-02T03:04:05.678+00:00"
EDITABLE = ("train.py",)
_MADE: dict[tuple[str, ...], Path] = {}


@functools.cache
def _templates() -> str:
    """A folder for repositories that are made once and copied for each test."""
    folder = tempfile.mkdtemp(prefix="autoresearch-tests-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


class UserRepository:
    """A repository as its user sees it; git runs here as they would run it, with their name and no walls."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @classmethod
    def make(cls, folder: Path, *options: str) -> UserRepository:
        """train.py, prepare.py, notes.txt and src/ in one commit on `main`."""
        if options not in _MADE:
            first = cls(Path(tempfile.mkdtemp(dir=_templates())))
            first.git("init", "-q", "-b", "main", *options)
            first.write("train.py", "LR = 1\n").write("prepare.py", "fixed = True\n").write("notes.txt", "mine\n")
            first.write("src/model.py", "depth = 1\n").write("src/deep/er.py", "x = 1\n")
            first.commit("first")
            _MADE[options] = first.folder
        shutil.copytree(_MADE[options], folder, symlinks=True)
        user = cls(folder)
        user.git("update-index", "--refresh")  # the copies are other files to git than those it knows
        return user

    def git(self, *arguments: str, check: bool = True) -> str:
        named = ("-c", "user.name=User", "-c", "user.email=user@example.com")
        done = subprocess.run(
            ["git", *named, *arguments],
            cwd=self.folder,
            check=False,
            capture_output=True,
            text=True,
            errors="replace",
            stdin=subprocess.DEVNULL,
            timeout=60,  # a hostile repository may make the user's git wait for ever
        )
        assert not check or done.returncode == 0, done.stderr
        return done.stdout

    def write(self, path: str, content: str | bytes) -> UserRepository:
        place = self.folder / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content.encode() if isinstance(content, str) else content)
        return self

    def read(self, path: str) -> str:
        return (self.folder / path).read_text()

    def commit(self, message: str, *paths: str) -> str:
        self.git("add", "--", *(paths or (".",)))
        self.git("commit", "-q", "-m", message)
        return self.git("rev-parse", "HEAD").strip()

    def head(self) -> str:
        return self.git("rev-parse", "HEAD").strip()

    def status(self) -> str:
        return self.git("status", "--porcelain", "--untracked-files=all")

    def files(self, *but: str) -> dict[str, tuple[int, bytes]]:
        """Mode and bytes of everything in the work tree, except `but`."""
        found: dict[str, tuple[int, bytes]] = {}
        for folder, names, files in os.walk(self.folder):
            names[:] = [name for name in names if name != ".git"]
            for name in [*names, *files]:
                place = Path(folder) / name
                path, mode = str(place.relative_to(self.folder)), place.lstat().st_mode
                content = os.readlink(place).encode() if place.is_symlink() else b""
                if path not in but and path != ".git":
                    found[path] = (mode, place.read_bytes() if stat.S_ISREG(mode) else content)
        return found

    def everything(self) -> tuple[object, ...]:
        """All that is the user's: files, index, HEAD, branches, stash."""
        git_dir = self.folder / self.git("rev-parse", "--git-dir").strip()
        index = (git_dir / "index").read_bytes()
        refs = self.git("for-each-ref", "refs/heads", "refs/tags", "refs/stash")
        return self.files(), index, (git_dir / "HEAD").read_bytes(), refs


class Campaign:
    """One campaign on a user's repository: the verbs in the order a lab calls them."""

    def __init__(self, user: UserRepository, patterns: tuple[str, ...] = EDITABLE, *, first: str = "") -> None:
        self.user, self.patterns, self.tag = user, patterns, "t"
        self.workspace = Workspace(user.folder, patience=0.2)
        self.first = self.tip = first or user.head()
        self.number = 0
        self.workspace.begin(self.tag, self.first, patterns)

    def snapshot(self) -> Snapshot:
        self.number += 1
        words = f"Experiment {self.number}"
        return self.workspace.snapshot(self.patterns, self.tip, words, DATE, tag=self.tag, number=self.number)

    def message(self) -> str:
        return f"Experiment {self.number}: keep\n\nExperiment: {self.number}\nScore: 1.0"

    def keep(self, candidate: Snapshot):  # type: ignore[no-untyped-def]
        outcome = self.workspace.keep(self.tag, candidate.commit, self.tip, self.message(), DATE, self.patterns)
        self.tip = outcome.commit or self.tip
        return outcome

    def revert(self, candidate: Snapshot):  # type: ignore[no-untyped-def]
        return self.workspace.revert(self.patterns, candidate.commit, self.tip)

    def branch(self) -> list[str]:
        return self.user.git("log", "--format=%s", f"autoresearch/{self.tag}").splitlines()
