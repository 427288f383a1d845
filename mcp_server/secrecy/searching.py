"""Starts the search, inside a sandbox or outside, listens to it, and remembers which files were clean."""

from __future__ import annotations

import concurrent.futures
import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from mcp_server.nouns.errors import CorpusError
from mcp_server.nouns.files import write_atomically
from mcp_server.nouns.paths import cache_folder
from mcp_server.nouns.records import Tier
from mcp_server.runner.sandbox import Confinement, wrap
from mcp_server.runner.sandbox.confinement import interpreter_paths, system_paths
from mcp_server.runner.sandbox.launch import PACKAGE, program
from mcp_server.secrecy.shingles import Index

SECONDS = 900.0  # a machine with 300 GB of environments takes longer, and goes on where it stopped
EVERYTHING = ("/",)  # where a search from inside begins: everything that is there at all

Progress = Callable[[str], None]


@dataclass
class Searched:
    """What a search saw and found."""

    copies: list[tuple[Path, int]] = field(default_factory=list)  # (file, document that it holds a copy of; -1 many)
    libraries: list[Path] = field(default_factory=list)  # folders that hold a Python's standard library
    closed: list[str] = field(default_factory=list)  # packed files that could not be looked into, and why
    complete: bool = False
    files: int = 0
    bytes: int = 0
    read: int = 0  # bytes of those that were not known to be clean
    compiled: int = 0  # .pyc among those read
    packed: int = 0  # archives and compressed files among those read

    @property
    def words(self) -> str:
        """What was searched, in words."""
        seen = f"{self.files:,} files, {self.bytes / 1e9:.1f} GB"
        return f"{seen} ({self.compiled:,} compiled and {self.packed:,} packed ones read anew)"


def readable_roots(more: Sequence[Path] = ()) -> list[str]:
    """Everything that a run may be given to read, but for the folders of its own run."""
    return [str(path) for path in (*system_paths(gpus=True), *interpreter_paths(), *more) if path.exists()]


def search(
    index: Index,
    confinement: Confinement | None = None,
    tier: Tier = Tier.T0,
    more: Sequence[Path] = (),
    say: Progress = lambda words: None,
    seconds: float = SECONDS,
) -> Searched:
    """Look for the documents of `index`, through everything that `confinement` leaves readable, or (None) in full view.

    Files that were clean are remembered for this index. Raises CorpusError when the search itself fails.
    """
    memory = clean_files(index.digest)
    memory.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    parts = min(8, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)
    with tempfile.TemporaryDirectory(prefix="autoresearch-search-", dir=memory.parent) as place:
        asked = Path(place, "asked")
        asked.mkdir()
        index.write(asked / "index.npz")
        with contextlib.suppress(FileNotFoundError):
            shutil.copy(memory, asked / "known.npy")
        found, judged = [Searched() for _ in range(parts)], _read_judged(index.digest)
        with concurrent.futures.ThreadPoolExecutor(parts) as pool:
            futures = []
            for part in range(parts):
                out = Path(place, f"out-{part}")
                out.mkdir()
                order = {
                    "index": str(asked / "index.npz"),
                    "known": str(asked / "known.npy") if (asked / "known.npy").exists() else "",
                    "judged": judged,
                    "out": str(out),
                    "roots": [*EVERYTHING, *readable_roots(more)] if confinement else readable_roots(more),
                    "skip": [place],
                    "seconds": seconds,
                    "part": [part, parts],
                }
                (asked / f"order-{part}.json").write_text(json.dumps(order))
                command = [
                    sys.executable,
                    "-P",
                    "-c",
                    program("mcp_server.secrecy.search"),
                    str(asked / f"order-{part}.json"),
                ]
                if confinement is not None:
                    read = (*confinement.read, PACKAGE, asked)
                    inside = replace(confinement, read=read, write=(out,), cwd=out, scratch=out)
                    command = wrap(command, inside, tier)
                futures.append(pool.submit(_listen, command, found[part], lambda: say(_sum(found).words)))
            for future in futures:
                future.result()
        known = [np.load(path, allow_pickle=False) for path in Path(place).glob("out-*/known.npy")]
        np.save(asked / "clean.npy", np.concatenate([np.empty(0, np.uint64), *known]))
        os.replace(asked / "clean.npy", memory)
        again = [json.loads(path.read_text()) for path in Path(place).glob("out-*/judged.json")]
        files = {key: words for part in again for key, words in part.items()}
        write_atomically(_judged_files(index.digest), json.dumps({"by": sys.version, "files": files}).encode())
    return _sum(found)


def clean_files(digest: str) -> Path:
    """Where it is remembered which files have nothing of an index, and so nothing of any part of it."""
    return cache_folder() / "proofs" / f"{digest}.npy"


def _judged_files(digest: str) -> Path:
    """Where it is remembered which files have too little of exactly this index, or are closed, and why."""
    return cache_folder() / "proofs" / f"{digest}.judged.json"


def _read_judged(digest: str) -> dict[str, str]:
    """By the key of a file. Another Python may be able to open more."""
    try:
        stored = json.loads(_judged_files(digest).read_text())
    except (OSError, ValueError):
        return {}
    files: dict[str, str] = stored["files"] if stored.get("by") == sys.version else {}
    return files


def _sum(parts: Sequence[Searched]) -> Searched:
    return Searched(
        copies=[copy for part in parts for copy in part.copies],
        libraries=[library for part in parts for library in part.libraries],
        closed=[words for part in parts for words in part.closed],
        complete=all(part.complete for part in parts),
        files=sum(part.files for part in parts),
        bytes=sum(part.bytes for part in parts),
        read=sum(part.read for part in parts),
        compiled=sum(part.compiled for part in parts),
        packed=sum(part.packed for part in parts),
    )


def _listen(command: list[str], found: Searched, say: Callable[[], None]) -> None:
    """Run one walk and fill `found` with what it tells. Raises CorpusError."""
    env = {"PYTHONDONTWRITEBYTECODE": "1", "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    done = False
    with tempfile.TemporaryFile() as errors:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=errors, env=env, start_new_session=True
        )
        assert process.stdout is not None
        with process, process.stdout as lines:
            for line in lines:
                event = json.loads(line)
                done = done or "done" in event
                if _take(event, found):
                    say()
        errors.seek(0)
        words = errors.read(20_000).decode(errors="replace").strip()
    if process.returncode or not done:
        raise CorpusError(
            f"The search for readable copies of the sealed text failed: {words[-300:] or process.returncode}. "
            "`autoresearch doctor` says how well runs are shut in here."
        )


def _take(event: dict[str, Any], found: Searched) -> bool:
    """Note one line of a walk; whether it is a word on its progress."""
    if "found" in event:
        found.copies.append((Path(event["found"]), event["document"]))
    elif "library" in event:
        found.libraries.append(Path(event["library"]))
    else:
        found.files, found.bytes = event["files"], event["bytes"]
        found.read, found.compiled, found.packed = event["read"], event["compiled"], event["packed"]
        if "done" in event:
            found.closed, found.complete = event["closed"], not event["over"]
    return "at" in event
