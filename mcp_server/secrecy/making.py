"""What `prepare.py` asks for while it makes a corpus: which documents to seal, which to leave out, and the proof."""

from __future__ import annotations

import hashlib
import json
import sys
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from mcp_server.nouns.errors import CorpusError
from mcp_server.nouns.files import write_atomically
from mcp_server.nouns.paths import cache_folder
from mcp_server.secrecy import proof
from mcp_server.secrecy.choosing import NEAR, Choice, choose
from mcp_server.secrecy.shingles import Index

VERSION = 1  # of the rules by which documents are chosen


def say(words: str) -> None:
    print(words, file=sys.stderr, flush=True)


class Told:
    """Progress: one line that is redrawn on a terminal, elsewhere a line every ten seconds."""

    def __init__(self) -> None:
        self._last = time.monotonic()
        self._terminal = sys.stderr.isatty()

    def __call__(self, words: str) -> None:
        if time.monotonic() - self._last >= (0.2 if self._terminal else 10.0):
            self._last = time.monotonic()
            start, end = ("\r\033[K", "") if self._terminal else ("", "\n")
            print(f"{start}searched {words}", end=end, file=sys.stderr, flush=True)

    def close(self) -> None:
        """Make room for the next line."""
        if self._terminal:
            print("\r\033[K", end="", file=sys.stderr, flush=True)


def choose_again(library: Path, files: Sequence[Path], texts: Sequence[bytes], script: Path, force: bool) -> Choice:
    """As `choose`, once for a library and an environment: the search takes a minute. Stops with a sentence."""
    facts = [str(VERSION), sys.version, sys.prefix, str(library), *map(str, files)]
    digest = hashlib.blake2b("\0".join(facts).encode("utf-8", "surrogateescape"), digest_size=8)
    for text in texts:
        digest.update(hashlib.blake2b(text, digest_size=8).digest())
    place = cache_folder() / "proofs" / f"choice-{digest.hexdigest()}.json"
    if not force:
        try:
            stored = json.loads(place.read_text())
            copies = {int(number): tuple(paths) for number, paths in stored["copies"].items()}
            return Choice(tuple(copies), copies, tuple(stored["needed"]), stored["searched"])
        except (OSError, ValueError, KeyError):
            pass
    told = Told()
    try:
        choice = choose(library, files, texts, script, say, told)
    except CorpusError as error:
        raise SystemExit(f"error: {error}") from None
    told.close()
    place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = {"copies": choice.copies, "needed": choice.needed, "searched": choice.searched}
    write_atomically(place, json.dumps(found).encode())
    return choice


def near_duplicates(sealed: Sequence[bytes], texts: Iterable[bytes]) -> list[int]:
    """The numbers of those of `texts` that share half of a sealed document's shingles, or more."""
    index = Index.of(sealed)
    enough = np.maximum(index.counts * NEAR, 4)
    return [
        number
        for number, text in enumerate(texts)
        if (np.bincount(index.owners[index.find(text)], minlength=len(index.counts)) >= enough).any()
    ]


def proved(corpus: Path, searched: str) -> str:
    """The words of `proof_of`: what the prepare.py of labs begun earlier asks for."""
    return proof_of(corpus, searched)[0]


def proof_of(corpus: Path, searched: str) -> tuple[str, bool]:
    """The proof in words, for whoever prepared the corpus, and whether sealed text lies open on this machine.

    searched: digest of an earlier search, or empty.
    """
    try:
        if searched:
            proof.clean_already(corpus, searched)
        told = Told()
        outcome = proof.prove(corpus, say=told)
        told.close()
    except CorpusError as error:
        return f"warning: {error}", False
    if outcome.found:
        return f"warning: {proof.refusal(corpus, outcome)}", True
    return f"{'' if outcome.holds else 'WARNING: '}searched: {outcome.words}", False
