"""Finds the prepared corpus of a language-model lab; `prepare.py` makes it, nothing here does."""

from __future__ import annotations

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


def prepared_corpus() -> Corpus:
    """The corpus that was prepared last. Raises CorpusError."""
    return read_corpus((cache_folder() / "current").resolve())
