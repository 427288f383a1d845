"""Runs one git command with its walls up; `git` says which ones.

Every command runs in the same surroundings: hooks, fsmonitor, signing, pagers, lazy
fetching and replace refs off; git's own variables of the caller scrubbed; a session of its own, because clients kill
whole process groups and half a git leaves locks; bounded time. Somebody else's lock is waited for, then named.

A verb asks for the same commit's files again and again. Within `at_hand` each object is asked for once, of one git that
stays; what is remembered is forgotten at its end, for between two verbs anything may change, down to objects that git's
own gc removed.
"""

from __future__ import annotations

import contextlib
import functools
import os
import re
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Concatenate, Literal, NamedTuple, ParamSpec, Protocol, TypeVar

from mcp_server.nouns.errors import GitError

_WALLS = (
    *("--no-pager", "--no-optional-locks", "--no-replace-objects", "--literal-pathspecs"),
    *("-c", "core.hooksPath=/dev/null", "-c", "core.fsmonitor=false"),
    *("-c", "commit.gpgSign=false", "-c", "tag.gpgSign=false", "-c", "gc.auto=0", "-c", "maintenance.auto=false"),
    *("-c", "core.quotePath=false", "-c", "i18n.commitEncoding=UTF-8", "-c", "i18n.logOutputEncoding=UTF-8"),
    *("-c", "core.fsync=committed,reference"),  # a ref that survives a power cut must not point at an empty object
)
_ENVIRONMENT = {
    **{
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_PAGER": "cat",
        "GIT_EDITOR": "false",
        "GIT_ASKPASS": "",
        "LC_ALL": "C",
        "LANGUAGE": "C",
    },
    # the reflog's author; without one some settings make git refuse to move a ref
    **{"GIT_COMMITTER_NAME": "autoresearch", "GIT_COMMITTER_EMAIL": "autoresearch@localhost"},
    **{"GIT_ALLOW_PROTOCOL": "none", "GIT_NO_LAZY_FETCH": "1"},  # a missing object is an error, not a network call
}
# How a user tells git who they are and what they trust; any other could lead us elsewhere.
_KEPT = re.compile(r"GIT_(CONFIG_(GLOBAL|SYSTEM|NOSYSTEM|COUNT|KEY_\d+|VALUE_\d+)|EXEC_PATH|CEILING_DIRECTORIES)")
_LOCKED = re.compile(r"Unable to create '(.+?\.lock)': File exists")
_ABANDONED_SECONDS = 120.0  # no command of ours may run that long
_KEPT_BYTES = 1 << 20  # larger objects are not remembered


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

    @property
    def where(self) -> tuple[str, ...]:
        """How every git is told what it works on."""
        return (f"--git-dir={self.git_dir}", f"--work-tree={self.tree}")

    def confine(self, pid: int) -> None:
        """What a git that was just started may not do from now on; nothing is forbidden on a work tree of ours."""

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
        with contextlib.ExitStack() as stack:
            given: IO[bytes] | int | None = subprocess.PIPE if stdin == "pipe" else None
            if stdin is not None and not isinstance(stdin, str):
                # a file rather than a pipe: no way to block each other
                file = given = stack.enter_context(tempfile.TemporaryFile())
                file.writelines(stdin)
                file.seek(0)
            ours = {name: value for name, value in os.environ.items() if _passes(name)} | _ENVIRONMENT
            try:
                process = subprocess.Popen(
                    ["git", *_WALLS, *(self.where if where is None else where), *arguments],
                    cwd=self.tree,
                    env={**ours, **(environment or {})},
                    stdin=subprocess.DEVNULL if given is None else given,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE,
                    start_new_session=True,
                )
            except OSError as error:
                if not self.tree.is_dir():
                    raise GitError(f"The folder {self.tree} is gone. Start in a work tree that is there.") from error
                raise GitError("git is not installed, or not on PATH. Install git 2.31 or newer.") from error
            assert process.stdout is not None
            try:
                self.confine(process.pid)
                yield process, process.stdout
            finally:
                if process.poll() is None:
                    with contextlib.suppress(ProcessLookupError):
                        os.killpg(process.pid, signal.SIGTERM)
                    process.wait()
                for stream in (process.stdin, process.stdout, process.stderr):
                    if stream is not None:
                        stream.close()

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


class Object(NamedTuple):
    """An object of the repository by a name that leads to it."""

    oid: str
    content: bytes


@dataclass
class _Session:
    """What one verb has at hand."""

    stack: contextlib.ExitStack
    process: subprocess.Popen[bytes] | None = None
    midway: bool = False  # an object was asked for whose content was not read to its end
    remembered: dict[Hashable, Any] = field(default_factory=dict)


class Near(GitCommand):
    """Git on one work tree, with a reader that stays for the time of a verb."""

    def __init__(self, tree: Path, git_dir: Path, common: Path, patience: float) -> None:
        super().__init__(tree, git_dir, common, patience)
        self._threads = threading.local()  # a reader answers one thread's questions, in their order

    @property
    def _session(self) -> _Session | None:
        found: _Session | None = getattr(self._threads, "session", None)
        return found

    @property
    def is_at_hand(self) -> bool:
        return self._session is not None

    @contextlib.contextmanager
    def at_hand(self) -> Iterator[None]:
        """Read from one git until the end, in this thread; within another of these it adds nothing."""
        if self._session is not None:
            yield
            return
        with contextlib.ExitStack() as stack:
            self._threads.session = _Session(stack)
            try:
                yield
            finally:
                self._threads.session = None

    def remembered(self, key: Hashable) -> Any:
        """What was remembered in this verb; None where nothing was."""
        return None if self._session is None else self._session.remembered.get(key)

    def remember(self, key: Hashable, value: object) -> None:
        if self._session is not None:
            self._session.remembered[key] = value

    def named(self, name: str) -> Object:
        """An object by its name, or by one that leads to it ("<commit>^{tree}"). Raises GitError where it is not."""
        with self.at_hand():
            known = self.remembered(name)
            if known is None:
                oid, size, out = self._asked(name)
                known = Object(oid, _whole(out, size))
                out.read(1)
                if size <= _KEPT_BYTES:
                    self.remember(name, known)
                    self.remember(oid, known)
            found: Object = known
            return found

    def streamed(self, oids: Iterable[str]) -> Iterator[tuple[int, IO[bytes]]]:
        """Size and content of each object, within `at_hand`. Read just the size before asking for the next."""
        session = self._session
        assert session is not None
        for oid in oids:
            _, size, out = self._asked(oid)
            session.midway = True
            yield size, out
            out.read(1)
            session.midway = False

    def _asked(self, name: str) -> tuple[str, int, IO[bytes]]:
        session = self._session
        assert session is not None
        if session.midway:  # whoever read before gave up in the middle of an object: its rest is no answer of ours
            session.process, session.midway = None, False
        stdin, stdout = self._reader(session)
        try:
            stdin.write(name.encode("utf-8", "surrogateescape") + b"\n")
            stdin.flush()
            header = stdout.readline().split()
        except OSError as error:
            raise GitError(f"git stopped while {name} was read: {error}. Try again.") from None
        if len(header) != 3 or not header[2].isdigit():
            raise GitError(
                f"The object {name.removesuffix('^{tree}')} is missing or damaged. Run `git fsck`; in a partial clone, "
                "fetch everything first (`git fetch --refetch --no-filter`)."
            )
        return header[0].decode(), int(header[2]), stdout

    def _reader(self, session: _Session) -> tuple[IO[bytes], IO[bytes]]:
        if session.process is None:
            session.process, _ = session.stack.enter_context(self.running(["cat-file", "--batch"], stdin="pipe"))
        stdin, stdout = session.process.stdin, session.process.stdout
        assert stdin is not None
        assert stdout is not None
        return stdin, stdout


class HasGit(Protocol):
    git: Any  # a Near


W = TypeVar("W", bound=HasGit)
P = ParamSpec("P")
R = TypeVar("R")


def at_hand(verb: Callable[Concatenate[W, P], R]) -> Callable[Concatenate[W, P], R]:
    """A method that reads with one git that stays until its end."""

    @functools.wraps(verb)
    def reading(self: W, /, *given: P.args, **named: P.kwargs) -> R:
        with self.git.at_hand():
            return verb(self, *given, **named)

    return reading


def _whole(out: IO[bytes], size: int) -> bytes:
    content = out.read(size)
    if len(content) != size:
        raise GitError("git stopped in the middle of an object. Try again.")
    return content


def _passes(name: str) -> bool:
    """Whether a variable of the caller's reaches git. Git's own do not: whoever starts us from a hook has set them."""
    return not name.startswith("GIT_") or _KEPT.fullmatch(name) is not None


def last_words(error: str) -> str:
    lines = [line.strip() for line in error.splitlines() if line.strip()]
    return " / ".join(lines[-3:])[:600].rstrip(".") or "it gave no reason"
