"""What of the board was read here, and whom this lab does not want to hear: moderation is each lab's own affair."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from pydantic import Field

from mcp_server.nouns.files import private_folder
from mcp_server.nouns.records import Record


class Marks(Record):
    """Read posts by lab, and muted labs: their posts are not shown, their records count as before."""

    seen: dict[str, tuple[int, ...]] = Field(default={})
    muted: tuple[str, ...] = ()

    def has_read(self, lab: str, p: int) -> bool:
        return p in self.seen.get(lab, ())

    def reading(self, posts: Iterable[tuple[str, int]]) -> Marks:
        """With these posts read: (lab, number) of each."""
        found = {lab: set(numbers) for lab, numbers in self.seen.items()}
        for lab, p in posts:
            found.setdefault(lab, set()).add(p)
        return self.model_copy(update={"seen": {lab: tuple(sorted(some)) for lab, some in sorted(found.items())}})

    def muting(self, lab: str, muted: bool) -> Marks:
        others = tuple(one for one in self.muted if one != lab)
        return self.model_copy(update={"muted": (*others, lab) if muted else others})


def read_marks(path: Path) -> Marks:
    """Empty where there are none, or none that can be read: then everything is unread."""
    try:
        return Marks.read(path)
    except (OSError, ValueError):
        return Marks()


def write_marks(path: Path, marks: Marks) -> None:
    private_folder(path.parent)
    marks.write(path)
