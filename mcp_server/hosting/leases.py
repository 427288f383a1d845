"""Leases as the server sees them: who holds what by the server's own clock, and which are over.

A lease counts from the moment in which this server first saw it as it is, as for every other reader; one that was
started anew therefore lets leases live a little longer, and never shorter. Of any race one wins, since a ref is moved
by compare-and-swap.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping

from mcp_server.community.leases import wire
from mcp_server.community.leases.terms import SPARE_SECONDS, Held
from mcp_server.community.trust import Trust
from mcp_server.community.wire.signed import Refused
from mcp_server.community.wire.store import LEASES, Store, key_of_ref
from mcp_server.nouns.errors import GitError
from mcp_server.nouns.exchanged import SHORT


class Leases:
    """All leases of one folder, as they were last looked at."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._held: dict[str, Held] = {}
        self._bad: dict[str, tuple[str, float]] = {}  # ref: what counts for nothing, and since when
        self._changing = threading.Lock()

    def read(self, store: Store, ref: str, oid: str) -> Held:
        """What a lease that came in says, whether or not it will be accepted. Raises Refused, GitError."""
        return wire.read(store, ref, oid, Trust(), self._clock(), self._held.get(ref))

    def look(self, store: Store, refs: Mapping[str, str]) -> None:
        """Take in which leases there are now. refs: all refs."""
        there = {ref: oid for ref, oid in refs.items() if ref.startswith(LEASES)}
        with self._changing:
            had = {(ref, one.oid) for ref, one in self._held.items()} | {
                (ref, one[0]) for ref, one in self._bad.items()
            }
            new = [one for one in there.items() if one not in had]
            if new:
                self._read_all(Store(store.git_dir), new)
            self._held = {ref: one for ref, one in self._held.items() if ref in there}
            self._bad = {ref: one for ref, one in self._bad.items() if ref in there}

    def _read_all(self, store: Store, new: list[tuple[str, str]]) -> None:
        """store: for this call alone."""
        with store.asking():
            for ref, oid in new:
                try:
                    self._held[ref] = self.read(store, ref, oid)
                    self._bad.pop(ref, None)
                except (Refused, GitError):
                    self._bad[ref] = (oid, self._clock())
                    self._held.pop(ref, None)

    def accept(self, held: Held) -> None:
        """A lease that was read, and is now the ref's."""
        with self._changing:
            self._held[held.ref] = held

    def against(self, ref: str, lab: str) -> str:
        """Why this lab may not have or take away a lease now; "" where it may. lab: "" for who may everything."""
        one, now = self._held.get(ref), self._clock()
        if one is None or not lab or one.lab == lab or not one.live(now):
            return ""
        return f"lab {one.lab[:SHORT]} holds it for {one.ends - now:.0f} s more"

    def over(self) -> list[tuple[str, str]]:
        """(ref, what it is) of each lease that has been over for a while."""
        now = self._clock()
        with self._changing:
            held = [(ref, one.oid) for ref, one in self._held.items() if now >= one.ends + SPARE_SECONDS]
            return held + [(ref, oid) for ref, (oid, since) in self._bad.items() if now >= since + SPARE_SECONDS]

    def live(self) -> list[Held]:
        """Those that hold, by key."""
        now = self._clock()
        with self._changing:
            return sorted((one for one in self._held.values() if one.live(now)), key=lambda one: one.key)


def is_lease(ref: str) -> bool:
    return ref.startswith(LEASES) and key_of_ref(ref) is not None
