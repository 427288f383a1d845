"""What a page was told: parts by name, each with the version in which it became another.

A client names the version it knows and gets what is newer, so a first visit, an update and a reconnect are the same
question.
"""

from __future__ import annotations

import json
import secrets
from dataclasses import dataclass


@dataclass(frozen=True)
class Cursor:
    """What a client knows: the telling it heard, and how far."""

    epoch: str
    version: int

    @classmethod
    def read(cls, text: str) -> Cursor | None:
        """Written by `str`; anything else is a client that knows nothing."""
        epoch, _, version = text.partition(".")
        return cls(epoch, int(version)) if epoch and version.isdecimal() and len(version) < 16 else None

    def __str__(self) -> str:
        return f"{self.epoch}.{self.version}"


class Parts:
    """JSON texts by name. Another one begins a new epoch, in which nobody knows anything."""

    def __init__(self) -> None:
        self._epoch = secrets.token_hex(4)
        self._version = 0
        self._parts: dict[str, tuple[int, str]] = {}

    @property
    def cursor(self) -> Cursor:
        return Cursor(self._epoch, self._version)

    def known(self, cursor: Cursor | None) -> int | None:
        """The version up to which a client heard everything; None when it heard nothing of this epoch."""
        return cursor.version if cursor is not None and cursor.epoch == self._epoch else None

    def newer(self, known: int) -> dict[str, str]:
        return {name: text for name, (version, text) in self._parts.items() if version > known}

    def say(self, name: str, value: object) -> None:
        text = json.dumps(value)
        if self._parts.get(name, (0, ""))[1] != text:
            self._parts[name] = (self.step(), text)

    def drop(self, name: str) -> None:
        """Who comes from now on does not hear of it."""
        self._parts.pop(name, None)

    def step(self) -> int:
        """The next version, for what is told beside the parts."""
        self._version += 1
        return self._version
