"""Runs one git command with its walls up; `git` says which ones.

Every command goes through GitPython's command layer in the same surroundings: hooks, fsmonitor, signing, pagers, lazy
fetching and replace refs off; git's own variables of the caller scrubbed; a session of its own, because clients kill
whole process groups and half a git leaves locks; bounded time. Somebody else's lock is waited for, then named.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, BinaryIO, Literal, NamedTuple, cast

# a missing git is said in words by the first command, not by a failing import
os.environ.setdefault("GIT_PYTHON_REFRESH", "quiet")

import git as gitpython

from mcp_server.nouns.errors import GitError

_WALLS = (
    *("--no-pager", "--no-optional-locks", "--no-replace-objects", "--literal-pathspecs"),
    *("-c", "core.hooksPath=/dev/null", "-c", "core.fsmonitor=false"),
    *("-c", "commit.gpgSign=false", "-c", "tag.gpgSign=false", "-c", "gc.auto=0", "-c", "maintenance.auto=false"),
    *("-c", "core.quotePath=false", "-c", "i18n.commitEncoding=UTF-8", "-c", "i18n.logOutputEncoding=UTF-8"),
    *("-c", "core.fsync=committed,reference"),  # a ref that survives a power cut must not point at an empty object
)
_ENVIRONMENT = {
    **{"GIT_TERMINAL_PROMPT": "0", "GIT_PAGER": "cat", "GIT_EDITOR": "false", "GIT_ASKPASS": "", "LC_ALL": "C"},
    # the reflog's author; without one some settings make git refuse to move a ref
    **{"GIT_COMMITTER_NAME": "autoresearch", "GIT_COMMITTER_EMAIL": "autoresearch@localhost"},
    **{"GIT_ALLOW_PROTOCOL": "none", "GIT_NO_LAZY_FETCH": "1"},  # a missing object is an error, not a network call
}
# How a user tells git who they are and what they trust, and GitPython's own; any other could lead us elsewhere.
_KEPT = re.compile(
    r"GIT_(CONFIG_(GLOBAL|SYSTEM|NOSYSTEM|COUNT|KEY_\d+|VALUE_\d+)|EXEC_PATH|CEILING_DIRECTORIES|PYTHON_.*)"
)
_LOCKED = re.compile(r"Unable to create '(.+?\.lock)': File exists")
_ABANDONED_SECONDS = 120.0  # no command of ours may run that long


class LockHeld(GitError):
    """Another git holds a lock, or a killed one left it; asked again for a while, then said."""


class Answer(NamedTuple):
    code: int
    out: bytes
    error: str


class GitCommand:
    """Git on one work tree. `git_dir` is its own folder, `common` the one that all work trees share."""

    def __init__(self, tree: Path, git_dir: Path, common: Path, patience: float) -> None:
        self.tree, self.git_dir, self.common = tree, git_dir, common
        self.patience = patience  # seconds to wait for somebody else's lock
        self._git = gitpython.cmd.Git(tree)

    @contextlib.contextmanager
    def running(
        self,
        arguments: Sequence[str],
        *,
        where: Sequence[str] | None = None,
        stdin: Iterable[bytes] | Literal["pipe"] | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> Iterator[tuple[subprocess.Popen[bytes], IO[bytes]]]:
        """A git at work and its output; ended politely (git then removes its locks) if we leave before it does."""
        if where is None:
            where = (f"--git-dir={self.git_dir}", f"--work-tree={self.tree}")
        with contextlib.ExitStack() as stack:
            given: IO[bytes] | int | None = subprocess.PIPE if stdin == "pipe" else None
            if stdin is not None and not isinstance(
                stdin, str
            ):  # a file rather than a pipe: no way to block each other
                file = given = stack.enter_context(tempfile.TemporaryFile())
                file.writelines(stdin)
                file.seek(0)
            try:
                ours = {**_ENVIRONMENT, **(environment or {})}
                guard = self._git.execute(
                    [*_scrub(ours), "git", *_WALLS, *where, *arguments],
                    istream=cast(BinaryIO, given),
                    as_process=True,
                    env=ours,
                    start_new_session=True,
                )
            except gitpython.GitCommandNotFound as error:
                raise GitError("git is not installed, or not on PATH. Install git 2.31 or newer.") from error
            assert isinstance(guard, gitpython.Git.AutoInterrupt)
            process = guard.proc
            assert process is not None
            assert process.stdout is not None
            try:
                yield process, process.stdout
            finally:
                if process.poll() is None:
                    with contextlib.suppress(ProcessLookupError):
                        os.killpg(process.pid, signal.SIGTERM)
                    process.wait()
                for stream in (process.stdin, process.stdout, process.stderr):
                    if stream is not None:
                        stream.close()
                del guard  # it ends its process when forgotten; until here it must not be

    def once(
        self,
        arguments: Sequence[str],
        where: Sequence[str] | None = None,
        stdin: bytes | None = None,
        environment: Mapping[str, str] | None = None,
        seconds: float = 60.0,
    ) -> Answer:
        given = None if stdin is None else (stdin,)
        with self.running(arguments, where=where, stdin=given, environment=environment) as (process, _):
            try:
                out, error = process.communicate(timeout=seconds)
            except subprocess.TimeoutExpired:
                raise GitError(
                    f"git {arguments[0]} did not finish in {seconds:.0f} s. Look whether the disk is stuck."
                ) from None
            return Answer(process.returncode, out, error.decode("utf-8", "replace"))

    def ask(self, *arguments: str, stdin: bytes | None = None, environment: Mapping[str, str] | None = None) -> Answer:
        """Run one command; wait and ask again while somebody else holds a lock that it needs."""
        deadline, pause = time.monotonic() + self.patience, 0.01
        while True:
            answer = self.once(arguments, stdin=stdin, environment=environment)
            found = _LOCKED.search(answer.error) if answer.code else None
            if found is None:
                return answer
            lock = Path(found[1])
            if self._abandoned(lock):
                lock.unlink(missing_ok=True)
            elif time.monotonic() > deadline:
                raise LockHeld(
                    f"Another git is at work in this repository, or was killed there: {lock} exists. "
                    "Wait for it; if no git is running, remove that file and try again."
                )
            else:
                time.sleep(pause)  # a lock file sends no event when it goes
                pause = min(pause * 2, 0.2)

    def _abandoned(self, lock: Path) -> bool:
        """Whether a lock is one that only we take, and older than any command of ours may live."""
        with contextlib.suppress(OSError):
            ours = lock.is_relative_to(self.common / "refs" / "autoresearch")
            return ours and time.time() - lock.lstat().st_mtime > _ABANDONED_SECONDS
        return False

    def do(self, *arguments: str, stdin: bytes | None = None, environment: Mapping[str, str] | None = None) -> bytes:
        answer = self.ask(*arguments, stdin=stdin, environment=environment)
        if answer.code != 0:
            raise GitError(f"git {arguments[0]} failed: {last_words(answer.error)}. Nothing was changed by it.")
        return answer.out


def _scrub(ours: Mapping[str, str]) -> list[str]:
    """A prefix that takes the caller's own git variables away, e.g. when we are started from a hook; `ours` stay."""
    foreign = (name for name in os.environ if name.startswith("GIT_") and not _KEPT.fullmatch(name))
    names = [name for name in foreign if name not in ours]
    return ["env", *(part for name in names for part in ("-u", name))] if names else []


def last_words(error: str) -> str:
    lines = [line.strip() for line in error.splitlines() if line.strip()]
    return " / ".join(lines[-3:])[:600].rstrip(".") or "it gave no reason"
