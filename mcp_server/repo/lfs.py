"""Pointers to large files that git keeps outside its objects (git-lfs), read without running its filter.

A pointer names its file by SHA-256, so a copy found on this machine is the right one or is not used.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
from dataclasses import dataclass
from pathlib import Path

LONGEST_POINTER = 1024  # bytes, by the format's definition
_POINTER = re.compile(
    rb"version https://git-lfs\.github\.com/spec/v1\n(?:ext-[^\n]*\n)*oid sha256:([0-9a-f]{64})\nsize (\d{1,15})\n"
)
_CHUNK = 1 << 20


@dataclass(frozen=True)
class Pointer:
    sha256: str
    size: int


def parse(content: bytes) -> Pointer | None:
    """The pointer that `content` is, or None for an ordinary file."""
    found = _POINTER.fullmatch(content) if len(content) <= LONGEST_POINTER else None
    return Pointer(found[1].decode(), int(found[2])) if found else None


def copy(common: Path, pointer: Pointer, target: int) -> bool:
    """Write the large file to the empty file `target`, from git-lfs' own store; False, and empty, if absent."""
    place = common / "lfs" / "objects" / pointer.sha256[:2] / pointer.sha256[2:4] / pointer.sha256
    digest = hashlib.sha256()
    with contextlib.suppress(FileNotFoundError, NotADirectoryError, PermissionError):
        fd = os.open(place, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(fd, "rb") as source:
            if os.fstat(fd).st_size != pointer.size:
                return False
            while chunk := source.read(_CHUNK):
                digest.update(chunk)
                write_all(target, chunk)
        if digest.hexdigest() == pointer.sha256:
            return True
        os.lseek(target, 0, os.SEEK_SET)
        os.ftruncate(target, 0)
    return False


def write_all(fd: int, content: bytes) -> None:
    """Write every byte; a single write may stop early on a nearly full disk. Raises OSError."""
    rest = memoryview(content)
    while rest:
        rest = rest[os.write(fd, rest) :]
