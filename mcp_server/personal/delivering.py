"""Delivers a lab's events on the user's channels, each once: how far a channel was told is written before it is sent.

A process that is killed in between loses that one message; none is ever sent twice. A channel that fails is tried three
times, then its event is given up and the next one has its turn. Events of before a channel was written down are not
news to it.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from mcp_server.ledger import Ledger
from mcp_server.ledger.live.events import Event
from mcp_server.nouns.files import write_atomically
from mcp_server.personal.channels import Channel, channels_of
from mcp_server.personal.file import meant, personal_file

log = logging.getLogger(__name__)

TRIES, REST_SECONDS = 3, 2.0


class Post:
    """What of one lab has been sent: `state` is the lab's folder, `tree` a work tree of it."""

    def __init__(self, state: Path, tree: Path, sleep: Callable[[float], None] = time.sleep) -> None:
        self._sent, self._state, self._tree, self._sleep = state / "notified.json", state, tree, sleep

    def deliver(self, ledger: Ledger) -> int:
        """Send what is due; how many were sent. Raises ArenaError for a file that cannot be used."""
        count = 0
        for channel in channels_of(self._state.parent, self._tree):
            if not meant(channel.labs, self._tree):
                continue
            for event in ledger.events(self._known(channel, ledger), [str(kind) for kind in channel.kinds]):
                self._note(channel, event.event)
                count += self._send(channel, event)
        return count

    def _send(self, channel: Channel, event: Event) -> bool:
        for turn in range(1, TRIES + 1):
            try:
                channel.send(event)
                return True
            except OSError as error:
                log.warning(
                    "%s: event %d was not sent (%d of %d): %s", channel.words(), event.event, turn, TRIES, error
                )
                if turn < TRIES:
                    self._sleep(REST_SECONDS * turn)
        return False

    def _known(self, channel: Channel, ledger: Ledger) -> int:
        """The last event that a channel was told, or would have been, had it been there."""
        known = self._read().get(channel.key)
        if known is None:
            written = datetime.fromtimestamp(personal_file().stat().st_mtime, UTC)
            before = [one.event for one in ledger.events() if datetime.fromisoformat(one.at) < written]
            known = max(before, default=0)
            self._note(channel, known)
        return known

    def _read(self) -> dict[str, int]:
        try:
            found = json.loads(self._sent.read_bytes())
            return {str(key): int(value) for key, value in found.items()}
        except (OSError, ValueError, AttributeError):
            return {}

    def _note(self, channel: Channel, event: int) -> None:
        write_atomically(self._sent, json.dumps(self._read() | {channel.key: event}).encode(), 0o600)
