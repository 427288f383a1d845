"""Frames between the evaluator and a host: numbers and bounded text over one socket, never an object.

A message is a kind and a few arrays. Whoever receives says beforehand which kind, dtypes and shapes it will take, and
nothing else is read: a host can neither make the evaluator allocate memory nor hand it anything to interpret. There is
no pickle here and no import of torch, so both sides can use this module.
"""

from __future__ import annotations

import math
import os
import select
import struct
import time
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

MAGIC = b"AR1\n"
HEADER = struct.Struct("<4sBB")  # magic, kind, number of arrays
ARRAY = struct.Struct("<BB3I")  # dtype, number of dimensions, shape
DTYPES = (np.dtype("u1"), np.dtype("<u2"), np.dtype("<i8"), np.dtype("<f4"), np.dtype("<f8"))
TEXT_BYTES = 16_384  # a host's only text, sent before it saw a validation token: a traceback's end fits
CHUNK_BYTES = 1 << 20
FILTER_BYTES = 8192  # of both filters that come with the weights
WATCHED, UNWATCHED = b"w", b"u"  # a host's word, before anything of the agent's runs in it


class Kind(IntEnum):
    """What a message says. Questions come from the evaluator, answers from a host."""

    CLAIMS = 1  # tokens (B, T) and targets (B, T): asks for the log-probability of each target
    LOGITS = 2  # tokens (B, W) and columns (B,): asks for the full logits at one column per row
    CLAIMED = 3  # float32 (B, T)
    ANSWERED = 4  # float32 (B, V)
    READY = 5  # JSON text: the model is loaded and has been rehearsed
    FAILED = 6  # JSON text: what went wrong


@dataclass(frozen=True)
class Message:
    """One frame as received."""

    kind: Kind
    arrays: tuple[NDArray[np.generic], ...]

    @property
    def text(self) -> str:
        """The message as text; bytes that are no UTF-8 are replaced."""
        return self.arrays[0].tobytes().decode("utf-8", "replace") if self.arrays else ""


@dataclass(frozen=True)
class Form:
    """What a receiver will accept: one array, of exactly this dtype and shape."""

    kind: Kind
    dtype: np.dtype[np.generic]
    shape: tuple[int, ...]


class Gone(Exception):
    """The other side closed the connection."""


class Stalled(Exception):
    """Nothing came, or nothing was taken, until the deadline."""


class Malformed(Exception):
    """What came is not what was asked for; the text says what it was."""


def join_filters(counted: bytes, refused: bytes) -> bytes:
    """What goes with the weights; never empty."""
    return struct.pack("<H", len(counted)) + counted + refused


def split_filters(joined: bytes) -> tuple[bytes, bytes]:
    """(the filter whose calls are counted, the one whose calls are refused)."""
    end = 2 + int(struct.unpack_from("<H", joined)[0])
    return joined[2:end], joined[end:]


def send(fd: int, kind: Kind, arrays: Sequence[NDArray[np.generic]], deadline: float | None = None) -> None:
    """Write one message to `fd`. `deadline` is monotonic; None waits for ever. Raises Gone or Stalled.

    A deadline holds only on a non-blocking `fd`.
    """
    parts = [HEADER.pack(MAGIC, kind, len(arrays))]
    for array in arrays:
        shape = (*array.shape, 0, 0, 0)[:3]
        parts.append(ARRAY.pack(DTYPES.index(array.dtype), array.ndim, *shape))
        parts.append(np.ascontiguousarray(array).tobytes())
    _write(fd, b"".join(parts), deadline)


def send_text(fd: int, kind: Kind, text: str) -> None:
    """Write one message of text, cut to its last TEXT_BYTES bytes: the end of a traceback is the part that tells."""
    encoded = text.encode("utf-8", "replace")[-TEXT_BYTES:]
    send(fd, kind, [np.frombuffer(encoded, np.uint8)])


def receive(fd: int, forms: Sequence[Form] = (), deadline: float | None = None) -> Message:
    """Read one message that fits one of `forms`, or a text of at most TEXT_BYTES. Raises Gone, Stalled or Malformed.

    Without forms (a host trusts the evaluator) any message is taken.
    """
    magic, raw_kind, count = HEADER.unpack(_read(fd, HEADER.size, deadline))
    try:
        kind = Kind(raw_kind)
    except ValueError:
        raise Malformed("an answer that is no frame of this protocol") from None
    if magic != MAGIC or count > 2:
        raise Malformed("an answer that is no frame of this protocol")
    arrays = []
    for _ in range(count):
        code, ndim, *shape = ARRAY.unpack(_read(fd, ARRAY.size, deadline))
        if code >= len(DTYPES) or ndim > 3:
            raise Malformed("an answer that is no frame of this protocol")
        dtype, extents = DTYPES[code], tuple(shape[:ndim])
        if forms:
            _check(forms, kind, count, dtype, extents)
        content = _read(fd, math.prod(extents) * dtype.itemsize, deadline)
        arrays.append(np.frombuffer(content, dtype).reshape(extents))
    if forms and not arrays:
        raise Malformed(f"an empty {kind.name} answer")
    return Message(kind, tuple(arrays))


def _check(
    forms: Sequence[Form], kind: Kind, count: int, dtype: np.dtype[np.generic], extents: tuple[int, ...]
) -> None:
    """Refuse, before a byte of content is read, what was not asked for."""
    if kind in (Kind.READY, Kind.FAILED):
        if count == 1 and dtype == np.uint8 and len(extents) == 1 and extents[0] <= TEXT_BYTES:
            return
        raise Malformed("a text that is too long")
    if count != 1 or not any((f.kind, f.dtype, f.shape) == (kind, dtype, extents) for f in forms):
        wanted = " or ".join(f"{f.kind.name} {f.dtype} {f.shape}" for f in forms)
        raise Malformed(f"{kind.name} {dtype} {extents} where {wanted} was asked for")


def _wait(fd: int, events: int, deadline: float | None) -> None:
    poll = select.poll()
    poll.register(fd, events)
    milliseconds = None if deadline is None else max(0, math.ceil((deadline - time.monotonic()) * 1000))
    if not poll.poll(milliseconds):
        raise Stalled


def _read(fd: int, count: int, deadline: float | None) -> bytearray:
    content = bytearray(count)
    view, filled = memoryview(content), 0
    while filled < count:
        _wait(fd, select.POLLIN, deadline)
        try:
            taken = os.readv(fd, [view[filled : filled + CHUNK_BYTES]])
        except BlockingIOError:
            continue
        except ConnectionError:
            taken = 0
        if not taken:
            raise Gone
        filled += taken
    return content


def _write(fd: int, content: bytes, deadline: float | None) -> None:
    view = memoryview(content)
    while view:
        _wait(fd, select.POLLOUT, deadline)
        try:
            view = view[os.write(fd, view[:CHUNK_BYTES]) :]
        except BlockingIOError:
            continue
        except ConnectionError:
            raise Gone from None
