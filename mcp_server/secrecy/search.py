"""Walks through everything readable and looks for shingles. Runs as a program of its own, usually inside a sandbox.

    python -m mcp_server.secrecy.search ORDER.json

ORDER names the index, the folder to write into, where to begin, what to leave out and how long to take. Lines of JSON
on stdout tell the progress and each copy found; the last line is the summary. Files that were found clean before, by
path, inode, size and time of the last change, are not read again; the list of clean ones is left as `known.npy`, and
that of those that have a little, or are closed, as `judged.json`.
"""

from __future__ import annotations

import gc
import hashlib
import io
import json
import mmap
import os
import stat
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mcp_server.secrecy.shingles import WINDOW, Index
from mcp_server.secrecy.unpacking import HEAD, Closed, is_packed, unpacked

CHUNK = 4 << 20
SMALL = 256 << 10
VIRTUAL = ("/proc", "/sys", "/dev")  # no files that lie on a disk
TELL_SECONDS = 2.0


class Search:
    """One walk: what it has seen, and what it found."""

    def __init__(
        self, index: Index, known: NDArray[np.uint64], judged: dict[int, str], seconds: float, part: tuple[int, int]
    ) -> None:
        self.index = index
        self.known = set(known.tolist())
        self.clean: list[int] = []
        # Files with shingles, but too few for a copy, and those that could not be looked into, with the words for it.
        # That holds for exactly this index; a clean file is one for any part of it as well.
        self.judged = judged
        self.judged_again: dict[int, str] = {}
        self.part = part  # (k, n): of n walks at once this is the k-th, and looks at every n-th folder
        self.ends = time.monotonic() + seconds
        self.told = time.monotonic()
        self.counts = dict.fromkeys(("files", "bytes", "read", "compiled", "packed", "refused"), 0)
        self.closed: list[str] = []
        self._waiting: list[tuple[str, int, bytes]] = []  # small files, looked at together
        self._waiting_bytes = 0

    def over(self) -> bool:
        return time.monotonic() > self.ends

    def walk(self, roots: list[str], skip: list[str]) -> None:
        """Look at every file below the roots, each once."""
        seen: set[tuple[int, int]] = set()
        out = {os.path.realpath(path) for path in (*VIRTUAL, *skip)}
        for root in roots:
            for path in self._files(os.path.realpath(root), out, seen):
                self._look(path)
                if self.over():
                    break
        self._look_at_waiting()

    def _files(self, root: str, out: set[str], seen: set[tuple[int, int]]) -> Iterator[str]:
        mine, parts = self.part
        if not os.path.isdir(root):
            if mine == 0:
                yield root
            return
        todo = [root]
        while todo:
            folder = todo.pop()
            try:
                state = os.stat(folder)
                if folder in out or (state.st_dev, state.st_ino) in seen:
                    continue
                seen.add((state.st_dev, state.st_ino))
                with os.scandir(folder) as scanned:
                    entries = list(scanned)
            except OSError:
                self.counts["refused"] += 1
                continue
            todo += [entry.path for entry in entries if entry.is_dir(follow_symlinks=False)]
            if int.from_bytes(hashlib.blake2b(os.fsencode(folder), digest_size=2).digest()) % parts == mine:
                files = [entry for entry in entries if entry.is_file(follow_symlinks=False)]
                if {"os.py", "abc.py"} <= {file.name for file in files}:
                    tell({"library": folder})
                yield from (file.path for file in files if not self._is_known(file))

    def _is_known(self, entry: os.DirEntry[str]) -> bool:
        """Whether it was found clean and is the same file still. To ask costs less than to open it."""
        try:
            state = entry.stat(follow_symlinks=False)
        except OSError:
            return False
        key = _key(entry.path, state)
        if key in self.known:
            self.clean.append(key)
        elif key in self.judged:
            self._note(key, self.judged[key])
        else:
            return False
        self.counts["files"] += 1
        self.counts["bytes"] += state.st_size
        return True

    def _look(self, path: str) -> None:
        try:
            with open(path, "rb", buffering=0) as file:
                state = os.fstat(file.fileno())
                if not stat.S_ISREG(state.st_mode):
                    return
                self.counts["files"] += 1
                self.counts["bytes"] += state.st_size
                key = _key(path, state)
                if key in self.known or state.st_size < WINDOW:
                    self.clean.append(key)
                    return
                self.counts["read"] += state.st_size
                self.counts["compiled"] += path.endswith(".pyc")
                if state.st_size < SMALL:
                    data = file.read()
                    if not is_packed(data[:HEAD], data[-22:]):
                        self._wait(path, key, data)
                        return
                    file.seek(0)
                self._judge(path, key, *self._find(file, state.st_size))
        except OSError:
            self.counts["refused"] += 1
        if time.monotonic() - self.told > TELL_SECONDS:
            self.told = time.monotonic()
            tell({**self.counts, "at": path})

    def _judge(self, path: str, key: int, found: NDArray[np.int64], why_closed: str = "") -> None:
        copies = self.index.copies(found)
        for document, hits in copies.items():
            tell({"found": path, "document": document, "hits": hits})
        closed = f"{path} ({why_closed})" if why_closed else ""
        if copies:
            self.closed += [closed] if closed else []
        elif closed or len(found):
            self._note(key, closed)
        else:
            self.clean.append(key)

    def _note(self, key: int, closed: str) -> None:
        self.judged_again[key] = closed
        self.closed += [closed] if closed else []

    def _wait(self, path: str, key: int, data: bytes) -> None:
        self._waiting.append((path, key, data))
        self._waiting_bytes += len(data)
        if self._waiting_bytes > CHUNK:
            self._look_at_waiting()

    def _look_at_waiting(self) -> None:
        """Most often nothing is in any of them, and one look says so."""
        if self._waiting and not len(self.index.find(b"\0".join(data for _, _, data in self._waiting))):
            self.clean += [key for _, key, _ in self._waiting]
        else:
            for path, key, data in self._waiting:
                self._judge(path, key, self.index.find(data))
        self._waiting, self._waiting_bytes = [], 0

    def _find(self, file: io.FileIO, size: int) -> tuple[NDArray[np.int64], str]:
        """(shingles in a file and in what is packed in it, why not all of it could be looked at). Raises OSError."""
        closed = ""
        found = [self.index.find(chunk) for chunk in chunks(file, size)]
        file.seek(0)
        head = file.read(HEAD)
        file.seek(max(0, size - 22))
        if is_packed(head, file.read(22)):
            self.counts["packed"] += 1
            file.seek(0)
            try:
                found += [self.index.find(data) for data in together(unpacked(io.BufferedReader(file)))]
            except Closed as error:
                closed = str(error)
        return np.unique(np.concatenate(found)), closed


def _key(path: str, state: os.stat_result) -> int:
    """A name for this file as it is: whatever changes its text changes the time of its last change."""
    facts = f"{state.st_ino} {state.st_size} {state.st_ctime_ns} ".encode() + os.fsencode(path)
    return int.from_bytes(hashlib.blake2b(facts, digest_size=8).digest(), "little")


def together(members: Iterable[bytes]) -> Iterator[bytes]:
    """Small members joined, for a look costs the same whether they are few or many."""
    waiting: list[bytes] = []
    length = 0
    for data in members:
        waiting.append(data)
        length += len(data)
        if length > CHUNK:
            yield b"\0".join(waiting)
            waiting, length = [], 0
    yield b"\0".join(waiting)


def chunks(file: io.FileIO, size: int) -> Iterator[bytes]:
    """A file's bytes, in pieces that overlap by a window."""
    if size <= CHUNK:
        yield file.readall()
        return
    with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as whole:
        for start in range(0, size, CHUNK):
            yield whole[start : start + CHUNK + WINDOW]


def tell(event: dict[str, object]) -> None:
    print(json.dumps(event), flush=True)


def main() -> None:
    """Carry out the order that is named on the command line."""
    gc.enable()  # see launch.program
    order = json.loads(Path(sys.argv[1]).read_text())
    known = np.load(order["known"], allow_pickle=False) if order["known"] else np.empty(0, np.uint64)
    judged = {int(key): words for key, words in order["judged"].items()}
    search = Search(Index.read(Path(order["index"])), known, judged, order["seconds"], tuple(order["part"]))
    search.walk(order["roots"], order["skip"])
    np.save(Path(order["out"]) / "known.npy", np.array(search.clean, np.uint64))
    (Path(order["out"]) / "judged.json").write_text(json.dumps(search.judged_again))
    tell({"done": True, **search.counts, "over": search.over(), "closed": search.closed[:100]})


if __name__ == "__main__":
    main()
