"""Picks the documents of the standard library that may be sealed: those whose every copy can be hidden from every run.

A document qualifies when no run needs its module, when nothing that trains is nearly the same, and when each copy
that a search of everything readable finds lies in some Python's library, in a module that no run needs there either.
What is sealed in the end is decided by `prepare.py`, in the order of the documents' hashes.
"""

from __future__ import annotations

import glob
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mcp_server.secrecy import closure
from mcp_server.secrecy.searching import Progress, search
from mcp_server.secrecy.shingles import Index

TELLING = 12  # shingles that a document needs to be recognised, beyond those that other documents have too
NEAR = 0.5  # a document with this share of another's shingles is nearly the same


@dataclass(frozen=True)
class Choice:
    """Which documents may be sealed, and what is to be hidden then."""

    eligible: tuple[int, ...]  # numbers of documents
    copies: dict[int, tuple[str, ...]]  # of each: paths that hold it
    needed: tuple[str, ...]  # top-level names of the library that runs need
    searched: str  # digest of the index that was searched for

    def hide(self, sealed: Sequence[int]) -> list[str]:
        """What runs must not see when these documents are sealed."""
        return sorted({path for document in sealed for path in self.copies[document]})


def choose(
    library: Path, files: Sequence[Path], texts: Sequence[bytes], script: Path, say: Progress, progress: Progress
) -> Choice:
    """`files` and `texts` of all documents; `script` is prepare.py, which runs import.

    say: gets a word for each step, `progress` one every moment of the search. Raises CorpusError.
    """
    say("finding out which modules a run needs")
    needed = closure.needed(library, script)
    may_go = [number for number, file in enumerate(files) if closure.may_go(_entry(file, library), needed)]
    index = Index.of(texts[number] for number in may_go)
    others = set(range(len(texts))) - set(may_go)
    fit, index = _telling(index, [texts[number] for number in sorted(others)], len(may_go))
    say(f"searching the machine for copies of {len(fit)} documents")
    found = search(index, say=progress)
    copies: dict[int, set[str]] = {number: set() for number in fit}
    for path, document in found.copies:
        if document in copies:
            unit = hidable(path, needed)
            if unit is None:
                del copies[document]
            else:
                copies[document].add(str(unit))
    for document in copies:
        name = _entry(files[may_go[document]], library)
        for folder in {library, *found.libraries}:
            copies[document] |= {str(path) for path in named(folder, name)}
    return Choice(
        eligible=tuple(may_go[document] for document in sorted(copies)),
        copies={may_go[document]: tuple(sorted(paths)) for document, paths in copies.items()},
        needed=tuple(sorted(needed)),
        searched=index.digest,
    )


def _entry(file: Path, library: Path) -> str:
    """The entry of the library's folder that a file belongs to: "turtle.py", "idlelib"."""
    return file.relative_to(library).parts[0]


def _telling(index: Index, others: Sequence[bytes], documents: int) -> tuple[list[int], Index]:
    """(documents that can be told from those that train anyway, the index without the shingles they share)."""
    before = np.bincount(index.owners, minlength=documents)
    near: set[int] = set()
    shared = [np.empty(0, np.int64)]
    for text in others:
        found = index.find(text)
        shared.append(found)
        hits = np.bincount(index.owners[found], minlength=documents)
        near |= set(np.flatnonzero(hits > NEAR * before).tolist())
    index = index.without(np.concatenate(shared))
    left = np.bincount(index.owners, minlength=documents)
    return [number for number in range(documents) if left[number] >= TELLING and number not in near], index


def hidable(path: Path, needed: frozenset[str]) -> Path | None:
    """What to hide, so that no run sees this copy; None when runs need it, or might.

    That is a module or package of some Python's library that no run needs, or conda's cache of packages.
    """
    for folder in path.parents:
        if folder.name == "pkgs" and (folder.parent / "conda-meta").is_dir():
            return folder
        if (folder / "os.py").is_file() and (folder / "abc.py").is_file():
            entry, *inside = path.relative_to(folder).parts
            if entry == "__pycache__" and inside and closure.may_go(inside[0], needed):
                return path
            return folder / entry if closure.may_go(entry, needed) else None
    return None


def named(folder: Path, name: str) -> list[Path]:
    """A module of a library under all its names there: source, package, compiled."""
    stem = name.removesuffix(".py")
    compiled = [Path(found) for found in glob.glob(f"{glob.escape(str(folder / '__pycache__' / stem))}.*.pyc")]
    return [path for path in (folder / stem, folder / f"{stem}.py", folder / f"{stem}.pyc", *compiled) if path.exists()]
