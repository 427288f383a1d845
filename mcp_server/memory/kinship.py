"""How near an attempt is to a question by the constants both speak of and the way they move them. Pure.

Keys come before words: who asks for "a lower learning rate of the matrices" means `MATRIX_LR 0.04→0.03`, though they
share no word. Letters in threes then tell near wordings from far ones.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass

from mcp_server.edits.families import families, plain, speaks_of
from mcp_server.edits.moves import direction, sign
from mcp_server.edits.ways import way
from mcp_server.nouns.attempt import Attempt


@dataclass(frozen=True)
class Question:
    """What a question speaks of. Without a family it is a matter of words alone."""

    text: str
    families: tuple[str, ...]
    letters: frozenset[str]

    @classmethod
    def of(cls, text: str) -> Question:
        return cls(text, families(text), _letters(text))

    def kin(self, item: Attempt) -> tuple[float, bool]:
        """(nearness by family from 0 to 1, whether both move it the same way)."""
        names, said = " ".join(name for name, _, _ in item.experiment.knobs), item.experiment.description
        if not self.families or not (speaks_of(names, self.families) or speaks_of(said, self.families)):
            return 0.0, False
        theirs = tuple(dict.fromkeys((*_named(names), *families(said))))
        near = _overlap(self.families, theirs)
        family = next((name for name in self.families if name in theirs), "")
        asked = sign(way(self.text, family)) if near else 0
        return near, asked != 0 and asked == _way_of(item, family)

    def wording(self, text: str) -> float:
        """Share of the letters in threes that both have, from 0 to 1."""
        if not self.letters:
            return 0.0
        theirs = _letters(text)
        return len(self.letters & theirs) / math.sqrt(len(self.letters) * len(theirs)) if theirs else 0.0


def _way_of(item: Attempt, family: str) -> int:
    for name, before, after in item.experiment.knobs:
        if family in families(name):
            return sign(direction(before, after))
    return sign(way(item.experiment.description, family))


def _named(names: str) -> tuple[str, ...]:
    return tuple(found for name in names.split() for found in families(name))


def _overlap(one: Sequence[str], other: Sequence[str]) -> float:
    """What is spoken of first counts most."""
    shared = sum(1 / ((1 + one.index(name)) * (1 + other.index(name))) for name in one if name in other)
    return shared / math.sqrt(_weight(len(one)) * _weight(len(other))) if shared else 0.0


def _weight(count: int) -> float:
    return sum(1 / (1 + place) ** 2 for place in range(count))


@functools.lru_cache(maxsize=8192)
def _letters(text: str) -> frozenset[str]:
    spaced = f" {plain(text)} "
    return frozenset(spaced[at : at + 3] for at in range(len(spaced) - 2))
