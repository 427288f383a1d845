"""Which lessons are taken into the shared memory: none that is empty, too long, or said already. Pure."""

from __future__ import annotations

import functools
import re
from collections.abc import Sequence
from dataclasses import dataclass

from mcp_server.nouns.text import LEARNING_CHARACTERS, clean_block, clean_line, scrub

NEAR_DUPLICATE = 0.8  # share of three-word pieces two lessons have in common

# Other alphabets go letter by letter: some have no spaces between words.
_WORD = re.compile(r"[a-z0-9_]+(?:\.\d+)?|[^\W\d_]")
_NUMBER = re.compile(r"\d+(?:\.\d+)?(?:e-?\d+)?")
_NAME = re.compile(r"\b[A-Z][A-Z0-9_]{2,}\b")
# Words that turn a lesson round: two texts that differ in one of these say different things.
_TURNING = frozenset(
    {
        *("not", "no", "never", "without", "but", "better", "worse", "helps", "hurts", "helped", "hurt"),
        *("faster", "slower", "higher", "lower", "more", "less", "up", "down", "increase", "decrease"),
        *("increases", "decreases", "gain", "loss", "wins", "loses", "stable", "unstable", "diverges"),
        "converges",
    }
)


@dataclass(frozen=True)
class Admission:
    """A lesson's text as it will be stored, or None and why not; `notes` say what was changed."""

    text: str | None
    refusal: str = ""
    notes: tuple[str, ...] = ()
    like: int | None = None  # place of the earlier text that says the same


def admit(text: str, earlier: Sequence[str] = ()) -> Admission:
    """Whether a learning is taken into the shared memory. `earlier`: the texts it holds already, oldest first."""
    if len(text) > LEARNING_CHARACTERS:
        return Admission(
            None,
            f"The learning has {len(text):,} characters; the memory takes {LEARNING_CHARACTERS:,}. Say the lesson in a "
            "few sentences: what you changed, what happened, why you think so.",
        )
    removed = [word for word in scrub(text).removed if word != "overwritten lines" or "\r" in text.replace("\r\n", "")]
    cleaned = clean_block(text, LEARNING_CHARACTERS)
    if not re.search(r"\w", cleaned):
        return Admission(None, "The learning is empty. Say what you changed, what happened and why you think so.")
    notes = (f"{' and '.join(removed)} were taken out",) if removed else ()
    for place in range(len(earlier) - 1, -1, -1):
        if says_the_same(cleaned, earlier[place]):
            return Admission(
                None,
                f"The memory holds this already: “{clean_line(earlier[place], 160)}”. Add only what is new, or go on "
                "with the next idea.",
                notes,
                place,
            )
    return Admission(cleaned, notes=notes)


def says_the_same(one: str, other: str) -> bool:
    """Whether two lessons are the same up to wording: same numbers and names, nearly the same word order."""
    a, b = _gist(one), _gist(other)
    if a.words == b.words:
        return True
    if (a.exact, a.turning) != (b.exact, b.turning) or not a.pieces or not b.pieces:
        return False
    common = len(a.pieces & b.pieces)
    return common >= NEAR_DUPLICATE * len(a.pieces | b.pieces)


def pieces_of(text: str) -> list[str] | None:
    """Pieces of a lesson of which every text that says the same has at least one, word for word; None: no such pieces.

    Two texts that say the same share most of their three-word pieces, so one more than the rest is enough of them.
    What has no such pieces, or letters that an index of words may fold, has to be compared with everything.
    """
    gist = _gist(text)
    if not gist.words or any(letter.isalnum() and not letter.isascii() for letter in text):
        return None
    if not gist.pieces:
        return [" ".join(gist.words)]
    several = list(zip(gist.words, gist.words[1:], gist.words[2:], strict=False))
    unlike = list(dict.fromkeys(several))
    return [" ".join(piece) for piece in unlike[: int((1 - NEAR_DUPLICATE) * len(unlike)) + 1]]


@dataclass(frozen=True)
class _Gist:
    words: tuple[str, ...]
    pieces: frozenset[tuple[str, ...]]
    exact: frozenset[str]
    turning: frozenset[str]


@functools.lru_cache(maxsize=8192)
def _gist(text: str) -> _Gist:
    words = tuple(_WORD.findall(text.lower()))
    pieces = frozenset(zip(words, words[1:], words[2:], strict=False)) if len(words) > 4 else frozenset()
    exact = frozenset(_NUMBER.findall(text)) | frozenset(_NAME.findall(text))
    exact |= {
        "".join(word for word in words if not word.isascii())
    }  # which words turn it round there is not known here
    return _Gist(words, pieces, exact, _TURNING.intersection(words))
