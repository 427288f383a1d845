"""The live feed: whoever follows it is told when a journal grows, and when a lease is taken or let go.

A listener first gets the tips of all journals, so one that was cut off misses nothing by coming again. Who does not
keep up is sent away, and comes again.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Iterable, Mapping

import anyio
from anyio.streams.memory import MemoryObjectSendStream

from mcp_server.community.leases.terms import Held
from mcp_server.hosting.library import News
from mcp_server.nouns.exchanged import SHORT

MOST_LISTENERS = 256
BEHIND = 256  # events that wait for one listener
LOOK_SECONDS = 1.0  # for the end of the server
QUIET_SECONDS = 15.0  # a comment now and then, so that both ends notice a dead connection
RETRY_MILLISECONDS = 2000


class Feed:
    """Who listens, and what they were told last."""

    def __init__(self) -> None:
        self._listeners: set[MemoryObjectSendStream[str]] = set()
        self._heads: dict[str, str] = {}
        self._held: dict[str, Held] = {}

    @property
    def listeners(self) -> int:
        return len(self._listeners)

    def tell(self, heads: Mapping[str, str], news: Iterable[News], leases: Iterable[Held]) -> None:
        """What is so now, and what of it is new. heads: the tip of each journal, by lab."""
        self._heads = dict(heads)
        events = [
            _event("journal", {"lab": one.lab, "tip": one.tip, "attempts": one.attempts, "posts": one.posts})
            for one in news
        ]
        held = {one.key: one for one in leases}
        for key, one in held.items():
            if key not in self._held or self._held[key].oid != one.oid:
                moves = [[name, before, after] for name, before, after in one.knobs]
                told = {"key": key, "lab": one.lab, "seconds": round(one.ends - one.seen), "moves": moves}
                events.append(_event("lease", told))
        events += [_event("free", {"key": key}) for key in self._held.keys() - held.keys()]
        self._held = held
        for event in events:
            for listener in list(self._listeners):
                try:
                    listener.send_nowait(event)
                except anyio.WouldBlock:
                    listener.close()
                    self._listeners.discard(listener)

    async def follow(self, closing: Callable[[], bool]) -> AsyncIterator[str]:
        """Server-sent events until the listener goes, or the server does."""
        send, receive = anyio.create_memory_object_stream[str](BEHIND)
        self._listeners.add(send)
        quiet = 0.0
        try:
            yield f"retry: {RETRY_MILLISECONDS}\n\n{_event('heads', self._heads)}"
            while not closing():
                with anyio.move_on_after(LOOK_SECONDS) as waited:
                    try:
                        yield await receive.receive()
                        quiet = 0.0
                    except anyio.EndOfStream:
                        return
                if waited.cancelled_caught:
                    quiet += LOOK_SECONDS
                if quiet >= QUIET_SECONDS:
                    yield ": still here\n\n"
                    quiet = 0.0
        finally:
            self._listeners.discard(send)
            send.close()
            receive.close()


def _event(name: str, about: object) -> str:
    return f"event: {name}\ndata: {json.dumps(about)}\n\n"


def shortly(held: Held, now: float) -> dict[str, object]:
    """One lease, for whoever asks which hold."""
    return {"key": held.key, "lab": held.lab[:SHORT], "seconds_left": round(held.ends - now), "moves": held.knobs}
