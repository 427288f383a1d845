"""How noisy a history is, by its own repeats: rows that measured the same thing twice. Pure.

Two runs of one thing differ by chance; the root mean square of such differences is how far two scores lie apart that
mean the same. Where the log has no repeat, nothing is known unless somebody states it.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

from mcp_server.histories.rows import KEPT, History, Row
from mcp_server.histories.words import REPEAT, moves, seed_only

LEAST_CHARACTERS = 8  # of a description that tells two rows to be the same


@dataclass(frozen=True)
class Repeat:
    """Two rows of one thing, by which sign, and how far apart their scores lie."""

    first: Row
    second: Row
    why: str
    apart: float


@dataclass(frozen=True)
class Noise:
    """How far two scores of one thing lie apart (root mean square), and where that is known from.

    A log that was begun anew measures something new, perhaps in another unit: its repeats say nothing of the others.
    """

    apart: float  # by the last of the log's beginnings that has repeats
    repeats: tuple[Repeat, ...] = ()
    stated: bool = False

    @property
    def sd(self) -> float:
        """Of one run."""
        return self.apart / math.sqrt(2)

    def apart_at(self, row: Row) -> float | None:
        """As far as this is known where the row stands."""
        if self.stated:
            return self.apart
        return _apart(self._beside([row]))

    @cached_property
    def _by_segment(self) -> dict[int, list[Repeat]]:
        found: dict[int, list[Repeat]] = {}
        for one in self.repeats:
            found.setdefault(one.first.segment, []).append(one)
        return found

    def _beside(self, rows: Sequence[Row]) -> list[Repeat]:
        segments = dict.fromkeys(row.segment for row in rows)
        return [one for segment in segments for one in self._by_segment.get(segment, ())]

    def words(self) -> str:
        if self.stated:
            return f"the stated noise (sd {self.sd:.3g}, so {self.apart:.3g} between two runs)"
        if len(self.repeats) == 1:
            one = self.repeats[0]
            return f"the one {one.why} difference that the log shows ({self.apart:.3g}, {rows_named(one)})"
        return f"the difference between repeats that the log shows ({self.apart:.3g}, {len(self.repeats)} pairs)"

    def words_at(self, rows: Sequence[Row]) -> str:
        """The same of those repeats alone that stand beside these rows."""
        beside = tuple(self._beside(rows))
        if self.stated or len(beside) == len(self.repeats):
            return self.words()
        if len({one.first.segment for one in beside}) > 1:
            return f"the difference between the repeats beside them ({len(beside)} pairs)"
        return Noise(_apart(beside) or 0.0, beside).words()


def rows_named(repeat: Repeat) -> str:
    return f"lines {repeat.first.line} and {repeat.second.line}"


def noise_of(history: History, stated: float | None) -> Noise | None:
    """stated: the sd of one run in the metric's unit, which outranks the log. None where nothing is known."""
    found = tuple(repeats(history))
    if stated is not None:
        return Noise(stated * math.sqrt(2), found, stated=True)
    if not found:
        return None
    last = tuple(one for one in found if one.first.segment == found[-1].first.segment)
    return Noise(_apart(last) or 0.0, found)


def _apart(found: Sequence[Repeat]) -> float | None:
    return math.sqrt(sum(one.apart**2 for one in found) / len(found)) if found else None


def repeats(history: History) -> Iterable[Repeat]:
    """Pairs of rows that measured the same thing, each row paired once with the last of its kind.

    The same words mean the same code only while nothing was kept between them, and where they name a value or the
    baseline: an idea that is told again in words alone may well be other code. One configuration always means one.
    """
    best: dict[int, Row] = {}  # the last keep of each segment: what a row of another seed or a rerun is a repeat of
    begun: dict[int, Row] = {}  # its last baseline
    known: dict[tuple[int, str, str], tuple[Row, int]] = {}
    keeps = 0
    for row in history.rows:
        if not row.scored or row.score is None:
            continue
        earlier = None
        for kind, key in marks(row):
            found, then = known.get((row.segment, kind, key), (None, -1))
            if found is not None and (kind == "configuration" or (then == keeps and _same_code(found, row))):
                earlier = found
                break
        incumbent, seeds = best.get(row.segment), seed_only(row.description)
        again = REPEAT.search(row.description) is not None and not moves(row.description)
        if earlier is None and (seeds or again):
            of_baseline = re.search(r"\bbaseline\b", row.description, re.IGNORECASE)
            earlier = begun.get(row.segment) if of_baseline and not seeds else incumbent
        if earlier is not None and earlier.score is not None:
            kind = "seed-to-seed" if seeds or row.seed != earlier.seed else "run-to-run"
            yield Repeat(earlier, row, kind, abs(row.score - earlier.score))
        if row.status == KEPT:
            best[row.segment] = row
            keeps += 1
        if row.baseline:
            begun[row.segment] = row
        for kind, key in marks(row):
            known[row.segment, kind, key] = row, keeps


def _same_code(earlier: Row, row: Row) -> bool:
    """Whether the same words tell of the same code."""
    if earlier.parent and row.parent and earlier.parent != row.parent:
        return False
    return row.baseline or re.search(r"\d", row.description) is not None


def marks(row: Row) -> list[tuple[str, str]]:
    """By what a row is known again: its configuration, else its words."""
    found = [("configuration", row.config)] if row.config else []
    words = plain(row.description)
    if len(words) >= LEAST_CHARACTERS and not row.config:
        found.append(("description", words))
    return found


def plain(text: str) -> str:
    return re.sub(r"[^a-z0-9.]+", " ", text.lower()).strip()
