"""Claiming a piece of code before it is run: one winner of any race, a bounded wait, and work that goes on whatever.

Called from `run_experiment`: what is known here is asked with the lab's lock held, and the claim is sent with it free,
so that the network delays nobody else. It is written down before it is sent; whatever becomes of the answer, the next
exchange makes it true. A place that answers at once is waited for, so that what another lab has is not even begun; any
other is asked beside: the run starts, and is stopped if it turns out that somebody else was first. Where the other
place was gone, no claim is sent until an exchange has reached it.
"""

from __future__ import annotations

import contextlib
import logging
import os
import secrets
import threading
import time
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime

from mcp_server.arena.program import Arena
from mcp_server.community.leases import wire
from mcp_server.community.leases.known import changing, live, read_known
from mcp_server.community.leases.terms import (
    UNOPENED_SECONDS,
    Changes,
    Held,
    Ours,
    key_of,
    key_of_repeat,
    length,
    takes,
)
from mcp_server.community.leases.words import running
from mcp_server.community.pace import back_off, push_seconds
from mcp_server.community.secretscan import in_constants
from mcp_server.community.settings import OFF, Places, Settings, read_last, read_settings
from mcp_server.community.trust import read_trust
from mcp_server.community.wire.keys import LabKey, own_key
from mcp_server.community.wire.remote import Absent, Move, Remote, Spoilt, Unreachable
from mcp_server.community.wire.signed import Refused
from mcp_server.community.wire.store import LEASE_BYTES, Quarantine, Store, lease_ref
from mcp_server.edits.moves import direction
from mcp_server.ledger.foreign import UNUSABLE, Foreign
from mcp_server.nouns.errors import AutoresearchError, NotNow
from mcp_server.nouns.exchanged import moves_of
from mcp_server.repo.workspace import Workspace

log = logging.getLogger(__name__)

WAIT_SECONDS = 2.0  # for one claim, on the wall, with everything
AT_ONCE = 0.25  # of it: how long a start waits for a host's answer, which most give in a tenth of a second
NOT_RUN = " It was not run here."
TURNS = 3  # of one claim: what stands in the way may go, or be worth nothing


class ToClaim(Exception):
    """Let go of the lab's lock, `send` the claim, and ask again."""


class Claim:
    """What one call of `run_experiment` finds out about others that run the same, and the lease that it takes."""

    def __init__(self, places: Places, workspace: Workspace, clock: Callable[[], float] = time.time) -> None:
        self._places, self._workspace, self._clock = places, workspace, clock
        self._ours: Ours | None = None
        self._sent = False
        self._first: Held | None = None  # who was faster
        self._answered, self._opened = threading.Event(), threading.Event()
        self._late: Callable[[], None] | None = None  # what to do about an answer that the start did not wait for

    # --- with the lab's lock ------------------------------------------------------------------------------------------

    def about(self, contract: str, code: str, changes: Changes, arena: Arena, repeats: str = "") -> tuple[str, str]:
        """(who runs this very code, who moves the same constant the same way); "" where nobody does.

        repeats: LAB/n, where an attempt of another lab is repeated: then `code` is its edit, and the answer is about
        who else repeats that edit. Raises ToClaim where nobody is known to, and the others are to be told first.
        """
        now, key = self._clock(), key_of_repeat(contract, code) if repeats else key_of(contract, code)
        settings = read_settings(self._places)
        if settings is None or settings.kind == "bundle":
            return "", ""
        holder = self._holder(key, now)
        if holder is None and not (self._ours is not None and self._ours.key == key):
            self._prepare(settings, key, contract, changes, arena, now)
            if self._ours is not None and not self._sent and self._may_send(settings, now):
                raise ToClaim
        if holder is not None:
            self._drop()
            return f"{running(holder, now, repeats)}{NOT_RUN}", ""
        return "", "" if repeats else self._same_way(contract, changes, now)

    def _holder(self, key: str, now: float) -> Held | None:
        if self._first is not None and self._first.key == key:
            return self._first
        return next((one for one in live(self._places, now) if one.key == key), None)

    def _same_way(self, contract: str, changes: Changes, now: float) -> str:
        """Who moves the constant that alone is moved here, in the same direction."""
        if len(changes) != 1:
            return ""
        name, way = changes[0][0], direction(*changes[0][1:])
        for one in live(self._places, now):
            alike = one.contract == contract and len(one.knobs) == 1 and one.knobs[0][0] == name
            if alike and direction(*one.knobs[0][1:]) is way:
                return f"{running(one, now)} It moves the same constant the same way."
        return ""

    def _prepare(self, settings: Settings, key: str, contract: str, changes: Changes, arena: Arena, now: float) -> None:
        """Our lease as it would be told."""
        self._drop()
        if os.environ.get(OFF) == "off" or not self._places.store.exists():
            return
        if in_constants((name, after) for name, _, after in changes):
            return  # such an attempt stays at home, and so does the word that it runs
        mine = read_known(self._places).mine(key)
        if mine is not None:  # of a run that has just ended, or of a call that was cut short
            self._ours, self._sent = mine, True
            return
        period, run = push_seconds(read_last(self._places).labs, settings.kind), takes(arena)
        self._ours = Ours(
            key=key,
            ref=lease_ref(key, settings.branches),
            oid="",
            mark=secrets.token_hex(8),
            contract=contract,
            seconds=length(run, period),
            takes=run,
            knobs=moves_of(changes),
            claimed=now,
            told=0.0,
        )

    def _may_send(self, settings: Settings, now: float) -> bool:
        known, last = read_known(self._places), read_last(self._places)
        if last.failures or 0 <= now - known.failed_at < back_off(known.failures, 0.5):
            return False
        if known.failures and last.read_at <= known.failed_at:
            return False  # no exchange has reached it since, and those delay nobody
        return settings.kind != "host" or not 0 <= now - known.claimed_at < push_seconds(last.labs, settings.kind)

    def runs(self, campaign: str, number: int, late: Callable[[], None] | None = None) -> None:
        """The claim is an experiment's from now on; one that was not sent is told with the next exchange.

        late: called in a thread of its own once an answer is there that came after the start; `about` has it then.
        """
        ours, self._late = self._ours, late
        try:
            if ours is not None:
                with changing(self._places) as change:
                    told = change.known.mine(ours.key) or ours
                    change.known = change.known.holding(told.of(campaign, number))
        except OSError as error:
            log.warning("a lease could not be written down: %s", error)
        finally:
            self._opened.set()

    def _drop(self) -> None:
        """The claim is for nothing: what was told of it goes with the next exchange."""
        self._ours = None

    # --- without it ---------------------------------------------------------------------------------------------------

    def send(self) -> None:
        """Tell the others, and find out who was first, if they say so at once. Never raises, never waits for long."""
        ours, self._sent, settings = self._ours, True, read_settings(self._places)
        if ours is None or settings is None:
            return
        # no daemon: a command that ends leaves no claim half told
        threading.Thread(target=self._ask, args=(ours,), name="claim").start()
        # a folder is slow where this machine is, and then so is the run; a host may be slow, or hang, by itself
        patient = WAIT_SECONDS if settings.kind == "folder" else AT_ONCE * WAIT_SECONDS
        if self._answered.wait(0.0 if read_known(self._places).slow else patient):
            self._opened.set()  # nobody waits for more
            return
        if settings.kind == "host":
            with contextlib.suppress(OSError), changing(self._places) as change:
                change.known = change.known.model_copy(update={"slow": True})

    def wait(self) -> bool:
        """Until the answer is there, or none is to come; whether the claim is still ours. For who has the time."""
        self._answered.wait(WAIT_SECONDS + UNOPENED_SECONDS)
        return self._first is None

    def _ask(self, ours: Ours) -> None:
        """The whole claim, in a thread of its own. Never raises; never longer than WAIT_SECONDS and a moment."""
        began = time.monotonic()
        ends = began + WAIT_SECONDS
        try:
            settings = read_settings(self._places)
            if settings is not None and self._race(settings, ours, ends):
                self._catch_up(settings, ends)
            if time.monotonic() - began <= AT_ONCE * WAIT_SECONDS and read_known(self._places).slow:
                with changing(self._places) as change:
                    change.known = change.known.model_copy(update={"slow": False})
        except (*UNUSABLE, AutoresearchError) as error:
            log.info("a claim was not answered: %s", error)
            with contextlib.suppress(OSError), changing(self._places) as change:
                missed = {"failures": change.known.failures + 1, "failed_at": self._clock()}
                change.known = change.known.model_copy(update=missed)
        finally:
            self._answered.set()
        if self._opened.wait(UNOPENED_SECONDS) and self._late is not None:
            try:
                self._late()
            except (OSError, AutoresearchError) as error:
                log.warning("what came of a claim could not be heeded: %s", error)

    def _race(self, settings: Settings, ours: Ours, ends: float) -> bool:
        """Create the ref, or take over one that counts for nothing: whether it is ours. Raises Unreachable."""
        key = own_key(self._places.folder, settings.key)
        store = Store.at(self._places.store)
        remote, now = Remote(store, settings, ends), self._clock()
        oid = wire.write(store, key, ours, now)
        ours = ours.model_copy(update={"oid": oid, "told": now})
        with changing(self._places) as change:
            opened = change.known.mine(ours.key)
            if opened is not None and opened.number:
                ours = ours.of(opened.campaign, opened.number)
            change.known = change.known.holding(ours)
            there = next((one.oid for one in change.known.theirs if one.key == ours.key), "")  # long over, if any
        for _ in range(TURNS):
            self._ours = ours
            why = remote.push([Move(ours.ref, oid, there)]).get(ours.ref, "")
            there, holder = self._look(remote, store, key, ours) if why else ("", None)
            if not why or holder is not None:
                self._settle(ours, holder)
                return holder is None
            if not there and "[remote rejected]" in why:  # a host that takes branches only
                ours = ours.model_copy(update={"ref": lease_ref(ours.key, True)})
        raise Unreachable(f"{remote.shown} keeps changing its mind")

    def _catch_up(self, settings: Settings, ends: float) -> None:
        """Read what the others have published since the last exchange: whoever held this before us may have told of it.

        A holder lets go with the very push that brings its result, so what we find after the race is the whole truth.
        """
        from mcp_server.community.exchange import Exchange  # not for those who only ask what is known

        store = Store.at(self._places.store)
        listing = Remote(store, settings, ends).listing()
        with closing(Foreign(self._places.records)) as foreign:
            known = {*foreign.tips().items(), *foreign.refused()}
        if all((lab, oid) in known for lab, (_, oid) in listing.labs.items()):
            return
        patience = ends - time.monotonic()
        with (
            contextlib.suppress(NotNow),  # an exchange is at work, and goes on
            Exchange(self._workspace, lambda: datetime.now(UTC), patience=patience, clock=self._clock) as exchange,
        ):
            exchange.look(listing, ends)

    def give_up(self) -> None:
        """Nothing is run after all: what was claimed goes with the next exchange."""
        ours, self._ours = self._ours, None
        self._opened.set()
        if ours is not None and ours.oid and not ours.number:
            with contextlib.suppress(OSError), changing(self._places) as change:
                change.known = change.known.holding(ours.model_copy(update={"claimed": 0.0}))

    def _settle(self, ours: Ours, holder: Held | None) -> None:
        """Write down who was first: we, or the holder."""
        with changing(self._places) as change:
            known, opened = change.known, change.known.mine(ours.key)
            if opened is not None and opened.number:  # the start did not wait for this
                ours = ours.of(opened.campaign, opened.number)
            known = known.holding(ours) if holder is None else known.without(ours.key).seeing(holder)
            change.known = known.model_copy(update={"failures": 0, "claimed_at": self._clock()})
        if holder is not None:
            self._first, self._ours = holder, None

    def _look(self, remote: Remote, store: Store, key: LabKey, ours: Ours) -> tuple[str, Held | None]:
        """What stands in the way ("" where it has just gone), and who holds it; None where it is nobody who counts."""
        now, known = self._clock(), read_known(self._places)
        before = next((one for one in known.theirs if one.ref == ours.ref), None)
        folder = self._places.scratch / f"lease-{os.getpid()}-{threading.get_ident()}"
        with Quarantine.beside(store, folder, LEASE_BYTES) as quarantine:
            try:
                remote.fetch_leases(quarantine, [ours.ref])
                there = (folder / ours.ref).read_text().strip()  # a loose ref of the repository that we have just made
                if before is not None and before.oid == there:
                    return there, before if before.live(now) else None
                held = wire.read(quarantine, ours.ref, there, read_trust(self._places.trust), now, before)
            except Absent:
                return "", None
            except Refused:
                return there, None
            except Spoilt:
                return remote.listing(ours.ref).leases.get(ours.key, ("", ""))[1], None
        return there, None if held.lab == key.lab else held
