"""Another place that holds journals, as git sees it: look, fetch, push; a folder, a server or a bundle file.

Every call has a time limit, asks nobody for a password, and takes no more than it was told. What the user's own git
configuration says about servers (credentials, proxies, ssh) is heeded; repositories' configuration is not.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field

from mcp_server.community.settings import PROTOCOLS, Settings, without_password
from mcp_server.community.wire.store import BRANCHES, LABS, Quarantine, Store, bounded, journal_ref, lab_of_ref
from mcp_server.nouns.errors import CommunityError, GitError
from mcp_server.nouns.text import clean_line
from mcp_server.repo.command import last_words

LIST_BYTES = 4 * 2**20  # of an answer to "which refs have you": 50,000 labs
FETCH_BYTES = 512 * 2**20
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
_TAME = "git -c core.hooksPath=/dev/null -c core.fsmonitor=false -c core.alternateRefsCommand=true -c gc.auto=0"
# words of a git that looked at what came and would not have it, rather than of one that met no server
_SPOILT = (
    *("fsck", "index-pack", "unpack", "corrupt", "bad object", "invalid object", "too large", "malformed", "inflate"),
)


class Unreachable(CommunityError):
    """The other place did not answer, or not as git does. Nothing was changed; it is tried again."""


class Spoilt(CommunityError):
    """What came is no sound git: it was thrown away."""


class NotTaken(CommunityError):
    """The other place would not have what we sent."""


@dataclass
class Listing:
    """What a remote offers: the ref and tip of each lab's journal; and the refs below ours that are none."""

    labs: dict[str, tuple[str, str]] = field(default_factory=dict)
    odd: list[str] = field(default_factory=list)


class Remote:
    """The place a lab has joined."""

    def __init__(self, store: Store, settings: Settings) -> None:
        self._store, self._settings = store, settings

    @property
    def shown(self) -> str:
        return self._settings.shown

    def listing(self) -> Listing:
        """Raises Unreachable."""
        found = Listing()
        for line in self._look().splitlines():
            oid, _, name = line.partition("\t")
            if not name.startswith((LABS, BRANCHES)):
                continue
            lab = lab_of_ref(name)
            if lab is None or len(oid) != 40:
                found.odd.append(clean_line(name, 80))
            elif lab not in found.labs or name.startswith(LABS):
                found.labs[lab] = (name, oid)
        return found

    def _tame(self, program: str) -> tuple[str, ...]:
        return (f"--{program}={_TAME} {program}",) if self._settings.kind == "folder" else ()

    def _look(self) -> str:
        command = ("ls-remote", "--refs", *self._tame("upload-pack"), "--end-of-options", self._settings.remote)
        with self._store.running(command, environment=_environment()) as (process, out):
            stop = threading.Timer(LOOK_SECONDS, process.terminate)
            stop.start()
            try:
                said = out.read(LIST_BYTES + 1)
            finally:
                stop.cancel()
            if len(said) > LIST_BYTES:
                raise Unreachable(f"{self.shown} offers too many refs. Join a repository that is made for journals.")
            error = process.stderr.read(20_000).decode("utf-8", "replace") if process.stderr else ""
            if process.wait() != 0:
                raise Unreachable(f"{self.shown} cannot be read: {_words(error, self._settings)}. It is tried again.")
        return said.decode("utf-8", "replace")

    def fetch(self, quarantine: Quarantine, refs: Mapping[str, str]) -> None:
        """Journals into the quarantine, as `journal_ref(lab)`: refs by lab. Raises Unreachable or Spoilt."""
        wanted = [f"+{ref}:{journal_ref(lab)}" for lab, ref in refs.items()]
        plain = ("--no-tags", "--no-write-fetch-head", "--no-auto-maintenance", "--no-recurse-submodules", "--quiet")
        where = (*self._tame("upload-pack"), "--end-of-options", self._settings.remote, *wanted)
        command = [*quarantine.strict(), "fetch", *plain, *where]
        try:
            with bounded(FETCH_BYTES):
                answer = quarantine.once(command, environment=_environment(), seconds=SECONDS)
        except GitError as error:
            raise Unreachable(f"{self.shown}: {error}") from None
        if answer.code != 0:
            said = _words(answer.error, self._settings)
            if answer.code < 0 or any(word in answer.error.lower() for word in _SPOILT):
                raise Spoilt(f"git would not have it: {said}")
            raise Unreachable(f"{self.shown} cannot be read: {said}. It is tried again.")

    def push(self, lab: str, tip: str, branches: bool) -> None:
        """Our journal, forward only. branches: as a branch, for hosts that take nothing else. Raises."""
        ref = BRANCHES + lab if branches else journal_ref(lab)
        where = (*self._tame("receive-pack"), "--end-of-options", self._settings.remote, f"{tip}:{ref}")
        command = [*_QUIET, "push", "--porcelain", "--no-verify", *where]
        try:
            answer = self._store.once(command, environment=_environment(), seconds=SECONDS)
        except GitError as error:
            raise Unreachable(f"{self.shown}: {error}") from None
        if answer.code == 0:
            return
        out = answer.out.decode("utf-8", "replace")
        if "[rejected]" in out or "[remote rejected]" in out:
            raise NotTaken(clean_line(" ".join(line for line in out.splitlines() if line.startswith("!")), 300))
        raise Unreachable(f"{self.shown} took nothing: {_words(answer.error, self._settings)}. It is tried again.")


def accept(store: Store, quarantine: Quarantine, refs: Mapping[str, str]) -> None:
    """Take journals from the quarantine: refs of the store by the quarantine's commit. Raises GitError."""
    plain = ("--no-tags", "--no-write-fetch-head", "--no-auto-maintenance", "--no-recurse-submodules", "--quiet")
    wanted = [f"{source}:{target}" for target, source in refs.items()]
    answer = store.once(
        ["fetch", *plain, "--end-of-options", str(quarantine.git_dir), *wanted],
        environment={"GIT_ALLOW_PROTOCOL": "file"},
        seconds=SECONDS,
    )
    if answer.code != 0:
        raise GitError(f"git could not take what was checked: {last_words(answer.error)}. It is tried again.")


def _environment() -> dict[str, str]:
    heeded = {name: os.environ[name] for name in _HEEDED if name in os.environ}
    return {"GIT_ALLOW_PROTOCOL": PROTOCOLS, "GIT_SSH_COMMAND": SSH, **heeded}


def _words(error: str, settings: Settings) -> str:
    """git's last words, cleaned, and without a password that they may repeat."""
    said = last_words(error)
    return clean_line(said.replace(settings.remote, without_password(settings.remote)), 300)
