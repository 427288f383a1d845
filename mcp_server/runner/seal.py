"""The sealing of what a trainer left: checked, moved, hashed and read-only before any validation token is sent.

Only regular files and folders are let through. What a scorer reads is exactly what was hashed.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

MOST_FILES = 10_000
MOST_PATH = 1000  # bytes of a name below the folder: so nothing lies deeper than Python recurses or the kernel names


@dataclass(frozen=True)
class Sealed:
    """A sealed artifact: its hash over all files, its size, its number of files."""

    sha256: str
    size_bytes: int
    files: int


@dataclass(frozen=True)
class Refused:
    """Why the output folder cannot be sealed: a reason code and a sentence."""

    reason: str
    detail: str


def seal(out: Path, artifact: Path, limit_bytes: float) -> Sealed | Refused:
    """Move `out` to `artifact` and make its files read-only and ours. The trainer must be dead. Raises OSError.

    Under a root server a trainer's files are those of its unprivileged user, and the next trainer is that user too.
    """
    refused = inspect(out, limit_bytes)
    if refused is not None:
        return refused
    os.rename(out, artifact)
    for folder, _, names in os.walk(artifact, topdown=False):
        for path in (*(os.path.join(folder, name) for name in names), folder):
            if os.lstat(path).st_uid != os.getuid():
                os.chown(path, os.getuid(), os.getgid(), follow_symlinks=False)
        for name in names:
            os.chmod(os.path.join(folder, name), 0o444)
        os.chmod(folder, 0o755)  # so that its owner can delete it: an rm needs the right to write in each folder
    return measure(artifact)


def inspect(out: Path, limit_bytes: float) -> Refused | None:
    """Walk a dead trainer's output without following anything. Raises OSError."""
    total, files = 0, 0
    links: Counter[tuple[int, int]] = Counter()
    counts: dict[tuple[int, int], int] = {}
    folders = [out]
    while folders:
        folder = folders.pop()
        os.chmod(folder, 0o700)  # a trainer may have locked its owner, us, out
        with os.scandir(folder) as entries:
            for entry in entries:
                state = entry.stat(follow_symlinks=False)
                name = os.path.relpath(entry.path, out)
                files += 1
                if files > MOST_FILES:
                    return Refused("output_too_large", f"The output folder holds more than {MOST_FILES} files.")
                if len(os.fsencode(name)) > MOST_PATH:
                    words = f"The output folder holds a path of more than {MOST_PATH} bytes; put files less deep."
                    return Refused("output_too_large", words)
                if stat.S_ISDIR(state.st_mode):
                    folders.append(Path(entry.path))
                elif not stat.S_ISREG(state.st_mode):
                    kind = "a symbolic link" if stat.S_ISLNK(state.st_mode) else "a device, pipe or socket"
                    return Refused("bad_output", f"{name!r} in the output folder is {kind}; only files may be left.")
                else:
                    links[state.st_dev, state.st_ino] += 1
                    counts[state.st_dev, state.st_ino] = state.st_nlink
                    total += state.st_size
    if total > limit_bytes:
        return Refused("output_too_large", f"The output folder holds {total:,} bytes; {limit_bytes:,.0f} are allowed.")
    if any(counts[inode] != seen for inode, seen in links.items()):
        return Refused("bad_output", "A file in the output folder is also linked from outside it.")
    return None


def measure(artifact: Path) -> Sealed:
    """Hash a sealed folder: sha256 over one line per file, sorted by name. Raises OSError."""
    lines, size = [], 0
    for path in sorted(path for path in artifact.rglob("*") if path.is_file()):
        with open(path, "rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
            size += os.fstat(file.fileno()).st_size
        lines.append(f"{digest}  {path.relative_to(artifact)}\n")
    return Sealed(hashlib.sha256("".join(lines).encode(errors="surrogateescape")).hexdigest(), size, len(lines))
