"""Another place that holds journals, as git sees it: look, fetch, push; a folder, a server or a bundle file.

Every call has a time limit, asks nobody for a password, and takes no more than it was told. What the user's own git
configuration says about servers (credentials, proxies, ssh) is heeded; repositories' configuration is not.
"""

from __future__ import annotations

import math
import os
import signal
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from mcp_server.community.settings import PROTOCOLS, Settings, without_password
from mcp_server.community.wire.store import (
    BRANCHES,
    LABS,
    LEASE_BRANCHES,
    LEASES,
    Quarantine,
    Store,
    journal_ref,
    key_of_ref,
    lab_of_ref,
)
from mcp_server.nouns.errors import CommunityError, GitError
from mcp_server.nouns.text import clean_line
from mcp_server.repo.command import last_words

LIST_BYTES = 4 * 2**20  # of an answer to "which refs have you": 50,000 labs
SECONDS = 300.0
LOOK_SECONDS = 60.0
SSH = "ssh -o BatchMode=yes -o ConnectTimeout=15 -o ServerAliveInterval=10 -o ServerAliveCountMax=3"
# what a user tells git about servers through the environment
_HEEDED = (
    *("GIT_SSH", "GIT_SSH_COMMAND", "GIT_SSH_VARIANT", "GIT_PROXY_SSL_CAINFO", "GIT_HTTP_USER_AGENT"),
    *("GIT_SSL_CAINFO", "GIT_SSL_CAPATH", "GIT_SSL_CERT", "GIT_SSL_KEY"),
)
_QUIET = ("-c", "push.gpgSign=false", "-c", "push.followTags=false", "-c", "push.recurseSubmodules=no")
# A folder is served by a git of our own: the hooks and commands that its configuration names do not run.
_TAME = (
    "git -c core.hooksPath=/dev/null -c core.fsmonitor=false -c core.alternateRefsCommand=true -c gc.auto=0"
    " -c receive.autogc=false"
)
# words of a git that looked at what came and would not have it, rather than of one that met no server
_SPOILT = ("fsck", "corrupt", "bad object", "invalid object", "too large", "malformed", "inflate")
_ENDED = ("index-pack", "unpack")  # whatever ended these: what came, or that it stopped coming
_CUT = ("early eof", "unexpected disconnect", "rpc failed", "hung up", "no space left")


class Unreachable(CommunityError):
    """The other place did not answer, or not as git does. Nothing was changed; it is tried again."""


class Absent(Unreachable):
    """What was asked for is not there."""


class Spoilt(CommunityError):
    """What came is no sound git: it was thrown away."""


@dataclass
class Listing:
    """What a remote offers: (ref, tip) of each journal by lab, of each lease by key, and the refs that are neither."""

    labs: dict[str, tuple[str, str]] = field(default_factory=dict)
    leases: dict[str, tuple[str, str]] = field(default_factory=dict)
    odd: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Move:
    """A ref of the other place as it should be.

    new: "" for gone. old: what it must be now, or nothing is done; "" for absent; None for whatever `new` contains.
    """

    ref: str
    new: str
    old: str | None = None

    @property
    def words(self) -> tuple[str, ...]:
        """As git's push takes it."""
        lease = () if self.old is None else (f"--force-with-lease={self.ref}:{self.old}",)
        return (*lease, f"{self.new}:{self.ref}")


class Remote:
    """The place a lab has joined."""

    def __init__(self, store: Store, settings: Settings, ends: float = math.inf) -> None:
        """ends: when everything must be over, by `time.monotonic`; no call goes on after it, and none begins."""
        self._store, self._settings, self._ends = store, settings, ends

    @property
    def is_carried(self) -> bool:
        """A bundle: somebody reads it by hand, and what was damaged on its way is carried again."""
        return self._settings.kind == "bundle"

    @property
    def shown(self) -> str:
        return self._settings.shown

    def _left(self, most: float) -> float:
        """Seconds for one call. Raises Unreachable when the time is over."""
        left = min(most, self._ends - time.monotonic())
        if left <= 0:
            raise Unreachable(f"{self.shown} is slow")
        return left

    def listing(self, *refs: str) -> Listing:
        """All journals and leases, or only what these refs are. Raises Unreachable."""
        found = Listing()
        for line in self._look(refs).splitlines():
            oid, _, name = line.partition("\t")
            if not name.startswith((LABS, BRANCHES, LEASES, LEASE_BRANCHES)):
                continue
            lab, key = lab_of_ref(name), key_of_ref(name)
            of = found.labs if lab else found.leases
            who = lab or key
            if who is None or len(oid) != 40:
                found.odd.append(clean_line(name, 80))
            elif who not in of or name.startswith((LABS, LEASES)):
                of[who] = (name, oid)
        return found

    def _tame(self, program: str) -> tuple[str, ...]:
        return (f"--{program}={_TAME} {program}",) if self._settings.kind == "folder" else ()

    def _look(self, refs: Sequence[str]) -> str:
        where = (*self._tame("upload-pack"), "--end-of-options", self._settings.remote, *refs)
        command, seconds = ("ls-remote", "--refs", *where), self._left(LOOK_SECONDS)
        with self._store.running(command, environment=_environment()) as (process, out):
            # the whole group: what speaks to a server is a child of git's, and outlives it
            stop = threading.Timer(seconds, os.killpg, (process.pid, signal.SIGTERM))
            stop.start()
            try:
                said = out.read(LIST_BYTES + 1)
                if len(said) > LIST_BYTES:
                    raise Unreachable(f"{self.shown} offers too many refs. Join a repository made for journals.")
                error = process.stderr.read(20_000).decode("utf-8", "replace") if process.stderr else ""
                code = process.wait()
            finally:
                stop.cancel()
            if code < 0:
                raise Unreachable(f"{self.shown} did not answer in {seconds:.0f} s. It is tried again.")
            if code != 0:
                raise Unreachable(f"{self.shown} cannot be read: {_words(error, self._settings)}. It is tried again.")
        return said.decode("utf-8", "replace")

    def fetch(self, quarantine: Quarantine, refs: Mapping[str, str]) -> None:
        """Journals into the quarantine, as `journal_ref(lab)`: refs by lab. Raises Unreachable or Spoilt."""
        self._fetch(quarantine, [f"+{ref}:{journal_ref(lab)}" for lab, ref in refs.items()], SECONDS)

    def fetch_leases(self, quarantine: Quarantine, refs: Sequence[str]) -> None:
        """Leases into the quarantine under their own names, without what they stand on. Raises Unreachable, Spoilt."""
        self._fetch(quarantine, [f"+{ref}:{ref}" for ref in refs], LOOK_SECONDS, "--depth=1")

    def _fetch(self, into: Quarantine, wanted: Sequence[str], seconds: float, *more: str) -> None:
        plain = ("--no-tags", "--no-write-fetch-head", "--no-auto-maintenance", "--no-recurse-submodules", "--quiet")
        where = (*self._tame("upload-pack"), "--end-of-options", self._settings.remote, *wanted)
        command = [*into.strict(), "fetch", *plain, *more, *where]
        try:
            answer = into.once(command, environment=_environment(), seconds=self._left(seconds))
        except GitError as error:
            raise Unreachable(f"{self.shown}: {error}") from None
        if answer.code != 0:
            said = _words(answer.error, self._settings)
            if answer.code < 0 or _is_spoilt(answer.error.lower()):
                raise Spoilt(f"git would not have it: {said}")
            if "find remote ref" in answer.error:
                raise Absent(f"{self.shown} has it no more: {said}")
            raise Unreachable(f"{self.shown} cannot be read: {said}. It is tried again.")

    def push(self, moves: Sequence[Move]) -> dict[str, str]:
        """Move refs there, each on its own; why one was refused, by ref. Raises Unreachable when none was looked at.

        A host that lets no ref be rewritten (`receive.denyNonFastForwards`, protected branches) has it taken away and
        made again: both only if it is what we think, so that of two who do so one wins.
        """
        refused = self._push(moves)
        stuck = [one for one in moves if one.new and one.old and "[remote rejected]" in refused.get(one.ref, "")]
        if stuck:
            kept = self._push([Move(one.ref, "", one.old) for one in stuck])
            again = [Move(one.ref, one.new, "") for one in stuck if one.ref not in kept]
            for one in again:
                del refused[one.ref]
            refused |= self._push(again) if again else {}
        return refused

    def _push(self, moves: Sequence[Move]) -> dict[str, str]:
        where = (*self._tame("receive-pack"), "--end-of-options", self._settings.remote)
        leases = [word for one in moves for word in one.words[:-1]]
        command = [*_QUIET, "push", "--porcelain", "--no-verify", *leases, *where, *(one.words[-1] for one in moves)]
        try:
            answer = self._store.once(command, environment=_environment(), seconds=self._left(SECONDS))
        except GitError as error:
            raise Unreachable(f"{self.shown}: {error}") from None
        told = [line.split("\t") for line in answer.out.decode("utf-8", "replace").splitlines()]
        bad = [line for line in told if line[0] == "!" and len(line) > 2]
        found = {line[1].partition(":")[2]: clean_line(line[2], 300) for line in bad}
        if answer.code != 0 and not found:
            raise Unreachable(f"{self.shown} took nothing: {_words(answer.error, self._settings)}. It is tried again.")
        return found


def accept(store: Store, quarantine: Quarantine, refs: Mapping[str, str], everything: bool = False) -> None:
    """Take journals from the quarantine: refs of the store by the quarantine's ref or commit. Raises GitError.

    everything: nothing else is in there, so that its packs are moved as they are.
    """
    if everything:
        there, before = quarantine.refs(LABS), store.refs(LABS)
        try:
            store.take_objects(quarantine)
        except OSError as error:
            raise GitError(f"What was checked could not be moved: {error}. It is tried again.") from None
        store.move_refs({target: (before.get(target, ""), there[source]) for target, source in refs.items()})
        return
    plain = ("--no-tags", "--no-write-fetch-head", "--no-auto-maintenance", "--no-recurse-submodules", "--quiet")
    wanted = [f"{source}:{target}" for target, source in refs.items()]
    answer = store.once(
        ["fetch", *plain, "--end-of-options", str(quarantine.git_dir), *wanted],
        environment={"GIT_ALLOW_PROTOCOL": "file"},
        seconds=SECONDS,
    )
    if answer.code != 0:
        raise GitError(f"git could not take what was checked: {last_words(answer.error)}. It is tried again.")


def _is_spoilt(error: str) -> bool:
    """Whether a git would not have what came. A line that was cut, or a full disk, says nothing against a journal."""
    cut = any(word in error for word in _CUT)
    return any(word in error for word in (_SPOILT if cut else (*_SPOILT, *_ENDED)))


def _environment() -> dict[str, str]:
    heeded = {name: os.environ[name] for name in _HEEDED if name in os.environ}
    return {"GIT_ALLOW_PROTOCOL": PROTOCOLS, "GIT_SSH_COMMAND": SSH, **heeded}


def _words(error: str, settings: Settings) -> str:
    """git's last words, cleaned, and without a password that they may repeat."""
    said = last_words(error)
    return clean_line(said.replace(settings.remote, without_password(settings.remote)), 300)
