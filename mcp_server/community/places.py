"""Every file of a lab's community, named once: `<git common dir>/autoresearch/community/`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Places:
    """The folder of one lab. What is in `store` and `records` can be made again; the rest is the user's choice."""

    folder: Path

    @classmethod
    def of(cls, state: Path) -> Places:
        """state: `LabPaths.state`."""
        return cls(state / "community")

    @property
    def settings(self) -> Path:
        """Exists while the lab has joined: where to, and what may leave the house."""
        return self.folder / "joined.json"

    @property
    def trust(self) -> Path:
        """The address book: whose word counts for what."""
        return self.folder / "trust.json"

    @property
    def store(self) -> Path:
        """A bare repository of all accepted journals, apart from the user's own."""
        return self.folder / "exchange.git"

    @property
    def quarantine(self) -> Path:
        """What came in and is not accepted yet."""
        return self.folder / "quarantine"

    @property
    def records(self) -> Path:
        """What the journals say, as a database; it can always be made again from them."""
        return self.folder / "records.db"

    @property
    def lock(self) -> Path:
        """Held by the one exchange that is at work."""
        return self.folder / "exchange.lock"

    @property
    def beside(self) -> Path:
        """Held for life by the process that exchanges beside running experiments."""
        return self.folder / "beside.lock"

    @property
    def last(self) -> Path:
        """How the last exchange went, and when the next is due."""
        return self.folder / "last.json"

    @property
    def log(self) -> Path:
        return self.folder / "exchange.log"

    @property
    def scratch(self) -> Path:
        return self.folder / "tmp"
