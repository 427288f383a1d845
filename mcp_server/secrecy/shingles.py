"""Recognises text by fixed pieces of it, wherever they lie in other bytes: inside a longer file, a database, a `.pyc`.

A shingle is a window of 24 bytes that begins at a pair of bytes which a fixed rule picks out, about one in thirty of
ordinary text. The rule looks at the bytes alone, so a copy has the same windows at whatever offset it lies
(content-defined sampling, as in Manber, "Finding similar files in a large file system", 1994). Windows stay inside a
line where a document has lines long enough, so that other indentation and escaped line breaks do not matter.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Hashes = NDArray[np.uint64]
Places = NDArray[np.int64]

WINDOW = 24  # bytes
PICKED = 12  # of 256 values that a pair of bytes is mixed to
PER_DOCUMENT = 64  # shingles of one document, evenly spread over it
MOST = 200_000  # shingles of one index
FEW = 8  # with fewer inside its lines a document gives windows across line breaks too
DISTINCT = 9  # different bytes in a window; "# ----------" says nothing
LEAST, SHARE = 4, 0.08  # a file with so many shingles of a document, and this share of them, holds a copy of it
TABLE_BITS = 22

_FACTORS = tuple(np.uint64(k) for k in (0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9, 0xD6E8FEB86659FD93))


_WORD = np.zeros(256, dtype=bool)
_WORD[[*b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_", *range(0x80, 256)]] = True


def windows(data: bytes) -> tuple[Places, Hashes]:
    """(where windows begin, in order; their hashes)."""
    last = len(data) - WINDOW
    if last < 0:
        return np.empty(0, np.int64), np.empty(0, np.uint64)
    byte = np.frombuffer(data, np.uint8)
    # arithmetic in single bytes first, for it is quick; a run of equal bytes is seldom picked
    mixed = byte[: last + 1] * np.uint8(167)
    mixed += byte[1 : last + 2] * np.uint8(91)
    mixed += np.uint8(77)
    places = np.flatnonzero(mixed < PICKED)
    places = places[_WORD[byte[places]] & _WORD[byte[places + 1]]]
    words: Hashes = np.ndarray((len(data) - 7,), "<u8", buffer=data, strides=(1,))  # at every offset
    hashes = np.zeros(len(places), np.uint64)
    for part, factor in enumerate(_FACTORS[:3]):
        hashes = (hashes ^ (hashes >> np.uint64(29))) + words[places + 8 * part] * factor
    hashes = (hashes ^ (hashes >> np.uint64(32))) * _FACTORS[3]
    return places, hashes


def shingles(document: bytes) -> Hashes:
    """The shingles that stand for a document: at most PER_DOCUMENT, none twice, from all over it."""
    places, hashes = windows(document)
    lines = np.concatenate([[0], np.cumsum(np.frombuffer(document, "u1") == 10)])
    inside = lines[places + WINDOW] == lines[places]
    telling = np.array([len(set(document[at : at + WINDOW])) >= DISTINCT for at in places.tolist()], dtype=bool)
    _, first = np.unique(hashes, return_index=True)
    once = np.zeros(len(hashes), dtype=bool)
    once[first] = True
    best = np.flatnonzero(inside & telling & once)
    if len(best) < FEW:
        best = np.flatnonzero(once)
    spread = np.unique(np.linspace(0, len(best) - 1, min(PER_DOCUMENT, len(best))).astype(np.int64))
    return hashes[best[spread]]


def enough(of: int) -> int:
    """How many of `of` shingles say that it is a copy."""
    return max(min(of, LEAST), math.ceil(of * SHARE))


@dataclass(frozen=True)
class Index:
    """The shingles of some documents, to be looked for."""

    hashes: Hashes  # sorted, each once
    owners: NDArray[np.int32]  # the document each belongs to

    @classmethod
    def of(cls, documents: Iterable[bytes]) -> Index:
        """Of whole documents; with very many of them every n-th shingle is kept."""
        every = [shingles(document) for document in documents]
        owners = np.repeat(np.arange(len(every), dtype=np.int32), [len(found) for found in every])
        hashes = np.concatenate([np.empty(0, np.uint64), *every])
        step = 1 + len(hashes) // MOST
        hashes, first = np.unique(hashes[::step], return_index=True)
        return cls(hashes, owners[::step][first])

    @classmethod
    def read(cls, path: Path) -> Index:
        """What `write` left. Raises OSError, ValueError, KeyError."""
        with np.load(path, allow_pickle=False) as stored:
            return cls(stored["hashes"], stored["owners"])

    def write(self, path: Path) -> None:
        """As a .npz file. Hashes are no text: who reads them learns nothing of the documents but where to look."""
        np.savez(path, hashes=self.hashes, owners=self.owners)

    @cached_property
    def digest(self) -> str:
        """A name for exactly these shingles."""
        return hashlib.blake2b(self.hashes.tobytes() + self.owners.tobytes(), digest_size=8).hexdigest()

    def without(self, gone: NDArray[np.int64]) -> Index:
        """All but the shingles with these numbers."""
        keep = np.ones(len(self.hashes), dtype=bool)
        keep[gone] = False
        return Index(self.hashes[keep], self.owners[keep])

    @cached_property
    def counts(self) -> NDArray[np.int64]:
        """(documents,) how many shingles each has."""
        return np.bincount(self.owners, minlength=1)

    @cached_property
    def _table(self) -> NDArray[np.bool_]:
        table = np.zeros(1 << TABLE_BITS, dtype=bool)
        table[self.hashes >> np.uint64(64 - TABLE_BITS)] = True
        return table

    def find(self, data: bytes) -> NDArray[np.int64]:
        """The numbers of the shingles that `data` has, sorted, each once."""
        if not len(self.hashes):
            return np.empty(0, np.int64)
        _, hashes = windows(data)
        hashes = hashes[self._table[hashes >> np.uint64(64 - TABLE_BITS)]]
        places = np.minimum(np.searchsorted(self.hashes, hashes), len(self.hashes) - 1)
        return np.unique(places[self.hashes[places] == hashes])

    def copies(self, found: NDArray[np.int64]) -> dict[int, int]:
        """Of shingles found in one file: the documents that it holds a copy of, with how many shingles say so.

        Many documents too short to be known by themselves are known together: then they are named -1.
        """
        hits = np.bincount(self.owners[found], minlength=len(self.counts))
        known = [
            int(document)
            for document in np.flatnonzero(hits)
            if self.counts[document] >= LEAST and hits[document] >= enough(int(self.counts[document]))
        ]
        if not known and len(found) and len(found) >= enough(len(self.hashes)):
            return {-1: len(found)}
        return {document: int(hits[document]) for document in known}
