"""The bytes inside compressed files and archives, archives in archives included, each within bounds."""

from __future__ import annotations

import bz2
import gzip
import importlib
import io
import lzma
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from typing import IO

DEPTH = 4  # a wheel in a tar in a gzip
MEMBER_BYTES = 512 * 2**20  # of one member, unpacked
HEAD = 512  # bytes that tell what a file is

ZIP, ZIP_END, GZIP, BZ2, XZ, ZSTD = (
    b"PK\x03\x04",
    b"PK\x05\x06",
    b"\x1f\x8b",
    b"BZh",
    b"\xfd7zXZ\x00",
    b"\x28\xb5\x2f\xfd",
)
TROUBLE = (
    *(OSError, EOFError, ValueError, RuntimeError, NotImplementedError),
    *(zlib.error, lzma.LZMAError, zipfile.BadZipFile, tarfile.TarError),
)


class Closed(Exception):
    """What is inside cannot be looked at; the message says why."""


def is_packed(head: bytes, tail: bytes = b"") -> bool:
    """Whether a file that begins and ends so has something inside. A zip may follow other bytes, as in a zipapp."""
    return (
        head.startswith((ZIP, GZIP, BZ2, XZ, ZSTD))
        or head[257:262] == b"ustar"
        or tail[-22:-18] == ZIP_END  # a zip without a comment
    )


def unpacked(file: IO[bytes], depth: int = DEPTH) -> Iterator[bytes]:
    """Everything inside a packed file, member by member; of a tar only what is packed again, for it hides nothing else.

    Raises Closed when part of it could not be looked at; what came before holds.
    """
    head = file.read(HEAD)
    file.seek(0)
    try:
        for opened in _members(file, head):
            data = opened.read(MEMBER_BYTES + 1)
            if len(data) > MEMBER_BYTES:
                raise Closed(f"a member is larger than {MEMBER_BYTES >> 20} MB")
            if head[257:262] != b"ustar":
                yield data
            if is_packed(data[:HEAD], data[-22:]):
                if depth == 0:
                    raise Closed("archives lie in archives too deep")
                yield from unpacked(io.BytesIO(data), depth - 1)
    except TROUBLE as error:
        raise Closed(f"{type(error).__name__}: {error}"[:200]) from None


def _members(file: IO[bytes], head: bytes) -> Iterator[IO[bytes]]:
    if head[257:262] == b"ustar":
        with tarfile.open(fileobj=file, mode="r:") as archive:
            for entry in archive:
                opened = archive.extractfile(entry) if entry.isfile() else None
                if opened is not None and is_packed(opened.read(HEAD)):
                    opened.seek(0)
                    yield opened
        return
    single: dict[bytes, Callable[[IO[bytes]], IO[bytes]]] = {GZIP: gzip.open, BZ2: bz2.open, XZ: lzma.open, ZSTD: _zstd}  # type: ignore[dict-item]  # each may open text as well
    for magic, opener in single.items():
        if head.startswith(magic):
            with opener(file) as opened:
                yield opened
            return
    with zipfile.ZipFile(file) as archive:
        for info in archive.infolist():
            if not info.is_dir():
                with archive.open(info) as opened:
                    yield opened


def _zstd(file: IO[bytes]) -> IO[bytes]:
    """Python has it from 3.14 on. Raises Closed."""
    for name in ("compression.zstd", "zstandard", "backports.zstd"):
        try:
            opened: IO[bytes] = importlib.import_module(name).open(file)
        except ImportError:
            continue
        return opened
    raise Closed("it is packed with zstd, which this Python cannot read")
