"""Writes a commit's files into a fresh folder, byte for byte as git stores them.

No checkout: no filter, line-ending conversion, export-subst or hook runs. Symbolic links are made last, and only when
they cannot lead out of the folder; submodules become empty folders; names that git itself would not write are skipped.
A pointer to a large file kept outside (LFS) becomes that file when this machine has it, recognised by its hash, so no
filter is needed for it; else the pointer stays and is named.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from mcp_server.repo import lfs
from mcp_server.repo.formats.objects import Entry
from mcp_server.repo.git import FILE_MODES, Repository
from mcp_server.repo.lfs import write_all
from mcp_server.repo.patterns import is_safe_path

_LINK, _SUBMODULE = "120000", "160000"
_CHUNK = 1 << 20
_LONGEST_LINK = 4096


@dataclass(frozen=True)
class Materialised:
    files: int
    skipped: tuple[str, ...]  # links that lead outside, and names that no tree should hold
    pointers: tuple[str, ...] = ()  # large files that this machine does not have


def overlay(base: Mapping[str, Entry], over: Mapping[str, Entry | None]) -> dict[str, Entry]:
    """The files of `base` with those of `over` laid on top; None takes a file away.

    Where one side has a file and the other a folder of that name, `over` wins.
    """
    laid = {path: entry for path, entry in base.items() if path not in over}
    added = {path: entry for path, entry in over.items() if entry is not None}
    above = {path[:i] for path in added for i, letter in enumerate(path) if letter == "/"}
    if above & laid.keys() or any(_below(path, added) for path in laid):
        laid = {path: entry for path, entry in laid.items() if path not in above and not _below(path, added)}
    return {**laid, **added}


def _below(path: str, files: Mapping[str, Entry]) -> bool:
    return any(path[:i] in files for i, letter in enumerate(path) if letter == "/")


def stays_inside(link: str, target: str) -> bool:
    """Whether a link at `link` cannot lead out of the folder, whatever other links its target passes through.

    Steps up are allowed only at the beginning, where they leave real folders; below that, each further link obeys the
    same rule.
    """
    if not target or target.startswith("/") or "\0" in target:
        return False
    parts = [part for part in target.split("/") if part not in ("", ".")]
    ups = next((i for i, part in enumerate(parts) if part != ".."), len(parts))
    return ups <= link.count("/") and ".." not in parts[ups:]


def materialise(repository: Repository, entries: Mapping[str, Entry], folder: Path) -> Materialised:
    """Write `entries` below `folder`, which must be new or empty. Raises OSError (disk full) and GitError."""
    folder.mkdir(parents=True, exist_ok=True)
    if any(folder.iterdir()):
        raise FileExistsError(f"{folder} is not empty")
    skipped = [path for path in entries if not is_safe_path(path) or "\0" in path]
    usable = {path: entry for path, entry in entries.items() if is_safe_path(path) and "\0" not in path}
    for path in {path.rpartition("/")[0] for path in usable} - {""}:
        (folder / path).mkdir(parents=True, exist_ok=True)
    for path, entry in usable.items():
        if entry.mode == _SUBMODULE:
            (folder / path).mkdir(exist_ok=True)
    files = [(path, entry) for path, entry in usable.items() if entry.mode in FILE_MODES]
    pointers = []
    for (path, entry), (size, out) in zip(files, repository.stream_blobs(e.oid for _, e in files), strict=True):
        # exclusive and link-refusing: a malformed tree may name a path twice
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        fd = os.open(f"{folder}/{path}", flags, 0o755 if entry.mode == "100755" else 0o644)
        try:  # plain descriptors: for many small files a file object each costs ten times as much
            if size > lfs.LONGEST_POINTER:
                for chunk in _chunks(out, size, path):
                    write_all(fd, chunk)
                continue
            content = b"".join(_chunks(out, size, path))
            pointer = lfs.parse(content)
            if pointer is None or not lfs.copy(repository.common, pointer, fd):
                write_all(fd, content)
                if pointer is not None:
                    pointers.append(path)
        finally:
            os.close(fd)
    links = {path: entry.oid for path, entry in usable.items() if entry.mode == _LINK}
    targets = repository.blobs(links.values())
    for path, oid in links.items():
        target = os.fsdecode(targets[oid])
        if len(target) > _LONGEST_LINK or not stays_inside(path, target):
            skipped.append(path)
            continue
        os.symlink(target, folder / path)
    return Materialised(len(files), tuple(sorted(skipped)), tuple(pointers))


def _chunks(source: IO[bytes], size: int, path: str) -> Iterator[bytes]:
    while size > 0:
        chunk = source.read(min(size, _CHUNK))
        if not chunk:
            raise OSError(f"git stopped in the middle of {path}")
        yield chunk
        size -= len(chunk)
