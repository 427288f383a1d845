"""The proof that no run can read the sealed text of a corpus: a search for it from inside the sandbox that runs get."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mcp_server.arena.corpus import read_vocabulary
from mcp_server.nouns.errors import CorpusError
from mcp_server.nouns.files import write_atomically
from mcp_server.nouns.paths import cache_folder
from mcp_server.nouns.records import Tier
from mcp_server.runner.sandbox import Confinement, probe
from mcp_server.secrecy.choosing import hidable
from mcp_server.secrecy.hidden import FILE, hidden_copies
from mcp_server.secrecy.searching import Progress, Searched, clean_files, search
from mcp_server.secrecy.shingles import Index

TRAIN_TOKENS = 50_000_000  # of training text: what stands there too tells nothing
ROUNDS = 4  # of hiding what was found and searching again
NAMED = 5  # paths in a sentence


@dataclass(frozen=True)
class Proof:
    """What a search from inside found."""

    tier: Tier
    found: tuple[Path, ...]  # files that hold sealed text and that a run can read
    words: str  # what was searched, and what came of it

    @property
    def holds(self) -> bool:
        return self.tier is not Tier.T0 and not self.found


def prove(
    corpus: Path, read: Sequence[Path] = (), hide: Sequence[Path] = (), say: Progress = lambda words: None
) -> Proof:
    """Search everything that a run on `corpus` can read, and `read` besides, for its validation and test text.

    Copies that a newly installed Python brought are hidden from then on. Raises CorpusError when nothing can be said.
    """
    tier = probe().tier
    if tier is Tier.T0:
        words = "runs are not shut in on this machine (T0): a run can read the sealed text itself, and every copy of it"
        return Proof(tier, (), words)
    index = sealed_index(corpus)
    if not len(index.hashes):
        return Proof(tier, (), "the sealed text is too short, or too much like the training text, to be searched for")
    searched, visible = Searched(), []
    for _ in range(ROUNDS):
        searched = search(index, _confinement(corpus, read, hide), tier, read, say)
        visible = sorted({path for path, _ in searched.copies})
        if not visible or not _hide_more(corpus, visible):
            break
    if not searched.complete:
        raise CorpusError(
            f"The search for readable copies of the sealed text did not end in time: {searched.words}. "
            "Run `autoresearch doctor` to go on where it stopped."
        )
    found = f"{len(visible)} of them hold sealed text" if visible else "none holds sealed text"
    words = f"a run at {tier} can read {searched.words}: {found}"
    if searched.closed:
        words += f"; not looked into: {len(searched.closed)} packed files, such as {searched.closed[0]}"
    return Proof(tier, tuple(visible), words)


def refusal(corpus: Path, proof: Proof) -> str:
    """Why no campaign begins where runs can read the sealed text, and what to do."""
    named = ", ".join(str(path) for path in proof.found[:NAMED])
    more = f" and {len(proof.found) - NAMED} more" if len(proof.found) > NAMED else ""
    return (
        f"The validation and test text of the corpus {corpus.name} lies where every run can read it: {named}{more}. "
        "Move those files away (out of the repository, of `readable:` and of the system's folders), "
        "or seal other text: `autoresearch prepare --force`, then start again."
    )


def _confinement(corpus: Path, read: Sequence[Path], hide: Sequence[Path]) -> Confinement:
    """What a trainer on this corpus gets to read."""
    return Confinement(
        read=(corpus / "public", *read),
        write=(),
        cwd=Path("/"),
        env={"PATH": "/usr/bin:/bin", "PYTHONDONTWRITEBYTECODE": "1", "OPENBLAS_NUM_THREADS": "1"},
        hide=(corpus, *hidden_copies(corpus), *hide),
    )


def _hide_more(corpus: Path, visible: Sequence[Path]) -> bool:
    """Put copies that may be hidden on the corpus's list; whether there were any. Raises CorpusError."""
    place = corpus / FILE
    try:
        stored = json.loads(place.read_text())
    except FileNotFoundError:
        return False
    units = {hidable(path, frozenset(stored["needed"])) for path in visible} - {None}
    more = sorted({str(unit) for unit in units} - set(stored["paths"]))
    if not more:
        return False
    try:
        write_atomically(place, json.dumps({**stored, "paths": [*stored["paths"], *more]}, indent=1).encode())
    except OSError as error:
        raise CorpusError(
            f"{place} cannot be written ({error.strerror}). Run `autoresearch prepare --force`."
        ) from None
    return True


# --- what to look for -------------------------------------------------------------------------------------------------


def sealed_index(corpus: Path) -> Index:
    """The shingles of a corpus's validation and test text that its training text does not have. Raises CorpusError."""
    try:
        meta = json.loads((corpus / "public" / "meta.json").read_text())
        place = cache_folder() / "proofs" / f"{meta['fingerprint'][:24]}.npz"
        with contextlib.suppress(OSError, ValueError, KeyError):
            return Index.read(place)
        found = read_vocabulary(corpus)
        if found is None:
            return Index.of([])
        tokens = [*found.tokens, b""]
        bos = int(meta["bos_id"])
        index = Index.of(
            text
            for split in ("val", "test_pool")
            for text in _documents(corpus / "sealed" / f"{split}.bin", tokens, bos)
        )
        shared = [np.empty(0, np.int64)]
        left = TRAIN_TOKENS
        for shard in meta["shards"]:
            for text in _documents(corpus / "public" / shard, tokens, bos, left):
                shared.append(index.find(text))
            left -= (corpus / "public" / shard).stat().st_size // 2
            if left <= 0:
                break
    except (OSError, ValueError, KeyError, IndexError, TypeError) as error:
        raise CorpusError(f"The sealed text in {corpus} cannot be read ({error}). Run prepare.py again.") from None
    index = index.without(np.concatenate(shared))
    place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=place.parent) as folder:
        index.write(Path(folder, "index.npz"))
        os.replace(Path(folder, "index.npz"), place)
    return index


def clean_already(corpus: Path, searched: str) -> None:
    """Files found clean in a search of which the sealed text was a part need no second one. Raises CorpusError."""
    known, place = clean_files(searched), clean_files(sealed_index(corpus).digest)
    if known.exists() and not place.exists():
        shutil.copy(known, place)


def _documents(stream: Path, tokens: Sequence[bytes], bos: int, most: int = -1) -> Iterator[bytes]:
    """The text of a token stream, document by document. Raises OSError."""
    ids = np.fromfile(stream, "<u2", count=most)
    starts = [*np.flatnonzero(ids == bos).tolist(), len(ids)]
    for begin, end in itertools.pairwise(starts):
        yield b"".join([tokens[token] for token in ids[begin + 1 : end].tolist()])
