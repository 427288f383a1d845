"""What the journals of a lab server say, as records and as pages: read from the repository, kept nowhere else.

The records lie in a folder that goes with the process. Pages are drawn when somebody asks for them and something in
them has changed. A journal that cannot be read is shown nowhere; the others go on.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from mcp_server.community import membership
from mcp_server.community.board import summary
from mcp_server.community.settings import Places
from mcp_server.community.trust import Role, Trust, write_trust
from mcp_server.community.wire import journal
from mcp_server.community.wire.signed import Refused
from mcp_server.community.wire.store import LABS, Store
from mcp_server.edits.moves import moved
from mcp_server.ledger import posts, shown
from mcp_server.ledger.foreign import Foreign
from mcp_server.nouns.errors import GitError
from mcp_server.nouns.replies import CommunityReply
from mcp_server.nouns.text import clean_line
from mcp_server.views.labs.site import site_files

PATIENCE_SECONDS = 5.0  # for which drawn pages are good enough in any case
MOST_DRAWN = 4  # sites that are remembered, whoever asks for what
HEARS = Trust(strangers=Role.REPLICATE)  # a server takes no sides: every lab's measurement counts


@dataclass(frozen=True)
class News:
    """What is new in one journal."""

    lab: str
    tip: str
    attempts: int
    posts: int


class Drawn(NamedTuple):
    """The site of one contract."""

    stamp: str
    at: float
    files: dict[str, bytes]


class Library:
    """The records of one server, in a folder of its own. Safe for several threads."""

    def __init__(self, store: Store, folder: Path, now: Callable[[], datetime]) -> None:
        """store: for this library alone."""
        self._store, self._now = store, now
        self._places = Places.of(folder)
        write_trust(self._places.trust, HEARS)
        self._reading = threading.Lock()
        self._drawing = threading.Lock()
        self._unsound: dict[str, str] = {}  # tips of journals that cannot be read
        self._drawn: dict[str, Drawn] = {}
        with closing(Foreign(self._places.records)):
            pass

    def read(self, refs: Mapping[str, str]) -> list[News]:
        """Take in what the journals have and the records have not; what was new."""
        found: list[News] = []
        with self._reading, closing(Foreign(self._places.records)) as foreign, self._store.asking():
            tips, contracts = foreign.tips(), set[str]()
            for ref, tip in refs.items():
                lab = ref.removeprefix(LABS)
                if ref.startswith(LABS) and tip not in (tips.get(lab), self._unsound.get(lab)):
                    new = self._take(foreign, lab, tip, tips.get(lab))
                    if new is not None:
                        found.append(News(lab, tip, len(new.attempts), len(new.posts)))
                        contracts |= {one.contract for one in new.attempts}
            summary.refresh(foreign, contracts, HEARS)
        return found

    def _take(self, foreign: Foreign, lab: str, tip: str, since: str | None) -> journal.Reading | None:
        try:
            new = journal.read(
                self._store, lab, tip, since, now=self._now(), known=lambda n, rev: foreign.line(lab, n, rev)
            )
        except (Refused, GitError):
            self._unsound[lab] = tip
            return None
        name = clean_line(new.introduction.name, 40) if new.introduction else None
        held = [(one.n, one.why) for one in new.held]
        with foreign.writing():
            attempts = [(one, moved(one.knobs)) for one in new.attempts]
            at = self._now().isoformat(timespec="seconds")
            foreign.take(lab, new.tip, attempts, held, name=name, at=at)
            posts.take(foreign, lab, new.posts)
        return new

    def count(self) -> tuple[int, int]:
        """Labs, and their attempts."""
        with closing(Foreign(self._places.records)) as foreign:
            return foreign.count()

    def contracts(self) -> list[str]:
        """What is compared with what, the one with the most attempts first."""
        with closing(Foreign(self._places.records)) as foreign:
            counts = foreign.labs_by_contract()
        return sorted(counts, key=lambda one: (-counts[one][1], one))

    def page(self, contract: str, name: str) -> bytes | None:
        """A file of the site of one contract; None where there is none of that name."""
        with self._drawing:
            before, now = self._drawn.get(contract), time.monotonic()
            if before is None or now - before.at >= PATIENCE_SECONDS:
                with closing(Foreign(self._places.records)) as foreign:
                    stamp = shown.stamp(foreign)
                    files = before.files if before and before.stamp == stamp else self._draw(foreign, contract)
                before = Drawn(stamp, now, files)
                others = [(key, one) for key, one in self._drawn.items() if key != contract]
                self._drawn = dict([(contract, before), *others[: MOST_DRAWN - 1]])
            return before.files.get(name)

    def _draw(self, foreign: Foreign, contract: str) -> dict[str, bytes]:
        standing = CommunityReply(joined="", labs=membership.lab_rows(foreign, HEARS))
        standing.attempts = foreign.count()[1]
        standing.board = summary.board(foreign, contract)
        return site_files(self._places, foreign, contract, standing, self._now())
