"""What an exchange does about leases: reads others', renews ours while their supervisors live, and lets go of the rest.

No agent holds a lease: ours last as long as an open run of the experiment has a living supervisor, which its lock
tells, or is due to get one; what was scored and waits for its verdict keeps its lease as long as it was told for, so
that nobody starts what is about to be known. When this process dies with them, nobody renews, and the others' clocks
end it. What changes is a few moves of refs, sent together with our journal; each is a compare-and-swap, and one that
fails costs nothing but the lease.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass

from mcp_server.community.leases import wire
from mcp_server.community.leases.known import MOST_REFUSED, changing, read_known, remembered
from mcp_server.community.leases.terms import SPARE_SECONDS, UNOPENED_SECONDS, Held, Ours
from mcp_server.community.settings import Places
from mcp_server.community.trust import Trust
from mcp_server.community.wire.keys import LabKey
from mcp_server.community.wire.remote import Move, Remote, Spoilt, Unreachable
from mcp_server.community.wire.signed import Refused
from mcp_server.community.wire.store import LEASE_BYTES, Quarantine, Store, key_of_ref, lease_ref
from mcp_server.engines.choosing import CHOSEN
from mcp_server.ledger import Ledger
from mcp_server.nouns.errors import GitError
from mcp_server.nouns.records import RunState
from mcp_server.nouns.text import clean_line
from mcp_server.repo.workspace import Workspace

MOST = 200  # leases that are read in one exchange
SWEPT = 20  # leases of the dead that one exchange takes away


@dataclass(frozen=True)
class Change:
    """One move of a lease's ref, and what is ours when it is done; None: nothing any more."""

    move: Move
    key: str
    ours: Ours | None = None


class Tending:
    """Leases in one exchange: `take_in` what is offered, send `changes`, and `settle` what came of it."""

    def __init__(
        self, places: Places, workspace: Workspace, store: Store, key: LabKey, trust: Trust, clock: Callable[[], float]
    ) -> None:
        self._places, self._workspace, self._store = places, workspace, store
        self._key, self._trust, self._clock = key, trust, clock
        self._listed: Mapping[str, tuple[str, str]] = {}
        self._strays: dict[str, tuple[str, str]] = {}  # ours by their signature, and nobody remembers them

    def take_in(self, remote: Remote, listed: Mapping[str, tuple[str, str]]) -> list[str]:
        """Read what is new among the leases of a remote; what was ignored, and why. Raises Unreachable."""
        self._listed = listed
        known, now = read_known(self._places), self._clock()
        before = {one.ref: one for one in known.theirs}
        had = {one.oid for one in known.theirs} | {one.oid for one in known.ours} | set(known.refused)
        new = [(ref, oid) for ref, oid in listed.values() if oid not in had]
        # what was read and not remembered is new again, and may not stand first for ever
        new = random.sample(new, min(MOST, len(new)))
        refused: dict[str, str] = {}
        read: dict[str, Held] = {}
        if new:
            with Quarantine.beside(self._store, self._places.quarantine, LEASE_BYTES) as quarantine:
                refused |= self._bring(remote, quarantine, new)
                with quarantine.asking():
                    for ref, oid in new:
                        if oid in refused:
                            continue
                        try:
                            read[ref] = wire.read(quarantine, ref, oid, self._trust, now, before.get(ref))
                        except (Refused, GitError) as error:
                            refused[oid] = clean_line(str(error), 200)
        self._strays = {one.key: (ref, one.oid) for ref, one in read.items() if one.lab == self._key.lab}
        read = {ref: one for ref, one in read.items() if one.lab != self._key.lab}
        there = dict(listed.values())
        with changing(self._places) as change:
            theirs = {one.ref: one for one in change.known.theirs if there.get(one.ref) == one.oid} | read
            why = {oid: said for oid, said in change.known.refused.items() if oid in there.values()} | refused
            kept, bad = remembered(theirs.values(), self._trust), dict(list(why.items())[-MOST_REFUSED:])
            change.known = change.known.model_copy(update={"theirs": kept, "refused": bad})
        names = {oid: ref for ref, oid in new}
        return [f"the lease {key_of_ref(names[oid])} is ignored: {said}" for oid, said in refused.items()]

    def _bring(self, remote: Remote, quarantine: Quarantine, new: list[tuple[str, str]]) -> dict[str, str]:
        """Fetch leases together, else one by one; why some did not come, by object."""
        try:
            remote.fetch_leases(quarantine, [ref for ref, _ in new])
            return {}
        except Spoilt:
            pass
        missed = {}
        for ref, oid in new:
            try:
                remote.fetch_leases(quarantine, [ref])
            except (Spoilt, Unreachable) as error:
                missed[oid] = clean_line(str(error), 200)
        return missed

    def changes(self, branches: bool) -> list[Change]:
        """What is to be sent: leases that are over, due, or were not told yet, and what the dead left."""
        known, now = read_known(self._places), self._clock()
        found = [Change(Move(ref, "", oid), key) for key, (ref, oid) in self._strays.items() if known.mine(key) is None]
        lives, works = self._lives(known.ours, now)
        for one in known.ours:
            ref, oid = self._listed.get(one.key, ("", ""))
            if not one.number and lives[one.key]:
                continue  # whoever claims it is at it
            if not lives[one.key]:
                found.append(Change(Move(ref or one.ref, "", oid), one.key) if oid and oid == one.oid else _gone(one))
            elif oid != one.oid and known.holder(one.key, now) is not None:
                found.append(_gone(one))  # somebody else was first, or took us for dead
            elif not one.oid or oid != one.oid or (one.key in works and one.due(now)):
                found.append(self._tell(one, ref or lease_ref(one.key, branches), oid, now))
        dead = [one for one in known.theirs if now >= one.ends + SPARE_SECONDS and known.mine(one.key) is None]
        return found + [Change(Move(one.ref, "", one.oid), one.key) for one in dead[:SWEPT]]

    def _lives(self, ours: tuple[Ours, ...], now: float) -> tuple[dict[str, bool], set[str]]:
        """(which of our leases are still anybody's, those whose runs go on)."""
        if not ours or not self._workspace.paths.ledger.exists():
            return {one.key: False for one in ours}, set()
        with closing(Ledger(self._workspace.paths.ledger)) as ledger:
            working = {
                (run.campaign, run.experiment)
                for run in ledger.open_runs()
                if CHOSEN.alive(folder := self._workspace.paths.run(run.campaign, run.experiment, run.run))
                or not folder.begun.exists()  # queued, or waiting for the world: its supervisor is still to come
            }
            judged = {
                (campaign, found.number)
                for campaign in {one.campaign for one in ours if one.number and now < one.told + one.seconds}
                for found in ledger.undecided(campaign)
                if any(run.state is RunState.SCORED for run in ledger.runs(campaign, found.number))
            }
        lives = {one.key: 0 <= now - one.claimed < UNOPENED_SECONDS for one in ours if not one.number}
        for one in ours:
            if one.number:
                at = (one.campaign, one.number)
                lives[one.key] = at in working or (at in judged and now < one.told + one.seconds)
        works = {one.key for one in ours if (one.campaign, one.number) in working}
        return {one.key: lives[one.key] and not one.spent(now) for one in ours}, works

    def _tell(self, one: Ours, ref: str, there: str, now: float) -> Change:
        """A lease told again, or for the first time."""
        told = one.model_copy(update={"ref": ref, "told": now, "turn": one.turn + bool(one.oid)})
        oid = wire.write(self._store, self._key, told, now)
        return Change(Move(ref, oid, there), one.key, told.model_copy(update={"oid": oid}))

    def settle(self, sent: list[Change], refused: Mapping[str, str]) -> None:
        """What was sent is so, or was refused: then somebody else has it, and the run goes on without."""
        if not sent:
            return
        with changing(self._places) as change:
            known = change.known
            for one in sent:
                before = known.mine(one.key)
                if one.ours is None or (one.move.ref in refused and before is not None and before.oid):
                    known = known.without(one.key)
                elif one.move.ref not in refused and before is not None:
                    as_told = {"ref": one.ours.ref, "oid": one.ours.oid, "told": one.ours.told, "turn": one.ours.turn}
                    known = known.holding(before.model_copy(update=as_told))
            change.known = known


def _gone(one: Ours) -> Change:
    """A lease that is no longer ours, and nothing to send about it."""
    return Change(Move("", ""), one.key)
