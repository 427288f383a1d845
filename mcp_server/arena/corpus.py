"""Finds the prepared corpus of a language-model lab; `prepare.py` makes it, nothing here does."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from pathlib import Path

from mcp_server.nouns.errors import CorpusError
from mcp_server.nouns.files import mend
from mcp_server.nouns.paths import cache_folder


@dataclass(frozen=True)
class Corpus:
    """One prepared corpus; scores of different fingerprints never meet."""

    folder: Path
    name: str
    fingerprint: str
    vocab_size: int
    sequence_length: int


def read_corpus(folder: Path) -> Corpus:
    """What `folder` holds. Raises CorpusError."""
    try:
        meta = json.loads((folder / "public" / "meta.json").read_text())
        if not (folder / "sealed" / "val.bin").exists():
            raise KeyError("sealed/val.bin")
        sealed = folder / "sealed"
        mend(sealed, *sealed.iterdir())  # an older prepare.py let everybody read it
        return Corpus(folder, meta["corpus"], meta["fingerprint"], meta["vocab_size"], meta["sequence_length"])
    except (OSError, ValueError, KeyError) as error:
        raise CorpusError(
            f"No prepared corpus in {folder} ({error}). Run `autoresearch prepare` (or `python prepare.py "
            "--corpus stdlib`, which needs no network)."
        ) from None


@dataclass(frozen=True)
class Vocabulary:
    """The tokenizer of a corpus, from data alone: token i is the i-th entry, and a lower id was merged earlier."""

    pattern: str
    tokens: tuple[bytes, ...]
    special: dict[str, int]


def read_vocabulary(folder: Path) -> Vocabulary | None:
    """Of the corpus in `folder`; None where it has none. Raises OSError, ValueError or LookupError."""
    try:
        stored = json.loads((folder / "public" / "tokenizer.json").read_text())
    except FileNotFoundError:
        return None
    return Vocabulary(stored["pattern"], tuple(map(base64.b64decode, stored["tokens"])), stored["special"])


def prepared_corpus() -> Corpus:
    """The corpus that was prepared last. Raises CorpusError."""
    return read_corpus((cache_folder() / "current").resolve())
