"""Frozen files that differ on disk from the campaign's first commit, each named with the first lines of the difference.

What is measured never depends on this: a run gets its frozen files from the first commit. It is a warning for people.
A difference that git itself makes between store and disk is none: line endings, and large files kept outside (LFS).
"""

from __future__ import annotations

import difflib
import hashlib
import os
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice

from mcp_server.repo import lfs, worktree
from mcp_server.repo.formats.objects import Entry
from mcp_server.repo.git import FILE_MODES, Repository

_SHOWN_LINES = 12
_SHOWN_WIDTH = 200
_TICK_SECONDS = 2.0
_AS_COMMITTED: set[tuple[object, ...]] = set()  # a status asks often, and a corpus takes seconds to read
_COMPARED_BYTES = 200_000  # beyond, a line-by-line difference is slow and nobody reads it


@dataclass(frozen=True)
class FrozenChange:
    path: str
    diff: str  # the first lines, or a word about what happened


def compare(repository: Repository, entries: Mapping[str, Entry]) -> list[FrozenChange]:
    """Which of `entries` are not on disk as committed. Files never committed are not looked at."""
    files = {path: entry for path, entry in sorted(entries.items()) if entry.mode in FILE_MODES}
    differing = {}
    for path, entry in files.items():
        state = _state(repository, path, entry)
        if state in _AS_COMMITTED:
            continue
        seen = worktree.look(repository.tree, path, repository.start_hash, _COMPARED_BYTES)
        if seen.oid != entry.oid:
            differing[path] = seen
        elif state is not None:
            _AS_COMMITTED.add(state)
    absent = [path for path, seen in differing.items() if seen.kind == "absent"]
    skipped = {path for path, (tag, _) in repository.index(absent).items() if tag == "S"} if absent else set()
    changes = []
    for path, seen in differing.items():
        if path in skipped:
            continue
        if seen.kind != "file":
            changes.append(FrozenChange(path, "deleted" if seen.kind == "absent" else f"is a {seen.kind} now"))
            continue
        committed = repository.blobs([files[path].oid])[files[path].oid]
        if _is_large_file(committed, repository, path):
            continue
        if seen.content is None or len(committed) > _COMPARED_BYTES:
            changes.append(FrozenChange(path, f"{len(committed)} bytes committed, {seen.size} on disk"))
        elif committed.replace(b"\r\n", b"\n") != seen.content.replace(b"\r\n", b"\n"):
            changes.append(FrozenChange(path, _first_lines(path, committed, seen.content)))
    return changes


def _state(repository: Repository, path: str, entry: Entry) -> tuple[object, ...] | None:
    """What tells that a file is as it was when it was read; None where it may change again within one tick."""
    try:
        status = os.lstat(repository.tree / path)
    except OSError:
        return None
    if time.time() - status.st_ctime < _TICK_SECONDS:
        return None
    same = (status.st_dev, status.st_ino, status.st_mode, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
    return (str(repository.tree), path, entry.oid, *same)


def _is_large_file(committed: bytes, repository: Repository, path: str) -> bool:
    """Whether what is committed is a pointer to exactly the bytes on disk."""
    pointer = lfs.parse(committed)
    return pointer is not None and worktree.look(repository.tree, path, _plain_sha256).oid == pointer.sha256


def _plain_sha256(size: int) -> worktree.Hash:
    return hashlib.sha256()


def _first_lines(path: str, before: bytes, after: bytes) -> str:
    if b"\0" in before or b"\0" in after:
        return "binary files differ"
    old, new = (content.decode("utf-8", "replace").splitlines() for content in (before, after))
    lines: Iterator[str] = difflib.unified_diff(old, new, f"a/{path}", f"b/{path}", n=1, lineterm="")
    shown = [line[:_SHOWN_WIDTH] for line in islice(lines, _SHOWN_LINES + 1)]
    return "\n".join(shown if len(shown) <= _SHOWN_LINES else [*shown[:-1], "..."])
