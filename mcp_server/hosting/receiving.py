"""One push: what comes is checked in a quarantine by the journal's own rules, told to the audit log, then moved.

A ref moves by compare-and-swap after its objects lie in the repository, written through. So whoever fetches sees whole
journals alone, and a kill at any moment loses nothing that was answered with `ok`.
"""

from __future__ import annotations

import itertools
import subprocess
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

from mcp_server.community.leases.terms import Held
from mcp_server.community.wire import journal
from mcp_server.community.wire.journal import Forked, Older
from mcp_server.community.wire.signed import Refused
from mcp_server.community.wire.store import (
    BRANCHES,
    LABS,
    LEASE_BRANCHES,
    LEASES,
    OURS,
    Quarantine,
    Store,
    journal_ref,
    key_of_ref,
    lab_of_ref,
)
from mcp_server.hosting import smart
from mcp_server.hosting.audit import Audit
from mcp_server.hosting.door.tokens import May, Token, Tokens
from mcp_server.hosting.leases import Leases, is_lease
from mcp_server.hosting.premises import Premises
from mcp_server.hosting.smart import ZERO, Command
from mcp_server.nouns.errors import GitError
from mcp_server.nouns.exchanged import SHORT
from mcp_server.nouns.text import clean_line
from mcp_server.repo.command import last_words

SMALL = 100  # objects that are kept one by one; git's own measure
UNPACK_SECONDS = 120.0
MOVED = "fetch first: it moved meanwhile"
LOST = "non-fast-forward: a journal only grows"
# the warnings of git's check that are refusals here, in the order of its documentation
_STRICT = ",".join(
    f"{name}=error" for name in ("hasDotgit", "hasDot", "hasDotdot", "fullPathname", "zeroPaddedFilemode")
)


@dataclass
class Taken:
    """What came of one push."""

    report: bytes
    accepted: dict[str, str] = field(default_factory=dict)  # what a ref is now, `ZERO` for gone
    refused: dict[str, str] = field(default_factory=dict)  # why, by ref


class Receiver:
    """Takes pushes into one folder, several at a time; refs are moved one push after the other."""

    def __init__(
        self,
        premises: Premises,
        room: Path,
        tokens: Tokens,
        audit: Audit,
        leases: Leases,
    ) -> None:
        """room: a folder for what is coming in."""
        self._premises, self._room, self._store = premises, room, premises.store
        self._tokens, self._audit, self._leases = tokens, audit, leases
        self._numbers = itertools.count()
        self._moving = threading.Lock()

    def refs(self) -> dict[str, str]:
        """Journals and leases, as they are now."""
        return {name: oid for name, oid in self._store.refs(OURS).items() if name.startswith((LABS, LEASES))}

    def take(self, token: Token, body: IO[bytes], size: int, caller: str) -> Taken:
        """size: bytes of the body, of which no pack is larger. Raises Malformed, OSError."""
        asked = smart.commands(body)
        if not asked:
            return Taken(b"0000")  # a git that asks whether it may come in
        if self._premises.is_full():
            return self._answer(token, asked, "the disk of the server is full", {}, {}, caller)
        folder = self._room / f"push-{next(self._numbers)}"
        with Quarantine.beside(self._store, folder) as quarantine:
            try:
                if any(one.new != ZERO for one in asked):
                    _unpack(quarantine, body, size)
            except GitError as error:
                return self._answer(token, asked, clean_line(str(error), 200), {}, {}, caller)
            refs, labs, refused = self.refs(), set[str](), dict[str, str]()
            held: dict[str, Held] = {}
            self._leases.look(self._store, refs)
            with quarantine.asking():
                for one in asked:
                    try:
                        labs.add(self._check(quarantine, token, one, refs, held))
                    except (Refused, GitError) as error:
                        refused[one.ref] = clean_line(str(error), 200)
            moves = [one for one in asked if one.ref not in refused and refs.get(one.ref, ZERO) != one.new]
            labs.discard("")
            if moves and token.may is not May.ADMIN and any(not self._tokens.bind(token.name, lab) for lab in labs):
                refused |= {one.ref: "this token is another lab's, or was revoked" for one in moves}
            elif moves:
                refused |= self._move(quarantine, token, moves, caller)
                for ref in held.keys() - refused.keys():
                    self._leases.accept(held[ref])
        accepted = {one.ref: one.new for one in asked if one.ref not in refused}
        return self._answer(token, asked, "", accepted, refused, caller)

    def _answer(
        self,
        token: Token,
        asked: list[Command],
        trouble: str,
        accepted: dict[str, str],
        refused: dict[str, str],
        caller: str,
    ) -> Taken:
        why = {one.ref: trouble for one in asked} if trouble else refused
        if why:
            self._audit.tell("refused", token=token.name, caller=caller, refs=why)
        return Taken(smart.report(trouble, refused, asked), accepted, dict(why))

    # --- checking -----------------------------------------------------------------------------------------------------

    def _check(
        self, quarantine: Store, token: Token, one: Command, refs: Mapping[str, str], held: dict[str, Held]
    ) -> str:
        """The lab whose ref it is, "" where none is needed. held: leases that were read. Raises Refused, GitError."""
        now = refs.get(one.ref, ZERO)
        if one.new == now:
            return ""  # an answer that was lost on its way
        if one.old != now:
            raise Refused(MOVED)
        if is_lease(one.ref):
            return self._check_lease(quarantine, token, one, held)
        lab = lab_of_ref(one.ref)
        if lab is None or not one.ref.startswith((LABS, BRANCHES)):
            if one.ref.startswith(LEASE_BRANCHES) and key_of_ref(one.ref):
                raise Refused(f"leases are kept below {LEASES} here")
            raise Refused("only journals and leases are kept here")
        if one.new == ZERO:
            raise Refused("a journal is never taken away")
        if token.may is not May.ADMIN and token.lab not in ("", lab):
            raise Refused(f"this token publishes for lab {token.lab[:SHORT]} alone")
        known = refs.get(journal_ref(lab))
        others = [oid for ref, oid in refs.items() if ref.startswith(LABS) and ref != journal_ref(lab)]
        try:
            journal.read(quarantine, lab, one.new, known, now=datetime.now(UTC), others=others)
        except (Forked, Older):
            raise Refused(LOST) from None
        if one.ref.startswith(BRANCHES):
            raise Refused(f"journals are kept below {LABS} here")
        return lab

    def _check_lease(self, quarantine: Store, token: Token, one: Command, held: dict[str, Held]) -> str:
        mine = "" if token.may is May.ADMIN else token.lab or "nobody"
        if one.new == ZERO:
            if why := self._leases.against(one.ref, mine):
                raise Refused(why)
            return ""
        told = held[one.ref] = self._leases.read(quarantine, one.ref, one.new)
        if token.may is not May.ADMIN and token.lab not in ("", told.lab):
            raise Refused(f"this token publishes for lab {token.lab[:SHORT]} alone")
        if why := self._leases.against(one.ref, mine and told.lab):
            raise Refused(why)
        return told.lab

    # --- moving -------------------------------------------------------------------------------------------------------

    def _move(self, quarantine: Quarantine, token: Token, moves: list[Command], caller: str) -> dict[str, str]:
        """Make it so; why some could not be. Raises OSError where nothing was."""
        told = {one.ref: [one.old, one.new] for one in moves}
        with self._moving:
            self._audit.tell("accepted", token=token.name, caller=caller, refs=told)
            self._store.take_objects(quarantine)
            if self._store.ask("update-ref", "--no-deref", "--stdin", stdin=_lines(moves)).code == 0:
                return {}
            one_by_one = {one.ref: self._store.ask("update-ref", "--no-deref", "--stdin", stdin=_lines([one])).code
                          for one in moves}  # fmt: skip
        return {ref: MOVED for ref, code in one_by_one.items() if code != 0}

    def sweep(self, refs: Mapping[str, str]) -> list[str]:
        """Take away leases that are over; their refs."""
        self._leases.look(self._store, refs)
        gone = []
        for ref, oid in self._leases.over():
            with self._moving:
                self._audit.tell("lease over", refs={ref: [oid, ZERO]})
                if self._store.ask("update-ref", "--no-deref", "-d", ref, oid).code == 0:
                    gone.append(ref)
        return gone


def _lines(moves: list[Command]) -> bytes:
    """For git's `update-ref --stdin`: all of them, or none."""
    return "".join(
        f"delete {one.ref} {one.old}\n" if one.new == ZERO else f"update {one.ref} {one.new} {one.old}\n"
        for one in moves
    ).encode()


def _unpack(quarantine: Quarantine, body: IO[bytes], size: int) -> None:
    """The objects of a push, checked by git. Raises GitError, Malformed."""
    start = body.tell()
    few = smart.objects_in(body.read(12)) < SMALL
    body.seek(start)
    # what is accepted is written through when it is moved
    quick = ("-c", "core.fsync=none", "-c", "core.bigFileThreshold=1m")
    how = (
        ("unpack-objects", "-q", "--strict") if few else ("index-pack", "--stdin", "--fix-thin", f"--strict={_STRICT}")
    )
    rest = iter(lambda: body.read(1 << 16), b"")
    with quarantine.running([*quick, *how, f"--max-input-size={size}"], stdin=rest) as (process, _):
        try:
            error = process.communicate(timeout=UNPACK_SECONDS)[1]
        except subprocess.TimeoutExpired:
            raise GitError(f"its objects were not unpacked in {UNPACK_SECONDS:.0f} s") from None
    if process.returncode != 0:
        raise GitError(f"git would not have its objects: {last_words(error.decode('utf-8', 'replace'))}")
